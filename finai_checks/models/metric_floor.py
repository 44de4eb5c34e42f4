"""C18, the verdicts: a deployed model beats its minimum score and the trivial forecast on test rows, with its interval.

The floor of a binary task is an AUC, of a regression an R2; of several classes it is the trivial forecast itself, since no
log-loss is good or bad without one. The trivial forecast is the constant one or persistence, whichever was better on validation;
a model is compared with it on the same resamples of customers (a paired difference), so that what both share does not widen the
interval.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finai_assets.scoring.metrics import LOWER_IS_BETTER, PRIMARY
from finai_assets.settings.checks import MetricFloorSettings
from finai_checks.framework.check import NO_EVIDENCE, CheckOutcome

Figures = Mapping[str, Any]  # an estimate: value, low, high, n
_NAMED = 8


@dataclass(frozen=True, slots=True)
class ModelScore:
    """The score of a model on the test rows of a task.

    Parameters
    ----------
    positives : int
        Rows of the rarer outcome (binary), outside the most frequent class, or with a label (regression).
    own, over : dict
        Estimates of the primary metric and of its difference to the trivial forecast.
    """

    task: str
    kind: str
    who: str
    rows: int
    positives: int
    trivial: str
    own: Figures
    over: Figures

    def fault(self, rules: MetricFloorSettings) -> str:
        """Return why the model does not clear the floor, empty where it does."""
        metric = PRIMARY[self.kind]
        if self.positives < rules.positives:
            return f"{self.who}: {self.positives} positives, {rules.positives} are needed"
        floor, low = self.floor(rules), self.own.get("low")
        if floor is not None and (low is None or low <= floor):
            return f"{self.who}: {metric} {_interval(self.own)}, floor {floor:g}"
        bound = self.over.get("high" if metric in LOWER_IS_BETTER else "low")
        if bound is None or (bound >= 0 if metric in LOWER_IS_BETTER else bound <= 0):
            return (
                f"{self.who}: {metric} {_interval(self.over, signed=True)} over the trivial forecast ({self.trivial})"
            )
        return ""

    def floor(self, rules: MetricFloorSettings) -> float | None:
        """Return the floor of the kind of task; None where it is the trivial forecast."""
        return {"binary": rules.binary_auc, "regression": rules.regression_r2}.get(self.kind)

    def row(self, rules: MetricFloorSettings, fault: str) -> dict[str, Any]:
        """Return a row of the outcome's table."""
        return {
            "task": self.task,
            "who": self.who,
            "metric": PRIMARY[self.kind],
            "value": self.own.get("value"),
            "low": self.own.get("low"),
            "high": self.own.get("high"),
            "floor": self.floor(rules),
            "trivial": self.trivial,
            "over_trivial": self.over.get("value"),
            "over_low": self.over.get("low"),
            "over_high": self.over.get("high"),
            "rows": self.rows,
            "positives": self.positives,
            "fault": fault,
        }


def teacher_floor(
    evaluation: Mapping[str, Any] | None, tasks: Sequence[str], rules: MetricFloorSettings
) -> CheckOutcome:
    """Return whether every task of the teacher is evaluated and at least one is above its floor; name those below.

    A task below the floor is no failure here, since no student imitates it: :func:`student_floor` makes sure of that.

    Parameters
    ----------
    evaluation
        ``evaluation.json``, or None where there is none.
    tasks
        The tasks that the data set carries.
    """
    if not evaluation or not tasks:
        return CheckOutcome.no_evidence(tasks=len(tasks))
    stored = evaluation["tasks"]
    missing = [name for name in tasks if name not in stored or not stored[name]["test"]["n"]]
    scores = [_of_teacher(name, stored[name]) for name in tasks if name not in missing]
    faults = {score.task: score.fault(rules) for score in scores}
    below = [name for name, fault in faults.items() if fault]
    reasons = [f"no test row of {', '.join(missing)} is evaluated"] if missing else []
    if scores and len(below) == len(scores):
        reasons.append(f"no task is above the floor: {'; '.join(f'{n}: {faults[n]}' for n in below[:_NAMED])}")
    remark = f"below the floor, so not to be copied: {', '.join(below)}" if below else ""
    observed = {"tasks": len(tasks), "above": len(scores) - len(below), "below": below}
    table = [score.row(rules, faults[score.task]) for score in scores]
    rows = max((score.rows for score in scores), default=0)
    return CheckOutcome(not reasons, "; ".join(reasons) or remark, rows, observed, table)


