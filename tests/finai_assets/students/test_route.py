from __future__ import annotations

import pytest

from finai_assets.scoring.metrics import Estimate
from finai_assets.settings import Settings
from finai_assets.students.route import Policy, RouteEvidence, beats, choose_route, worth_copying

NAN = float("nan")


def _at(value: float) -> Estimate:
    return Estimate(value, value - 0.01, value + 0.01, 500)


CLEAR, NONE, WORSE = _at(0.1), Estimate(0.005, -0.02, 0.02, 500), _at(-0.1)
UNDEFINED = Estimate(NAN, NAN, NAN, 0, "no labelled rows")
GOOD = {"average_precision": _at(0.3), "prevalence": _at(0.05), "auc": _at(0.8)}
MAJORITY = {"log_loss": _at(0.75), "accuracy": _at(0.83)}
POOR = {"average_precision": _at(0.09), "prevalence": _at(0.05), "auc": _at(0.8)}


def _evidence(**changed: object) -> RouteEvidence:
    base: dict[str, object] = {
        "kind": "binary",
        "classes": 1,
        "teacher": GOOD,
        "prior": {},
        "trivial": "prior",
        "teacher_over_trivial": CLEAR,
        "direct_over_trivial": CLEAR,
        "direct_over_distilled": NONE,
    }
    return RouteEvidence(**{**base, **changed})  # type: ignore[arg-type]


def test_a_skilled_teacher_is_copied_and_the_reason_has_its_figures(chosen: Settings) -> None:
    route = choose_route(_evidence(), chosen.students)
    assert route.name == "DISTILL"
    assert "AUC 0.800 (asked: 0.60), average precision 0.300 (asked: 0.100)" in route.reason


def test_below_the_threshold_the_student_learns_the_labels(chosen: Settings) -> None:
    route = choose_route(_evidence(teacher=POOR, direct_over_distilled=None), chosen.students)
    assert route.name == "DIRECT"
    assert "average precision 0.090 (asked: 0.100)" in route.reason


def test_a_task_that_nobody_can_predict_is_left_to_the_rules(chosen: Settings) -> None:
    route = choose_route(_evidence(teacher_over_trivial=NONE, direct_over_trivial=NONE), chosen.students)
    assert route.name == "SKIP"
    assert "[-0.0200, +0.0200]" in route.reason


def test_what_serves_is_the_one_of_the_two_that_beats_the_trivial_forecast(chosen: Settings) -> None:
    only_teacher = _evidence(direct_over_trivial=WORSE)
    assert choose_route(only_teacher, chosen.students).name == "DISTILL"
    only_direct = choose_route(_evidence(teacher_over_trivial=WORSE, trivial="persistence"), chosen.students)
    assert only_direct.name == "DIRECT"
    assert "does not beat the trivial forecast (persistence)" in only_direct.reason


def test_what_is_just_significant_on_validation_does_not_serve_since_other_rows_would_seldom_show_it(
    chosen: Settings,
) -> None:
    just = Estimate(0.011, 0.001, 0.021, 500)  # 2.2 standard errors; 3.2 are asked
    assert beats(just, "auc", 0.5)
    assert not beats(just, "auc", 0.9)
    assert beats(Estimate(0.017, 0.007, 0.027, 500), "auc", 0.9)
    assert beats(Estimate(-0.017, -0.027, -0.007, 500), "log_loss", 0.9)
    assert not beats(UNDEFINED, "auc", 0.9)
    asked = chosen.students.model_copy(update={"assurance": 0.9})
    assert choose_route(_evidence(teacher_over_trivial=just, direct_over_trivial=just), asked).name == "SKIP"
    assert choose_route(_evidence(distilled_over_trivial=just), asked).name == "DIRECT"


@pytest.mark.parametrize("policy", ["better", "replicate"])
def test_a_copy_that_loses_what_its_teacher_has_over_the_trivial_forecast_does_not_serve(
    chosen: Settings, policy: str
) -> None:
    students = chosen.students.model_copy(update={"policy": policy})
    route = choose_route(_evidence(distilled_over_trivial=NONE, trivial="persistence"), students)
    assert route.name == "DIRECT"
    assert "the copy does not beat the trivial forecast (persistence)" in route.reason
    assert choose_route(_evidence(distilled_over_trivial=NONE, direct_over_trivial=NONE), students).name == "SKIP"
    assert choose_route(_evidence(distilled_over_trivial=CLEAR), students).name == "DISTILL"


