"""C46, the verdicts on known truth: no model scores above the law that the panel was drawn from.

The law's own probabilities are the ceiling: no forecast from the past scores higher but by chance, so that a model that does has
seen the future. A model of the evaluation is above it where the whole interval of ``lift_share`` = (model - trivial) / (ceiling -
trivial), whose three figures come from the same resamples of customers, lies above 1: the paired difference model - ceiling is
then positive in all of the interval. Where the ceiling is not above the trivial forecast, and for students, whose figures are
resampled elsewhere, the model's interval must lie above the ceiling's own; that is the stricter demand, and says so less often.
A model exactly at the ceiling would be refused by chance in 1 of 40; those of the panel lie well below it. An interval from a
handful of events is none, so that a task with fewer than ``checks.metric_floor.positives`` is told and not judged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finai_assets.evaluation.models import CEILING
from finai_assets.scoring.metrics import LOWER_IS_BETTER
from finai_checks.framework.check import CheckOutcome


def models_not_above(evaluation: Mapping[str, Any] | None, tasks: Sequence[str], least: int) -> CheckOutcome:
    """Return whether no model of the evaluation lies above the ceiling of its task on test rows.

    Parameters
    ----------
    evaluation
        ``evaluation.json``, or None where there is none.
    tasks
        Those whose truth is known.
    least
        Rows of the rarer outcome, below which a task is not judged.
    """
    if not evaluation or not tasks:
        return CheckOutcome.no_evidence(tasks=len(tasks))
    rows: list[dict[str, Any]] = []
    few: list[str] = []
    for name in tasks:
        entry = evaluation["tasks"].get(name)
        if entry is None or CEILING not in entry["test"]["metrics"]:
            return CheckOutcome.no_evidence(task=name)
        if rare(entry) < least:
            few.append(name)
            continue
        test, metric = entry["test"], entry["metric"]
        top = test["metrics"][CEILING][metric]
        for model, figures in test["metrics"].items():
            if model == CEILING:
                continue
            lift = test["lift_share"].get(model) or {}
            if lift.get("low") is not None:
                rows.append(_row(name, model, "lift share", lift["value"], lift["low"], 1.0, lift["low"] > 1.0))
            else:
                rows.append(_beside(name, model, metric, figures[metric], top))
    return _outcome(rows, few, max(evaluation["tasks"][name]["test"]["n"] for name in tasks))


def students_not_above(
    evaluation: Mapping[str, Any] | None, cards: Mapping[str, Mapping[str, Any]], least: int
) -> CheckOutcome:
    """Return whether no student that serves lies above the ceiling of its task on test rows.

    Parameters
    ----------
    cards
        ``student.json`` by task, of the tasks whose truth is known.
    least
        As for :func:`models_not_above`.
    """
    if not evaluation or not cards:
        return CheckOutcome.no_evidence(tasks=len(cards))
    rows: list[dict[str, Any]] = []
    few: list[str] = []
    for name, card in cards.items():
        entry = evaluation["tasks"].get(name)
        test = (card.get("metrics") or {}).get("test") or {}
        if entry is None or CEILING not in entry["test"]["metrics"] or "teacher" not in test:
            return CheckOutcome.no_evidence(task=name)
        if rare(entry) < least:
            few.append(name)
            continue
        metric = entry["metric"]
        top = entry["test"]["metrics"][CEILING][metric]
        rows += [_beside(name, who, metric, figures[metric], top) for who, figures in test.items() if metric in figures]
    return _outcome(rows, few, max(evaluation["tasks"][name]["test"]["n"] for name in cards))


def rare(entry: Mapping[str, Any]) -> int:
    """Return the test rows of a task's rarer outcome, outside its most frequent class, or with a number."""
    test = entry["test"]
    if entry["kind"] == "binary":
        return int(min(test["positives"], test["n"] - test["positives"]))
    return int(test["n"] - max(test["classes"])) if entry["kind"] == "multiclass" else int(test["n"])


def _beside(task: str, model: str, metric: str, own: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Compare an interval with the ceiling's; an undefined figure is above nothing."""
    if metric in LOWER_IS_BETTER:
        limit, end = top.get("low"), own.get("high")
        above = limit is not None and end is not None and end < limit
    else:
        limit, end = top.get("high"), own.get("low")
        above = limit is not None and end is not None and end > limit
    return _row(task, model, metric, own.get("value"), end, limit, above)


def _row(
    task: str, model: str, compared: str, value: float | None, end: float | None, limit: float | None, above: bool
) -> dict[str, Any]:
    return {
        "task": task,
        "model": model,
        "compared": compared,
        "value": value,
        "nearer_end": end,
        "limit": limit,
        "above": above,
    }


def _outcome(rows: list[dict[str, Any]], few: list[str], n: int) -> CheckOutcome:
    if not rows:
        return CheckOutcome.no_evidence(too_few_events=few)
    above = [row for row in rows if row["above"]]
    reason = "; ".join(
        f"{row['task']}: {row['model']} lies above the ceiling ({row['compared']} from {row['nearer_end']:.3f} on, "
        f"limit {row['limit']:.3f})"
        for row in above
    )
    observed = {
        "compared": len(rows),
        "too_few_events": few,
        "above": [f"{row['task']}/{row['model']}" for row in above],
    }
    return CheckOutcome(not above, reason, n, observed, rows)