def student_floor(
    task: str, card: Mapping[str, Any] | None, rules: MetricFloorSettings, *, withheld: bool = False
) -> CheckOutcome:
    """Return whether a deployed student clears the floor, and the teacher that it imitates too; a declared task may be below.

    Parameters
    ----------
    card
        ``student.json`` of the task, or None where there is none.
    withheld
        Whether its copy is over a fidelity floor and kept out of the bundle: then the direct student is deployed, and judged.
    """
    if card is None:
        return CheckOutcome.no_evidence(task=task)
    test = (card.get("metrics") or {}).get("test") or {}
    metric = PRIMARY[card["kind"]]
    rows = max((int(metrics[metric]["n"] or 0) for metrics in test.values() if metric in metrics), default=0)
    route = card["route"]
    if not rows:
        return CheckOutcome.no_evidence(task=task, route=route)
    if route == "SKIP":
        return CheckOutcome(True, f"route SKIP, the rules serve it: {card.get('reason', '')}", rows, {"route": route})
    judged = ("direct",) if withheld else ("student", "teacher") if route == "DISTILL" else ("student",)
    over = (card.get("trivial") or {}).get("over") or {}
    if any(who not in test or who not in over for who in judged):
        return CheckOutcome.no_evidence(task=task, route=route)
    scores = [_of_card(task, card, who) for who in judged]
    faults = [score.fault(rules) for score in scores]
    reason = "; ".join(fault for fault in faults if fault)
    table = [score.row(rules, fault) for score, fault in zip(scores, faults, strict=True)]
    own = scores[0].own
    observed = {"route": route, "deployed": judged[0], "metric": metric, "interval": [own.get("low"), own.get("high")],
                "positives": scores[0].positives}  # fmt: skip
    if reason and task in rules.declared:
        return CheckOutcome(True, f"declared ({rules.declared[task]}): {reason}", rows, observed, table)
    return CheckOutcome(not reason, reason, rows, observed, table)


def _of_teacher(name: str, entry: Mapping[str, Any]) -> ModelScore:
    test = entry["test"]
    return ModelScore(
        task=name,
        kind=entry["kind"],
        who="teacher",
        rows=test["n"],
        positives=_positives(entry["kind"], test["metrics"], "teacher"),
        trivial=test["trivial"],
        own=test["metrics"]["teacher"][PRIMARY[entry["kind"]]],
        over=test["teacher_minus"]["trivial"],
    )


def _of_card(name: str, card: Mapping[str, Any], who: str) -> ModelScore:
    test, kind = card["metrics"]["test"], card["kind"]
    own = test[who][PRIMARY[kind]]
    return ModelScore(
        task=name,
        kind=kind,
        who=who,
        rows=own["n"],
        positives=_positives(kind, test, who),
        trivial=card["trivial"]["name"],
        own=own,
        over=card["trivial"]["over"][who],
    )


def _positives(kind: str, metrics: Mapping[str, Mapping[str, Figures]], who: str) -> int:
    """Return the rows of the rarer outcome; outside the class that the constant forecast names; with a label."""
    if kind == "binary":
        share, n = metrics[who]["prevalence"].get("value"), metrics[who]["prevalence"]["n"]
        return 0 if share is None else round(min(share, 1 - share) * n)
    if kind == "multiclass":
        share, n = metrics["prior"]["accuracy"].get("value"), metrics["prior"]["accuracy"]["n"]
        return 0 if share is None else round((1 - share) * n)
    return int(metrics[who][PRIMARY[kind]]["n"])


def _interval(figures: Figures, *, signed: bool = False) -> str:
    if figures.get("value") is None:
        return f"undefined ({figures.get('note') or NO_EVIDENCE})"
    sign = "+" if signed else ""
    low, high = (("?" if figures.get(end) is None else format(figures[end], f"{sign}.4f")) for end in ("low", "high"))
    return f"{format(figures['value'], f'{sign}.4f')} [{low}, {high}]"