@pytest.mark.parametrize("against", [{"teacher": POOR}, {"doubts": ("kl",)}])
def test_a_direct_student_below_the_trivial_forecast_serves_nothing(
    chosen: Settings, against: dict[str, object]
) -> None:
    route = choose_route(_evidence(**against, direct_over_trivial=NONE), chosen.students)
    assert route.name == "SKIP"
    assert "the direct student does not beat the trivial forecast (prior)" in route.reason


def test_without_evidence_against_the_trivial_forecast_the_task_is_skipped(chosen: Settings) -> None:
    route = choose_route(_evidence(teacher_over_trivial=UNDEFINED, direct_over_trivial=UNDEFINED), chosen.students)
    assert route.name == "SKIP"
    assert "undefined (no labelled rows)" in route.reason


def test_a_significantly_better_direct_student_is_preferred_unless_the_policy_is_to_replicate(chosen: Settings) -> None:
    better = _evidence(direct_over_distilled=CLEAR)
    assert chosen.students.policy == "replicate"
    assert choose_route(better, chosen.students).name == "DISTILL"
    assert choose_route(better, chosen.students, "better").name == "DIRECT"
    assert choose_route(better, chosen.students.model_copy(update={"policy": "better"})).name == "DIRECT"
    assert choose_route(_evidence(direct_over_distilled=WORSE), chosen.students, "better").name == "DISTILL"


@pytest.mark.parametrize("policy", ["better", "replicate"])
def test_an_unfaithful_copy_is_not_registered_as_one(chosen: Settings, policy: Policy) -> None:
    route = choose_route(_evidence(doubts=("kl 0.400 (at most 0.2)",)), chosen.students, policy)
    assert route.name == "DIRECT"
    assert "kl 0.400" in route.reason


def test_of_classes_a_smaller_log_loss_is_better(chosen: Settings) -> None:
    skilled = {"macro_f1": _at(0.8), "log_loss": _at(0.5)}
    several = {
        "kind": "multiclass",
        "classes": 4,
        "teacher": skilled,
        "prior": {"log_loss": _at(1.2), "accuracy": _at(0.4)},
    }
    beats = _evidence(**several, teacher_over_trivial=WORSE, direct_over_trivial=WORSE, direct_over_distilled=CLEAR)
    assert choose_route(beats, chosen.students).name == "DISTILL"
    loses = _evidence(**several, teacher_over_trivial=CLEAR, direct_over_trivial=CLEAR)
    assert choose_route(loses, chosen.students).name == "SKIP"


@pytest.mark.parametrize(
    ("kind", "classes", "teacher", "prior", "expected"),
    [
        ("binary", 1, GOOD, {}, True),
        ("binary", 1, {**GOOD, "auc": _at(0.59)}, {}, False),
        ("binary", 1, {**GOOD, "auc": UNDEFINED}, {}, False),
        # Twice a prevalence of .456 is .912, which the ceiling of no such task reaches; of one of .25 it can be asked.
        ("binary", 1, {"average_precision": _at(0.68), "prevalence": _at(0.456), "auc": _at(0.72)}, {}, True),
        ("binary", 1, {"average_precision": _at(0.68), "prevalence": _at(0.456), "auc": _at(0.59)}, {}, False),
        ("binary", 1, {"average_precision": _at(0.49), "prevalence": _at(0.25), "auc": _at(0.72)}, {}, False),
        # Where 83 % are one class, macro-F1 of 2/7 is reached by nobody.
        ("multiclass", 7, {"macro_f1": _at(0.15), "log_loss": _at(0.68)}, MAJORITY, True),
        ("multiclass", 7, {"macro_f1": _at(0.15), "log_loss": _at(0.76)}, MAJORITY, False),
        (
            "multiclass",
            50,
            {"macro_f1": _at(0.04), "log_loss": _at(3)},
            {"log_loss": _at(3.2), "accuracy": _at(0.1)},
            True,
        ),
        (
            "multiclass",
            50,
            {"macro_f1": _at(0.039), "log_loss": _at(3)},
            {"log_loss": _at(3.2), "accuracy": _at(0.1)},
            False,
        ),
        (
            "multiclass",
            50,
            {"macro_f1": _at(0.05), "log_loss": _at(3.3)},
            {"log_loss": _at(3.2), "accuracy": _at(0.1)},
            False,
        ),
        ("regression", 1, {"r2": _at(0.05)}, {}, True),
        ("regression", 1, {"r2": _at(0.049)}, {}, False),
    ],
)
def test_each_kind_has_its_threshold(
    chosen: Settings,
    kind: str,
    classes: int,
    teacher: dict[str, Estimate],
    prior: dict[str, Estimate],
    expected: bool,
) -> None:
    assert worth_copying(kind, classes, teacher, prior, chosen.students.teacher_threshold)[0] is expected
