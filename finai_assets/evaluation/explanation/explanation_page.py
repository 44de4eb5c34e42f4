"""The explanations as one page to be read by people, from the stored summary alone."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from finai_assets.evaluation.explanation import figures
from finai_assets.evaluation.explanation.ablation_of_experts import CLOSED, REPLACED
from finai_assets.evaluation.explanation.deletion import ATTRIBUTED, BEATS, DEVIATION, LOSES, RANDOM, UNCLEAR
from finai_assets.evaluation.explanation.gate_section import gate_section, gate_sentence, row_sentence
from finai_assets.evaluation.explanation.wording import NOTHING, digits, interval, low
from finai_assets.evaluation.page import Section, bullets, definitions, figure, page, paragraph, table
from finai_assets.evaluation.plots import svg

_SHOWN: Mapping[str, str] = {BEATS: "yes", UNCLEAR: "not shown", LOSES: "less"}
_TASKS_ABREAST = 4  # columns of a table that fits the page
_FIRST_INPUTS = "The most important inputs, with their per cent of the task's absolute attributions"


def explanation_page(summary: Mapping[str, Any]) -> bytes:
    """Return the page; equal summaries give equal bytes.

    Parameters
    ----------
    summary : dict
        From :func:`~finai_assets.evaluation.explanation.explain.explain`.
    """
    sample = summary["sample"]
    months = sample["months"]
    span = months[0] if len(months) == 1 else f"{months[0]} to {months[-1]}"
    lead = (
        f"What the teacher's predictions rest on, and whether its explanations are faithful: {sample['rows']:,} rows of "
        f"{sample['customers']:,} test customers ({span}) of the data set {sample['dataset']}, explained by "
        f"{summary['inputs']:,} inputs and {len(_slots(summary))} experts."
    )
    sections = [
        Section("In short", bullets(in_short(summary))),
        Section("How it was measured", _method(summary)),
        Section("Are the attributions faithful?", _deletion(summary)),
        Section("What becomes of the skill", _skill(summary)),
        Section("What the predictions rest on", _importance(summary)),
        Section("Do the gates tell which expert matters?", gate_section(summary)),
        Section("Do the attributions add up?", _completeness(summary)),
        Section("What this does not show", bullets(_limits(summary))),
    ]
    return page("Explanations of the teacher", lead, sections)


def in_short(summary: Mapping[str, Any]) -> list[str]:
    """Return the findings, good or bad, as sentences."""
    found, gates, tasks = summary["summary"], summary["gates"], summary["tasks"]
    count = found["tasks"]
    against_deviation = sum(
        low(task["deletion"]["change"]["area"]["attributed_minus_deviation"]) > 0 for task in tasks.values()
    )
    loses = [name for name, task in tasks.items() if task["deletion"]["verdict"] == LOSES]
    gains = [name for name, task in tasks.items() if task["deletion"]["verdict_skill"] == LOSES]
    judged = sum(task["deletion"]["skill"]["full"] is not None for task in tasks.values())
    top = found["top_expert_beats_random"]
    return [
        f"Attributions: masking what they name first moves the prediction more than masking at random in "
        f"{found['beats_random']} of {count} tasks, and more than masking what lies farthest from the mean in "
        f"{against_deviation} of {count}."
        + (f" It moves it less than at random in {', '.join(loses)}." if loses else ""),
        f"Skill: it also costs more of the primary metric than masking at random in {found['beats_random_skill']} of "
        f"{judged} tasks in which that can be measured here; in the others the rows are too few, or the skill too small, "
        "to tell." + (f" It costs less than at random in {', '.join(gains)}." if gains else ""),
        f"Gates: over tasks and experts, the mean gate weight and the loss increase without the expert have a rank "
        f"correlation of {interval(gates[REPLACED]['loss']['over_all'], 2)}; within a task it is "
        f"{interval(gates[REPLACED]['loss']['within_tasks'], 2)} on average. {gate_sentence(gates)}",
        row_sentence(tasks),
        f"Top expert: taking out the expert that a row's gate weighs most moves the prediction more than taking out one at "
        f"random in {top[REPLACED]} of {count} tasks ({top[CLOSED]} where the gate is closed on it instead).",
        f"Arithmetic: attributions add up to the change of the output within "
        f"{100 * summary['settings']['tolerance']:.0f} % in {found['complete']} of {count} tasks.",
    ]


def _method(summary: Mapping[str, Any]) -> str:
    sample, chosen = summary["sample"], summary["settings"]
    return definitions(
        [
            ("input", "a column (with its logarithm, where the teacher reads that too), one channel of the transaction "
             "sequence with all its steps, the sequence's length, or a side tensor (persistence diagrams, spend over merchants); "
             "only those that an expert reads"),
            ("output", "the logit of a binary task, the predicted class's logit less the mean of all logits, or the value"),
            ("baseline", f"the mean of {sample['train_rows']:,} train rows; a code is missing, a persistence diagram empty"),
            ("attribution", f"integrated gradients in {chosen['steps']} steps from the baseline to the row. A code or a length "
             "changes at one place of the way, drawn anew for each row; what the output jumps there is its attribution"),
            ("masked", "put back to the baseline"),
            ("moves", "change of the probability (total variation over classes), or of the value in standard deviations of the "
             "train labels"),
            ("at random", f"the mean of {chosen['random_orders']} random orders for each row"),
            ("farthest from the mean", "an order that knows the row and no model: a rival that random masking is not, since most "
             "columns of a row lie near the mean and change nothing"),
            ("expert taken out", f"what it says is replaced by its mean over train rows, or the gate is closed on it; on "
             f"{sample['ablation_rows']:,} rows of {sample['ablation_customers']:,} test customers"),
            ("interval", "bootstrap by customer, 95 % unless configured otherwise; a verdict needs an interval without zero"),
        ]
    )  # fmt: skip


def _deletion(summary: Mapping[str, Any]) -> str:
    rows = []
    for name, task in summary["tasks"].items():
        area = task["deletion"]["change"]["area"]
        rows.append(
            [
                name,
                *(digits(area[order]["value"], 4) for order in (ATTRIBUTED, DEVIATION, RANDOM)),
                interval(area["attributed_minus_random"], 4),
                task["deletion"]["verdict"],
                interval(area["attributed_minus_deviation"], 4),
            ]
        )
    header = ["task", "attribution", "farthest", "random", "attribution − random", "verdict", "attribution − farthest"]
    return (
        paragraph(
            "An attribution is faithful if what it names first matters most to the model: when inputs are masked in its "
            "order, the prediction must move sooner than when they are masked at random."
        )
        + figure(
            svg(figures.deletion_curves(summary), "Deletion curves of each task, by order of masking."),
            "Mean movement of the prediction. The higher the blue line above the grey one, the more faithful the "
            "attributions; each task has a scale of its own.",
        )
        + table(
            header,
            rows,
            numeric=(1, 2, 3, 4, 6),
            caption="Mean height of the curves (area over the largest share masked)",
        )
    )


def _skill(summary: Mapping[str, Any]) -> str:
    first = next(iter(summary["tasks"].values()))["deletion"]["shares"]
    shown = sorted({0, len(first) // 2})
    names = {"auc": "AUC", "log_loss": "log-loss", "r2": "R²"}
    header = ["task", "metric", "n", "no mask"]
    header += [f"{100 * first[k]:.0f} %: attributed / random" for k in shown]
    header += ["lost beyond random", "more than at random"]
    rows = []
    for name, task in summary["tasks"].items():
        found = task["deletion"]["skill"]
        cells = [" / ".join(digits(found[order][k], 3) for order in (ATTRIBUTED, RANDOM)) for k in shown]
        rows.append(
            [
                name,
                names[found["metric"]],
                f"{found['n']:,}",
                digits(found["full"], 3),
                *cells,
                interval(found["area"]["attributed_minus_random"], 3),
                _SHOWN[task["deletion"]["verdict_skill"]],
            ]
        )
    return paragraph(
        "The prediction may move without becoming worse. Here the primary metric is computed from the predictions of "
        "masked rows: what is lost with the attributed inputs, beyond what is lost with random ones, is the mean over "
        "the shares masked. With few positive rows an interval is wide, and a task without skill has none to lose."
    ) + table(
        header, rows, numeric=range(2, len(header) - 1), caption="Primary metric of test rows by share of inputs masked"
    )


def _importance(summary: Mapping[str, Any]) -> str:
    names = list(summary["tasks"])
    count = -(-len(names) // _TASKS_ABREAST)
    bounds = [round(k * len(names) / count) for k in range(count + 1)]
    parts = [names[first:end] for first, end in pairwise(bounds)]
    return figure(
        svg(figures.group_map(summary), "Heat map of the share of each task's attributions that each group has."),
        "Per cent of a task's absolute attributions, by group of inputs; a row adds up to 100. Groups with many columns can "
        "have much in sum though no column stands out.",
    ) + "".join(table(*_first_inputs(summary, part), caption=_FIRST_INPUTS) for part in parts)


def _first_inputs(summary: Mapping[str, Any], names: list[str]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of the most important inputs of some tasks."""
    found = [summary["tasks"][name]["importance"] for name in names]

    def cell(task: Mapping[str, Any], rank: int) -> str:
        entry = task["inputs"][rank]
        if not entry["mean_absolute"] > 0:
            return NOTHING
        return f"{entry['name']} {100 * entry['mean_absolute'] / task['total']:.1f}"

    depth = min(len(task["inputs"]) for task in found)
    return ["rank", *names], [[str(rank + 1), *(cell(task, rank) for task in found)] for rank in range(depth)]


