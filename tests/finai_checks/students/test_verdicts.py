"""C22, C25, C43 and the count of copies: the bounds are exact, the floors are those of now, and nothing judged is no pass."""

from __future__ import annotations

from typing import Any

import pytest

from finai_assets.asset_graph import BUNDLE, FIDELITY, student_asset
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.checks import CalibrationSettings, ExplanationPreservedSettings
from finai_assets.students.card import CARD, untrained
from finai_assets.students.report.summary import FILE
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome
from finai_checks.framework.run import run_check
from finai_checks.models.fidelity_canaries import FAITHFUL, measured_copy
from finai_checks.students.calibration import calibrated, calibrated_in_the_large
from finai_checks.students.copies import enough_copies
from finai_checks.students.outperforms import not_above_teacher
from finai_checks.students.reasons import same_reasons
from finai_resources.json_text import to_json
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession


def estimate(value: float | None, low: float | None = 0.0, high: float | None = 1.0, n: int = 500) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": n, "note": ""}


@pytest.mark.parametrize(("ece", "passed"), [(0.05, True), (0.0501, False)])
def test_the_limit_of_the_calibration_error_is_exact_and_what_precedes_the_calibrator_is_not_judged(
    ece: float, *, passed: bool
) -> None:
    layers = {"served": {"calibrator": "isotonic", "before": estimate(0.3), "after": estimate(ece)}}
    outcome = calibrated({"tasks": {"t": {"calibration": layers}}}, CalibrationSettings(ece=0.05, in_the_large=2.0))
    assert (outcome.passed, outcome.n, outcome.observed["worst"]) == (passed, 500, ece)
    assert outcome.table[0]["before"] == 0.3


@pytest.mark.parametrize(
    ("observed", "expected", "passed"),
    # Garwood's 95 % intervals: 20 of a Poisson count are 12.22 to 30.89, none are 0 to 3.689
    [(20, 12.22 / 2 + 0.01, True), (20, 12.22 / 2 - 0.01, False), (20, 61.7, True), (20, 61.9, False),
     (0, 7.37, True), (0, 7.39, False), (0, 0.0, True), (1, 0.0, False)],
)  # fmt: skip
def test_a_count_is_refused_where_its_whole_interval_is_beyond_twice_or_half_of_what_is_expected(
    observed: int, expected: float, *, passed: bool
) -> None:
    layers = {"served": {"after": {"n": 500}, "observed": observed, "expected": expected}}
    rules = CalibrationSettings(ece=0.05, in_the_large=2.0)
    outcome = calibrated_in_the_large({"tasks": {"t": {"calibration": layers}}}, rules, 0.95)
    assert (outcome.passed, outcome.n) == (passed, 500)
    assert passed or f"t (served): {observed} come true where {expected:.1f} are expected" in outcome.reason


def explained(overlap: float, signs: float, *, groups: float = 1.0, compared: int = 40) -> dict[str, Any]:
    def entry(value: float) -> dict[str, Any]:
        return {"compared": compared, "overlap": estimate(value), "sign_agreement": estimate(signs)}

    return {"rows": 40, "read_share": 0.5, "inputs": entry(overlap), "groups": entry(groups)}


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (explained(0.6, 0.9), ""),
        (explained(0.599, 0.9), "t: overlap of inputs 0.599 (at least 0.6)"),
        (explained(0.6, 0.9, groups=0.59), "t: overlap of groups 0.590 (at least 0.6)"),
        (explained(0.6, 0.899), "t: sign agreement of inputs 0.899 (at least 0.9); "
         "t: sign agreement of groups 0.899 (at least 0.9)"),
        (explained(1.0, 1.0, compared=0), "no_evidence"),
        (None, "no_evidence"),
    ],
)  # fmt: skip
def test_the_floors_of_reasons_are_exact(found: dict[str, Any] | None, told: str) -> None:
    rules = ExplanationPreservedSettings(overlap=0.6, sign_agreement=0.9)
    outcome = same_reasons({"tasks": {"t": {"route": "DISTILL", "explanations": found}}}, rules)
    assert (outcome.passed, outcome.reason) == (not told, told)


def test_one_copy_that_was_never_explained_fails_beside_one_that_was() -> None:
    rules = ExplanationPreservedSettings(overlap=0.6, sign_agreement=0.9)
    tasks = {
        "t": {"route": "DISTILL", "explanations": explained(1, 1)},
        "u": {"route": "DISTILL", "explanations": None},
    }
    outcome = same_reasons({"tasks": tasks}, rules)
    assert not outcome.passed
    assert outcome.reason.startswith("u: overlap of inputs is not defined")
    tasks["u"]["route"] = "DIRECT"
    assert same_reasons({"tasks": tasks}, rules).passed


