"""C18: what serves, and what is copied, is better than its floor and than what needs no model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from finai_assets.labels.tasks import Task
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.settings.checks import MetricFloorSettings
from finai_assets.students.card import CARD, read_card
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, declare
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import STUDENT, SmallLake
from finai_checks.framework.theme import Theme
from finai_checks.models.metric_floor import student_floor, teacher_floor
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

EVALUATION_ASSET, EVALUATION = "teacher/evaluation", "evaluation.json"

METRIC_FLOOR = Kind(
    "C18",
    "metric_floor",
    "on test rows the interval of what serves a task lies above its floor and above the trivial forecast, and that of a teacher "
    "that is copied; every task of the teacher is evaluated, and what is below the floor is named and not copied",
    blocking=True,
    minimum=1,
    units="test rows",
    thresholds=("checks.metric_floor", "metrics.confidence"),
    binds="checks.metric_floor.binding",
)


def _declare(platform: Platform) -> list[Declared]:
    settings = platform.settings
    return [
        declare(METRIC_FLOOR, EVALUATION_ASSET, _teacher(platform), settings),
        *(
            declare(METRIC_FLOOR, f"students/{task.name}", _student(platform, task), settings)
            for task in platform.available_tasks
        ),
    ]


def _teacher(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        stored = session.read_json(EVALUATION_ASSET, None, EVALUATION)
        return teacher_floor(stored, [task.name for task in platform.available_tasks], _chosen(platform))

    return evaluate


def _student(platform: Platform, task: Task) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        return student_floor(task.name, read_card(session, f"students/{task.name}").values(), _chosen(platform))

    return evaluate


def _chosen(platform: Platform) -> MetricFloorSettings:
    return platform.settings.checks.metric_floor


# ---- proof


def _estimate(value: float, half: float = 0.02, n: int = 1000) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "n": n, "note": ""}


def _metrics(kind: str, value: float, *, positives: int, half: float) -> dict[str, Any]:
    if kind == "binary":
        return {"auc": _estimate(value, half), "prevalence": _estimate(positives / 1000)}
    if kind == "multiclass":
        return {"log_loss": _estimate(value, half), "accuracy": _estimate(1 - positives / 1000)}
    return {"r2": _estimate(value, half, n=positives)}


def _canaries(settings: Settings) -> list[Canary]:
    chosen = settings.checks.metric_floor.model_copy(
        update={"declared": {"told": "the rules read its score as a hint only"}}
    )

    def card(kind: str = "binary", value: float = 0.7, *, over: float = 0.2, route: str = "DIRECT", positives: int = 200,
             half: float = 0.02, trivial: str = "prior", teacher: float = 0.75) -> dict[str, Any]:  # fmt: skip
        served = {"student": value} if route != "SKIP" else {}
        test = {
            who: _metrics(kind, of, positives=positives, half=half)
            for who, of in {**served, "teacher": teacher, "prior": 0.5}.items()
        }
        told = {who: _estimate(over if who == "student" else teacher - 0.5, half) for who in (*served, "teacher")}
        return {"route": route, "kind": kind, "reason": "", "metrics": {"test": test},
                "trivial": {"name": trivial, "over": told}}  # fmt: skip

    def student(
        label: str, expects: str | None, stored: Mapping[str, Any] | None, task: str = "churn_signal"
    ) -> Canary:
        return Canary(METRIC_FLOOR, label, expects, lambda: student_floor(task, stored, chosen))

    def evaluation(**values: float) -> dict[str, Any]:
        tasks = {}
        for name, value in values.items():
            metrics = _metrics("binary", value, positives=200, half=0.02)
            tasks[name] = {"kind": "binary", "test": {
                "n": 1000, "metrics": {"teacher": metrics}, "trivial": "prior",
                "teacher_minus": {"trivial": _estimate(value - 0.5)}}}  # fmt: skip
        return {"tasks": tasks}

    def teacher(label: str, expects: str | None, stored: Mapping[str, Any] | None) -> Canary:
        return Canary(METRIC_FLOOR, label, expects, lambda: teacher_floor(stored, ["a", "b"], chosen))

    unmeasured = card()
    unmeasured["trivial"]["over"] = {}
    return [
        student("a student above its floor", None, card()),
        student("a copy above the floor, of a teacher above it", None, card(route="DISTILL")),
        student("classes told better than by persistence", None, card("multiclass", 0.5, over=-0.1, trivial="persistence")),
        student("a regression that explains something", None, card("regression", 0.08, over=0.08)),
        student("a task that the rules serve", None, card(route="SKIP")),
        student("a student below the floor that is declared", None, card(value=0.56), task="told"),
        student("an interval that reaches below the floor", "student: auc 0.5600 [0.5400, 0.5800], floor 0.55", card(value=0.56)),
        student("a regression that may explain nothing", "student: r2 0.0100 [-0.0100, 0.0300], floor 0",
                card("regression", 0.01, over=0.01)),
        student("49 positives", "49 positives, 50 are needed", card(positives=49)),
        student("better than the prior, worse than persistence", "over the trivial forecast (persistence)",
                card("multiclass", 0.057, over=0.001, half=0.0005, trivial="persistence")),
        student("no clear gain over the trivial forecast", "auc +0.0100 [-0.0100, +0.0300] over the trivial", card(over=0.01)),
        student("a good copy of a teacher below the floor", "teacher: auc 0.5600", card(route="DISTILL", teacher=0.56)),
        student("a student that was never compared with the trivial forecast", NO_EVIDENCE, unmeasured),
        student("a student that was never evaluated", NO_EVIDENCE, {"route": "DIRECT", "kind": "binary", "metrics": {}}),
        student("no student", NO_EVIDENCE, None),
        teacher("a teacher with one task below the floor, which is named", None, evaluation(a=0.7, b=0.52)),
        teacher("a task that is missing", "no test row of b is evaluated", evaluation(a=0.7)),
        teacher("a teacher that is above no floor", "no task is above the floor", evaluation(a=0.52, b=0.53)),
        teacher("no evaluation", NO_EVIDENCE, None),
    ]  # fmt: skip


def _lake_canaries() -> list[LakeCanary]:
    student = f"students/{STUDENT}"
    return [
        LakeCanary(METRIC_FLOOR, student, "a student as it was measured"),
        LakeCanary(METRIC_FLOOR, student, "the same student measured on customers whose labels were exchanged",
                   "floor 0.55", _labels_exchanged),
    ]  # fmt: skip


def _labels_exchanged(small: SmallLake) -> None:
    """Measure the student on test labels of other customers, and keep the route that validation rows chose."""
    card = json.loads(small.files(f"students/{STUDENT}")[CARD])
    small.exchange_labels(STUDENT, "test")
    small.distil(STUDENT)
    again = json.loads(small.files(f"students/{STUDENT}")[CARD])
    assert again["route"] == card["route"]  # noqa: S101 - test rows choose nothing


THEME = Theme((METRIC_FLOOR,), _declare, _canaries, _lake_canaries)