def _completeness(summary: Mapping[str, Any]) -> str:
    rows = []
    for name, task in summary["tasks"].items():
        found = task["completeness"]
        rows.append(
            [
                name,
                digits(found["change"], 3),
                digits(found["gap"], 4),
                f"{100 * found['share']:.2f} %",
                f"{100 * task['experts']['gap_share']:.2f} %",
                "met" if found["met"] else "not met",
            ]
        )
    tolerance = 100 * summary["settings"]["tolerance"]
    return paragraph(
        "By the axiom of completeness a row's attributions add up to its output less the baseline's. What is missing is the "
        f"error of the sum that stands for the integral; up to {tolerance:.0f} % of the mean change counts as met."
    ) + table(
        [
            "task",
            "mean change of the output",
            "mean gap",
            "gap, inputs",
            "gap, experts",
            f"{tolerance:.0f} % for inputs",
        ],
        rows,
        numeric=(1, 2, 3, 4),
    )


def _limits(summary: Mapping[str, Any]) -> list[str]:
    return [
        "An attribution tells what the teacher's output rests on, not what moves the customer: columns that go together share "
        "the credit as the network happens to have learned it.",
        "Masked rows are unlike any customer. That a prediction moves says that the model reads the input there, as it does "
        "for every method that masks.",
        "Faithful to the model is not the same as right: a task of little skill is explained as faithfully as any other.",
        f"The sample is {summary['sample']['customers']:,} customers; a task of rare positives has few of them here.",
        "What customers are told comes from the students, whose attributions are exact (TreeSHAP), not from this page.",
    ]


def _slots(summary: Mapping[str, Any]) -> list[str]:
    return list(summary["slots"])