@pytest.mark.parametrize(
    ("kind", "low", "high", "passed"),
    [
        ("binary", 0.0, 0.2, True),
        ("binary", 0.001, 0.2, False),
        ("binary", -0.2, -0.1, True),
        ("regression", 0.001, 0.2, False),
        ("multiclass", -0.2, 0.0, True),
        ("multiclass", -0.2, -0.001, False),
        ("multiclass", 0.1, 0.2, True),
    ],
)
def test_a_copy_is_above_its_teacher_by_its_whole_interval_alone(
    kind: str, low: float, high: float, *, passed: bool
) -> None:
    card = {"route": "DISTILL", "kind": kind, "metrics": {}, "over_teacher": estimate((low + high) / 2, low, high)}
    assert not_above_teacher(card).passed is passed
    assert not_above_teacher({**card, "route": "DIRECT"}).passed


def test_a_difference_without_an_interval_is_no_evidence_and_a_skipped_task_counts_its_rows() -> None:
    card = {"route": "DISTILL", "kind": "binary", "metrics": {}, "over_teacher": estimate(0.1, None, None)}
    assert not_above_teacher(card).reason == "no_evidence"
    test = {"test": {"teacher": {"auc": estimate(0.6, n=70)}}}
    outcome = not_above_teacher({"route": "SKIP", "kind": "binary", "metrics": test, "over_teacher": None})
    assert (outcome.passed, outcome.n) == (True, 70)


def test_a_stricter_floor_takes_a_copy_from_the_count_without_training(settings: Settings) -> None:
    students = settings.students.model_copy(update={"minimum_copies": 1})
    summary = {"tasks": {"t": measured_copy("binary", FAITHFUL, students.fidelity)}}
    assert enough_copies(summary, ["t"], students).passed
    strict = students.model_copy(update={"fidelity": students.fidelity.model_copy(update={"kl": 1e-9})})
    outcome = enough_copies(summary, ["t"], strict)
    assert outcome.reason.startswith(
        "0 of 1 tasks are served by a faithful copy, 1 are needed; t: a copy that misses a"
    )


def test_a_task_of_the_data_set_that_is_not_among_the_students_needs_a_reason_too(settings: Settings) -> None:
    students = settings.students.model_copy(update={"minimum_copies": 1})
    summary = {"tasks": {"t": measured_copy("binary", FAITHFUL, students.fidelity)}}
    assert "u: no student" in enough_copies(summary, ["t", "u"], students).reason
    accepted = students.model_copy(update={"accepted": {"u": "nobody acts on it"}})
    assert enough_copies(summary, ["t", "u"], accepted).passed


def outcome_of(name: str, asset: str, lake: Lake, settings: Settings) -> CheckOutcome:
    platform = Platform.of(settings)
    check = next(each for each in declared_checks(platform) if (each.name, each.asset) == (name, asset))
    assert check.blocking == (name == "calibration_in_the_large")
    return run_check(check, CheckContext(LakeSession(lake), platform))


def test_the_checks_read_what_is_stored(lake: Lake, settings: Settings) -> None:
    names = [task.name for task in Platform.of(settings).available_tasks]
    copy = measured_copy("binary", FAITHFUL, settings.students.fidelity)
    served = {"calibrator": "none", "before": estimate(0.01), "after": estimate(0.01), "observed": 20, "expected": 21.5}
    told = {**copy, "calibration": {"served": served}, "explanations": explained(0.9, 0.95)}
    with lake.write(FIDELITY) as out:
        out.put(FILE, to_json({"tasks": dict.fromkeys(names, told)}))
    for name in ("calibration", "calibration_in_the_large", "enough_copies", "explanation_preserved"):
        found = outcome_of(name, FIDELITY, lake, settings)
        assert found.passed, found.reason
    asset = student_asset("churn_signal")
    with lake.write(asset) as out:
        card = untrained("churn_signal", route="DISTILL", over_teacher=estimate(0.1, 0.05, 0.15))
        out.put(CARD, card.to_bytes())
    assert "auc +0.1000" in outcome_of("student_outperforms_teacher", asset, lake, settings).reason


def test_what_is_missing_in_the_lake_is_a_failure(lake: Lake, settings: Settings) -> None:
    for name in ("calibration", "calibration_in_the_large", "enough_copies", "explanation_preserved"):
        assert not outcome_of(name, FIDELITY, lake, settings).passed


def test_only_one_of_them_stops_a_run_and_a_bundle() -> None:
    platform = Platform.of(load_settings("synthetic", "demo"))
    found = [c for c in declared_checks(platform) if c.asset == FIDELITY or c.name == "student_outperforms_teacher"]
    assert {check.name for check in found if check.blocking} == {"calibration_in_the_large"}
    assert len(found) == 4 + len(platform.available_tasks)
    assert (FIDELITY, None) in platform.graph.asked(BUNDLE)  # which a warning does not close


def test_a_promotion_can_ask_for_the_count_as_the_bundle_stands_for_what_is_told_of_its_students() -> None:
    platform = Platform.of(load_settings("synthetic", "demo"))
    stands_for = [path for path, read in platform.graph.reads(BUNDLE) if not read.data]
    assert FIDELITY in stands_for
    assert platform.graph.downstream([FIDELITY], [BUNDLE]) == []  # a page made again makes no bundle stale
