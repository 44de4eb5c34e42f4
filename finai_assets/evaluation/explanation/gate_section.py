"""The part of the explanations' page that asks whether a high gate weight is the sign of an expert that matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finai_assets.evaluation.explanation import figures
from finai_assets.evaluation.explanation.ablation_of_experts import CLOSED, REPLACED
from finai_assets.evaluation.explanation.wording import digits, interval, low
from finai_assets.evaluation.page import figure, paragraph, table
from finai_assets.evaluation.plots import svg


def row_sentence(tasks: Mapping[str, Any]) -> str:
    """Say whether a row's own weights tell what its experts are worth."""
    ordered = {
        key: _mean([task["gate"]["order_in_row"][key]["value"] for task in tasks.values()])
        for key in ("loss", "change")
    }
    across = {key: _mean([_over_rows(task, key) for task in tasks.values()]) for key in ("loss", "change")}
    return (
        f"Row by row: a row's weights order its experts by how far each moves the prediction with a rank correlation of "
        f"{digits(ordered['change'], 2)}, by what each adds to the row's loss with {digits(ordered['loss'], 2)} (means over "
        f"tasks). Over rows, an expert's weight goes with how far it moves the row with {digits(across['change'], 2)}, "
        f"and with what it adds to its loss with {digits(across['loss'], 2)}: 1 would be a faithful explanation, 0 none."
    )


def gate_sentence(gates: Mapping[str, Any]) -> str:
    """Say how a mean weight may be read."""
    loss, change = (low(gates[REPLACED][key]["within_tasks"]) for key in ("loss", "change"))
    if loss > 0 and change > 0:
        return "Within a task, a weight does tell which expert the prediction, and its accuracy, need more."
    if change > 0:
        return "Within a task, a weight tells which expert moves the prediction more, not which one makes it better."
    return "A weight must not be read as the importance of an expert."


def gate_section(summary: Mapping[str, Any]) -> str:
    """Return the body of the section."""
    ranks = []
    for way in (REPLACED, CLOSED):
        for key, title in (("loss", "loss increase"), ("change", "movement of the prediction")):
            found = summary["gates"][way][key]
            ranks.append([f"{title}, {way}", interval(found["over_all"], 2), interval(found["within_tasks"], 2)])
    rows = []
    for name, task in summary["tasks"].items():
        gate = task["gate"]
        top = gate["top_expert"][REPLACED]
        rows.append(
            [
                name,
                interval(gate["order_in_row"]["loss"], 2),
                interval(gate["order_in_row"]["change"], 2),
                *(digits(_over_rows(task, key), 2) for key in ("loss", "change")),
                digits(top["top"], 4),
                digits(top["random"], 4),
                digits(top["most_needed"], 4),
                top["verdict"],
            ]
        )
    return (
        paragraph(
            "The weights of a task's gate over the named experts look like an explanation. They are one if an expert with a "
            "high weight is missed when it is taken out. Experts are also read by the shared path to the later layers, so "
            "that an expert can matter to a task whose gate hardly weighs it."
        )
        + figure(
            svg(figures.expert_maps(summary), "Heat maps by task and expert: gate weight, attributions, movement."),
            "Left: the gate's mean weight. Middle: share of absolute integrated gradients with respect to what the experts say. "
            "Right: share of the movement of the prediction when the expert is replaced by its mean. Faithful gates would make "
            "the three alike.",
        )
        + figure(
            svg(figures.gates_against_worth(summary), "Scatter plots of gate weight against worth, a dot a task and expert."),
            "Each dot is an expert of a task, replaced by its train mean; scales are logarithmic. Left in per cent of the loss "
            "of the best constant, so that tasks can stand side by side; below zero the task was better off without it.",
        )
        + table(
            ["gate weight against", "over all tasks and experts", "within a task, mean"],
            ranks,
            numeric=(1, 2),
            caption=f"Rank correlations (Spearman) of mean gate weights, {summary['gates']['cells']} tasks × experts",
        )
        + table(
            ["task", "order in a row: loss", "order in a row: movement", "over rows: loss", "over rows: movement",
             "top expert", "random one", "most needed", "top against random"],
            rows,
            numeric=range(1, 8),
            caption="Row by row: rank correlation of the row's weights with what each expert's absence costs it, over its "
            "experts and over rows; and how far the prediction moves without the expert of highest weight",
        )
    )  # fmt: skip


def _over_rows(task: Mapping[str, Any], key: str) -> float | None:
    """Return the rank correlation over rows of weight and worth, mean over the experts."""
    return _mean([slot["over_rows"][key]["value"] for slot in task["gate"]["slots"].values()])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
