"""The cells of the tables on the explanations' page: a task's row, without its name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from finai_assets.evaluation.explanation.ablation_of_experts import REPLACED
from finai_assets.evaluation.explanation.deletion import ATTRIBUTED, BEATS, DEVIATION, LOSES, RANDOM, UNCLEAR
from finai_assets.evaluation.explanation.wording import NOTHING, digits, interval

Task = Mapping[str, Any]
_METRICS = {"auc": "AUC", "log_loss": "log-loss", "r2": "R²"}
_SHOWN: Mapping[str, str] = {BEATS: "yes", UNCLEAR: "not shown", LOSES: "less"}
_TASKS_ABREAST = 4  # columns of a table that fits the page


def deletion(task: Task) -> list[str]:
    """Return how far the prediction moves by order of masking, and what beats what."""
    area = task["deletion"]["change"]["area"]
    return [
        *(digits(area[order]["value"], 4) for order in (ATTRIBUTED, DEVIATION, RANDOM)),
        interval(area["attributed_minus_random"], 4),
        task["deletion"]["verdict"],
        interval(area["attributed_minus_deviation"], 4),
    ]


def shares_shown(tasks: Mapping[str, Task]) -> list[str]:
    """Return the names of the columns that hold the metric at the least and at the middle share masked."""
    shares = next(iter(tasks.values()))["deletion"]["shares"]
    return [f"{100 * shares[k]:.0f} %: attributed / random" for k in _least_and_middle(shares)]


def skill(task: Task) -> list[str]:
    """Return the primary metric as inputs are masked, and what is lost beyond random."""
    found = task["deletion"]["skill"]
    return [
        _METRICS[found["metric"]],
        f"{found['n']:,}",
        digits(found["full"], 3),
        *(
            " / ".join(digits(found[order][k], 3) for order in (ATTRIBUTED, RANDOM))
            for k in _least_and_middle(task["deletion"]["shares"])
        ),
        interval(found["area"]["attributed_minus_random"], 3),
        _SHOWN[task["deletion"]["verdict_skill"]],
    ]


def first_inputs(tasks: Mapping[str, Task]) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Yield header and rows of the most important inputs, a few tasks at a time."""
    names = list(tasks)
    count = -(-len(names) // _TASKS_ABREAST)
    for first, end in pairwise(round(k * len(names) / count) for k in range(count + 1)):
        found = [tasks[name]["importance"] for name in names[first:end]]
        depth = min(len(each["inputs"]) for each in found)
        yield (
            ["rank", *names[first:end]],
            [[str(rank + 1), *(_input(each, rank) for each in found)] for rank in range(depth)],
        )


def gate(task: Task) -> list[str]:
    """Return how a row's gate weights go with what its experts are worth."""
    found, top = task["gate"], task["gate"]["top_expert"][REPLACED]
    return [
        *(interval(found["order_in_row"][key], 2) for key in ("loss", "change")),
        *(digits(_over_rows(task, key), 2) for key in ("loss", "change")),
        *(digits(top[expert], 4) for expert in ("top", "random", "most_needed")),
        top["verdict"],
    ]


def completeness(task: Task) -> list[str]:
    """Return how far attributions add up to the change of the output."""
    found = task["completeness"]
    return [
        digits(found["change"], 3),
        digits(found["gap"], 4),
        f"{100 * found['share']:.2f} %",
        f"{100 * task['experts']['gap_share']:.2f} %",
        "met" if found["met"] else "not met",
    ]


def order_in_row(tasks: Mapping[str, Task], key: str) -> str:
    """Return the rank correlation of weight and worth over a row's experts, mean over tasks."""
    return digits(_mean([task["gate"]["order_in_row"][key]["value"] for task in tasks.values()]), 2)


def over_rows(tasks: Mapping[str, Task], key: str) -> str:
    """Return the rank correlation of an expert's weight and worth over rows, mean over tasks."""
    return digits(_mean([_over_rows(task, key) for task in tasks.values()]), 2)


def _least_and_middle(shares: Sequence[float]) -> list[int]:
    return sorted({0, len(shares) // 2})


def _input(importance: Mapping[str, Any], rank: int) -> str:
    entry = importance["inputs"][rank]
    if not entry["mean_absolute"] > 0:
        return NOTHING
    return f"{entry['name']} {100 * entry['mean_absolute'] / importance['total']:.1f}"


def _over_rows(task: Task, key: str) -> float | None:
    """Return the rank correlation over rows of weight and worth, mean over the experts."""
    return _mean([slot["over_rows"][key]["value"] for slot in task["gate"]["slots"].values()])


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
