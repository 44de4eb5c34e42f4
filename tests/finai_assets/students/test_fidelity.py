from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit, rel_entr, softmax

from finai_assets.settings import Settings
from finai_assets.students.fidelity import (
    Fidelity,
    FidelityVerdict,
    compare_fidelity,
    compare_stored,
    measure_fidelity,
)

N = 2000
RNG = np.random.default_rng(0)
SCORE = RNG.normal(-1, 1.5, N)
SCORES = RNG.normal(0, 1.5, (N, 4))
TEACHER = {"binary": expit(SCORE), "multiclass": softmax(SCORES, axis=1), "regression": SCORE}
COPY = {
    "binary": expit(SCORE + RNG.normal(0, 0.1, N)),
    "multiclass": softmax(SCORES + RNG.normal(0, 0.1, (N, 4)), axis=1),
    "regression": SCORE + RNG.normal(0, 0.1, N),
}
UNRELATED = {kind: RNG.permutation(values) for kind, values in TEACHER.items()}
LABEL = {
    "binary": (RNG.random(N) < TEACHER["binary"]).astype(float),
    "multiclass": (TEACHER["multiclass"].cumsum(axis=1) > RNG.random((N, 1))).argmax(axis=1).astype(float),
    "regression": SCORE + RNG.normal(0, 1, N),
}
KINDS = list(TEACHER)


def _measure(kind: str, student: np.ndarray, settings: Settings, label: np.ndarray | None = None) -> FidelityVerdict:
    threshold = 0.4 if kind == "binary" else None
    known = LABEL[kind] if label is None else label
    fidelity = measure_fidelity(kind, TEACHER[kind], student, known, threshold=threshold)
    return compare_fidelity(kind, fidelity, settings.students.fidelity)


@pytest.mark.parametrize("kind", KINDS)
def test_a_close_copy_keeps_every_floor(kind: str, chosen: Settings) -> None:
    found = _measure(kind, COPY[kind], chosen)
    assert found.passed, found.failures
    assert found.n == found.labelled == N
    assert {entry.measure for entry in found.floors} == {"kl", *getattr(chosen.students.fidelity, kind)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_teacher_itself_is_its_perfect_copy(kind: str, chosen: Settings) -> None:
    found = _measure(kind, TEACHER[kind], chosen)
    assert found.observed("kl") == pytest.approx(0, abs=1e-9)
    for entry in found.floors:
        perfect = 1 if entry.measure in {"agreement", "rank_correlation", "quartile_agreement"} else 0
        assert entry.observed == pytest.approx(perfect, abs=1e-9), entry.measure


@pytest.mark.parametrize(
    ("kind", "measure"),
    [("binary", "rank_correlation"), ("multiclass", "agreement"), ("regression", "quartile_agreement")],
)
def test_a_prediction_with_the_teachers_distribution_but_not_its_customers_fails(
    kind: str, measure: str, chosen: Settings
) -> None:
    found = _measure(kind, UNRELATED[kind], chosen)
    assert not found.passed
    assert any(failure.startswith(measure) for failure in found.failures)


def test_a_constant_student_fails_even_where_positives_are_rare(chosen: Settings) -> None:
    found = _measure("binary", np.full(N, 0.05), chosen)
    assert "rank_correlation is not defined" in found.failures


def test_divergence_is_that_of_the_teacher_from_the_student(chosen: Settings) -> None:
    found = _measure("multiclass", UNRELATED["multiclass"], chosen)
    expected = rel_entr(TEACHER["multiclass"], UNRELATED["multiclass"]).sum(axis=1).mean()
    assert found.observed("kl") == pytest.approx(expected, rel=1e-6)
    assert found.observed("jsd") <= np.log(2)


def test_a_shifted_regression_is_seen_by_its_distribution_and_its_error(chosen: Settings) -> None:
    found = _measure("regression", SCORE + 2, chosen)
    assert found.observed("rank_correlation") == pytest.approx(1)
    assert {failure.split()[0] for failure in found.failures} == {"kl", "mae_gap", "rmse_gap"}


def test_masked_rows_count_for_agreement_and_not_for_gaps(chosen: Settings) -> None:
    label = np.where(np.arange(N) % 2 == 0, LABEL["binary"], np.nan)
    found = _measure("binary", COPY["binary"], chosen, label)
    assert (found.n, found.labelled) == (N, N // 2)
    assert found.observed("agreement") == _measure("binary", COPY["binary"], chosen).observed("agreement")


def test_without_labels_the_gaps_are_undefined_and_that_fails(chosen: Settings) -> None:
    found = _measure("binary", COPY["binary"], chosen, np.full(N, np.nan))
    assert set(found.failures) == {"auc_gap is not defined", "calibration_gap is not defined"}


def test_what_is_stored_is_what_was_measured(chosen: Settings) -> None:
    found = _measure("binary", np.full(N, 0.05), chosen)
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored["passed"] is False
    assert any(entry["observed"] is None for entry in stored["verdicts"])
    assert FidelityVerdict.from_json(stored).failures == found.failures


@pytest.mark.parametrize("kind", KINDS)
def test_stored_figures_are_compared_again_without_training(kind: str, chosen: Settings) -> None:
    floors = chosen.students.fidelity
    found = _measure(kind, COPY[kind], chosen)
    card = {"kind": kind, "fidelity": json.loads(json.dumps(found.to_json()))}
    again = compare_stored(card, floors)
    assert again == found
    strict = floors.model_copy(update={"kl": found.observed("kl") / 2})
    stricter = compare_stored(card, strict)
    assert stricter is not None
    assert [failure.split()[0] for failure in stricter.failures] == ["kl"]
    assert stricter.bounds() == {**found.bounds(), "kl": strict.kl}


def test_a_floor_without_a_stored_figure_is_missed(chosen: Settings) -> None:
    found = compare_fidelity("binary", Fidelity({"kl": 0.0}, 50, 50), chosen.students.fidelity)
    assert "jsd is not defined" in found.failures
    assert not any(failure.startswith("kl") for failure in found.failures)


@pytest.mark.parametrize("stored", [None, {}, {"n": 0, "verdicts": [{"measure": "kl"}]}, {"n": 5, "verdicts": []}])
def test_a_copy_that_was_measured_on_no_row_has_no_verdict(stored: object, chosen: Settings) -> None:
    assert compare_stored({"kind": "binary", "fidelity": stored}, chosen.students.fidelity) is None
