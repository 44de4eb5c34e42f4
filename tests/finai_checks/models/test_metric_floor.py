"""C18: below the floor, nothing serves and nothing is copied unless it is declared; what cannot be judged is no pass."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from vouched import tell

from finai_assets.asset_graph import EVALUATION
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.checks import MetricFloorSettings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext
from finai_checks.framework.run import run_check
from finai_checks.gates import CheckGates
from finai_checks.models.checks import METRIC_FLOOR
from finai_checks.models.metric_floor import student_floor, teacher_floor
from finai_resources.errors import GateError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import SecretStore


@pytest.fixture(scope="module")
def rules(settings: Settings) -> MetricFloorSettings:
    return settings.checks.metric_floor


def figures(value: float, low: float, high: float, n: int = 1000) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n, "note": ""}


def card(low: float = 0.6, *, over: float = 0.1, share: float = 0.1, route: str = "DIRECT") -> dict[str, Any]:
    own = {"auc": figures(low + 0.05, low, low + 0.1), "prevalence": figures(share, 0, 1)}
    return {
        "kind": "binary",
        "route": route,
        "metrics": {"test": {"student": own, "teacher": own, "prior": own}},
        "trivial": {"name": "prior", "over": dict.fromkeys(("student", "teacher"), figures(over + 0.05, over, 1))},
    }


@pytest.mark.parametrize(
    ("low", "over", "share", "expects"),
    [
        (0.551, 0.01, 0.05, ""),
        (0.55, 0.01, 0.05, "floor 0.55"),
        (0.6, 0.0, 0.05, "over the trivial forecast"),
        (0.6, 0.01, 0.0494, "49 positives"),
        (0.6, 0.01, 0.9506, "49 positives"),  # the rarer outcome, whichever it is
    ],
)
def test_each_bound_is_exact(rules: MetricFloorSettings, low: float, over: float, share: float, expects: str) -> None:
    outcome = student_floor("t", card(low, over=over, share=share), rules)
    assert outcome.passed is (not expects)
    assert expects in outcome.reason


def test_an_interval_that_does_not_exist_is_below_the_floor(rules: MetricFloorSettings) -> None:
    stored = card()
    stored["metrics"]["test"]["student"] = {
        "auc": {"value": 0.8, "low": None, "high": None, "n": 1000, "note": "too few customers of one class"},
        "prevalence": figures(0.1, 0, 1),
    }
    assert student_floor("t", stored, rules).reason == "student: auc 0.8000 [?, ?], floor 0.55"


def test_a_declaration_excuses_a_low_figure_and_not_a_missing_one(rules: MetricFloorSettings) -> None:
    declared = rules.model_copy(update={"declared": {"t": "a reason that is long enough"}})
    outcome = student_floor("t", card(0.4), declared)
    assert outcome.passed
    assert outcome.reason.startswith("declared (a reason that is long enough): student: auc")
    assert not student_floor("other", card(0.4), declared).passed
    assert not student_floor("t", None, declared).passed


def test_the_teacher_counts_only_where_it_is_copied(rules: MetricFloorSettings) -> None:
    stored = card(route="DIRECT")
    stored["metrics"]["test"]["teacher"] = {**stored["metrics"]["test"]["teacher"], "auc": figures(0.5, 0.45, 0.55)}
    assert student_floor("t", stored, rules).passed
    outcome = student_floor("t", {**stored, "route": "DISTILL"}, rules)
    assert outcome.reason == "teacher: auc 0.5000 [0.4500, 0.5500], floor 0.55"


def test_of_classes_the_rows_outside_the_most_frequent_one_are_counted(rules: MetricFloorSettings) -> None:
    def stored(accuracy: float, high: float) -> dict[str, Any]:
        own = {"log_loss": figures(0.05, 0.04, 0.06), "accuracy": figures(accuracy, 0, 1)}
        return {
            "kind": "multiclass",
            "route": "DIRECT",
            "metrics": {"test": {"student": own, "prior": own}},
            "trivial": {"name": "persistence", "over": {"student": figures(high - 0.1, high - 0.2, high)}},
        }

    assert student_floor("t", stored(0.9, -0.001), rules).passed
    assert "49 positives" in student_floor("t", stored(0.951, -0.001), rules).reason
    assert "(persistence)" in student_floor("t", stored(0.9, 0.0), rules).reason


def test_the_tasks_of_the_teacher_below_the_floor_are_named_where_it_passes(rules: MetricFloorSettings) -> None:
    def entry(low: float) -> dict[str, Any]:
        stored = card(low)
        teacher = stored["metrics"]["test"]["teacher"]
        over = stored["trivial"]["over"]["teacher"]
        test = {"n": 1000, "metrics": {"teacher": teacher}, "trivial": "prior", "teacher_minus": {"trivial": over}}
        return {"kind": "binary", "test": test}

    outcome = teacher_floor({"tasks": {"a": entry(0.6), "b": entry(0.5)}}, ["a", "b"], rules)
    assert outcome.passed
    assert outcome.reason == "below the floor, so not to be copied: b"
    assert outcome.observed["above"] == 1
    unseen = {"kind": "binary", "test": {**entry(0.6)["test"], "n": 0}}
    assert "no test row of b" in teacher_floor({"tasks": {"a": entry(0.6), "b": unseen}}, ["a", "b"], rules).reason


@pytest.mark.parametrize(("profile", "blocks"), [("demo", True), ("smoke", False)])
def test_the_setting_decides_whether_a_failure_closes_the_gate_and_it_is_recorded_either_way(
    tmp_path: Path, profile: str, *, blocks: bool
) -> None:
    platform, lake = Platform.of(load_settings("synthetic", profile), SecretStore(tmp_path)), Lake.on_disk(tmp_path)
    checks = [check for check in declared_checks(platform) if check.kind == METRIC_FLOOR]
    assert {check.asset for check in checks} == {
        EVALUATION,
        *(f"students/{task.name}" for task in platform.available_tasks),
    }
    assert {check.blocking for check in checks} == {blocks}
    with lake.write(EVALUATION) as out:
        out.put("evaluation.json", b'{"tasks": {}}')
    check = next(check for check in checks if check.asset == EVALUATION)
    outcome = run_check(check, CheckContext(LakeSession(lake), platform))
    assert not outcome.passed
    others = [other for other in declared_checks(platform) if other.asset == EVALUATION and other.kind != METRIC_FLOOR]
    tell(lake, platform, [(other, None) for other in others if not other.kind.audit])
    if blocks:
        with pytest.raises(GateError, match="metric_floor on teacher/evaluation: no test row of"):
            CheckGates(platform).demand(lake, [(EVALUATION, None)])
    else:
        CheckGates(platform).demand(lake, [(EVALUATION, None)])
