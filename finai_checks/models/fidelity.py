"""C23: a student that copies its teacher agrees with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.labels.tasks import Task
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.students.card import read_card
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, declare
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.theme import Theme
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

STUDENT_FIDELITY = Kind(
    "C23",
    "student_fidelity",
    "the student agrees with its teacher on test rows within every floor, or does not copy it",
    blocking=True,
    minimum=1,
    units="rows",
    thresholds=("students.fidelity",),
)


def student_fidelity(task: str, student: Mapping[str, Any] | None) -> CheckOutcome:
    """Tell whether a distilled student agrees with its teacher on test rows within every floor; a missing one fails.

    Parameters
    ----------
    student
        ``student.json`` of the task, or None where there is none.
    """
    if student is None:
        return CheckOutcome.no_evidence(task=task)
    route, fidelity = student["route"], student.get("fidelity")
    if route != "DISTILL":
        rows = _evaluated_rows(student)
        return CheckOutcome(
            rows > 0, f"route {route}: {student.get('reason', '')}" if rows else NO_EVIDENCE, rows, {"route": route}, []
        )
    if not fidelity or not fidelity.get("verdicts") or not fidelity.get("n"):
        return CheckOutcome.no_evidence(route=route)
    failed = [entry for entry in fidelity["verdicts"] if not entry["passed"]]
    reason = "; ".join(f"{entry['measure']} {entry['observed']} (floor {entry['floor']})" for entry in failed)
    return CheckOutcome(
        not failed, reason, int(fidelity["n"]), {"route": route}, [dict(entry) for entry in fidelity["verdicts"]]
    )


def _evaluated_rows(student: Mapping[str, Any]) -> int:
    """Return the number of test rows that any of the student's metrics was computed on."""
    models = (student.get("metrics") or {}).get("test") or {}
    counts = [int(entry.get("n") or 0) for metrics in models.values() if metrics for entry in metrics.values()]
    return max(counts, default=0)


def _declare(platform: Platform) -> list[Declared]:
    return [
        declare(STUDENT_FIDELITY, f"students/{task.name}", _fidelity(task), platform.settings)
        for task in platform.available_tasks
    ]


def _fidelity(task: Task) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        return student_fidelity(task.name, read_card(session, f"students/{task.name}").values())

    return evaluate


def _canaries(_settings: Settings) -> list[Canary]:
    def card(**more: Any) -> dict[str, Any]:
        return {"route": "DISTILL", "reason": "", **more}

    def fidelity(observed: float, n: int = 100) -> dict[str, Any]:
        verdict = {"measure": "kl", "observed": observed, "floor": 0.2, "passed": observed <= 0.2}
        return {"n": n, "verdicts": [verdict]}

    def canary(label: str, expects: str | None, stored: dict[str, Any] | None) -> Canary:
        return Canary(STUDENT_FIDELITY, label, expects, lambda: student_fidelity("churn_signal", stored))

    metrics = {"test": {"student": {"auc": {"n": 100}}}}
    return [
        canary("a copy within its floors", None, card(fidelity=fidelity(0.1))),
        canary("a student of its own, evaluated", None, {"route": "DIRECT", "reason": "", "metrics": metrics}),
        canary("a copy over its floor", "kl 0.9 (floor 0.2)", card(fidelity=fidelity(0.9))),
        canary("a copy that was never compared", NO_EVIDENCE, card(fidelity=None)),
        canary("a copy compared on no row", NO_EVIDENCE, card(fidelity=fidelity(0.1, n=0))),
        canary("a student of its own that was never evaluated", NO_EVIDENCE, {"route": "DIRECT", "reason": ""}),
        canary("no student", NO_EVIDENCE, None),
    ]


def _lake_canaries() -> list[LakeCanary]:
    return []  # the small lake has no students; tests/finai_checks/test_blocking.py spoils one of the smoke job


THEME = Theme((STUDENT_FIDELITY,), _declare, _canaries, _lake_canaries)
