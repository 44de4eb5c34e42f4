from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, rel_entr, softmax

from finai_assets.scoring.rank_kernels import pair_order
from finai_assets.scoring.resampling import Interval
from finai_assets.settings import Settings
from finai_assets.settings.method import MetricSettings
from finai_assets.students.fidelity import (
    AT_LEAST,
    Fidelity,
    FidelityVerdict,
    Floor,
    compare_fidelity,
    compare_stored,
    measure_fidelity,
)
from finai_assets.students.fidelity_measures import Compared

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


CUSTOMER = np.arange(N) // 2  # two months of each
DRAWS = MetricSettings(bootstrap_samples=40, confidence=0.95)


def _measure(
    kind: str, student: np.ndarray, settings: Settings, label: np.ndarray | None = None, **changed: Any
) -> FidelityVerdict:
    threshold = 0.4 if kind == "binary" else None
    known = LABEL[kind] if label is None else label
    compared = Compared(kind, TEACHER[kind], student, known, CUSTOMER, threshold)
    fidelity = measure_fidelity(replace(compared, **changed), DRAWS, 0)
    return compare_fidelity(kind, fidelity, settings.students.fidelity)


def _value(found: FidelityVerdict, measure: str) -> float:
    return found.fidelity.measures[measure].value


@pytest.mark.parametrize("kind", KINDS)
def test_a_close_copy_keeps_every_floor(kind: str, chosen: Settings) -> None:
    found = _measure(kind, COPY[kind], chosen)
    assert found.passed, found.failures
    assert found.n == found.fidelity.labelled == N
    assert {entry.measure for entry in found.floors} == {"kl", *getattr(chosen.students.fidelity, kind)}


@pytest.mark.parametrize("kind", KINDS)
def test_the_teacher_itself_is_its_perfect_copy(kind: str, chosen: Settings) -> None:
    found = _measure(kind, TEACHER[kind], chosen)
    for entry in found.floors:
        perfect = 1 if entry.measure in AT_LEAST else 0
        assert entry.observed.value == pytest.approx(perfect, abs=1e-9), entry.measure


def _constant(kind: str) -> np.ndarray:
    return np.broadcast_to(TEACHER[kind].mean(axis=0), TEACHER[kind].shape)


# On rare events a constant is close to its teacher: these judge it.
JUDGES = {
    "binary": {"kl_share", "explained_variance", "pair_order", "decile_overlap"},
    "multiclass": {"kl_share", "explained_variance"},
    "regression": {"explained_variance", "pair_order", "decile_overlap"},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("impostor", ["the prior", "a shuffled copy"])
def test_impostors_are_found_by_every_measure_that_judges(kind: str, impostor: str, chosen: Settings) -> None:
    student = _constant(kind) if impostor == "the prior" else UNRELATED[kind]
    missed = {failure.split()[0] for failure in _measure(kind, student, chosen).failures}
    assert JUDGES[kind] <= missed


def test_the_prior_of_a_rare_event_keeps_the_old_floor_of_divergence_and_no_new_one(chosen: Settings) -> None:
    rare = expit(SCORE - 3)
    found = _measure("binary", np.full(N, rare.mean()), chosen, (rare > 0.5).astype(float), teacher=rare)
    assert _value(found, "kl") < 0.05
    assert _value(found, "kl_share") == pytest.approx(1)
    assert _value(found, "explained_variance") <= 0
    assert _value(found, "pair_order") == 0
    assert _value(found, "decile_overlap") == 0


def test_pairs_that_the_teacher_does_not_tell_apart_are_not_judged(chosen: Settings) -> None:
    """By hand: of outputs 0, 1, 3 the copy swaps the first two; these are apart by 1, all other pairs by 2 or more."""
    label, customer = np.zeros(3), np.arange(3)
    compared = Compared("regression", np.array([0.0, 1.0, 3.0]), np.array([1.0, 0.0, 3.0]), label, customer)
    found = {
        noise: measure_fidelity(replace(compared, noise=noise), DRAWS, 0).measures["pair_order"].value
        for noise in (0.0, 0.8)
    }
    assert found == {0.0: pytest.approx(1 / 3), 0.8: pytest.approx(1.0)}


@given(st.integers(0, 2**31), st.floats(0, 1))
def test_order_over_pairs_is_that_of_counting_them_all(seed: int, gap: float) -> None:
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 25))
    unit, weights = rng.integers(0, 4, n), rng.integers(0, 3, (3, 4)).astype(float)
    first, second = np.sort(rng.integers(0, 5, n) / 4), rng.integers(0, 5, n)
    place = np.unique(second, return_inverse=True)[1]
    found = pair_order(weights, unit, first, place, gap)
    for row, copies in zip(found, weights, strict=True):
        w = copies[unit]
        apart = (first[:, None] - first[None, :] > gap) * w[:, None] * w[None, :]
        signs = np.sign(second[:, None].astype(float) - second[None, :])
        expected = (apart * signs).sum() / apart.sum() if apart.sum() else np.nan
        assert row == pytest.approx(expected, nan_ok=True)


def test_the_decile_is_the_one_that_a_decision_is_about(chosen: Settings) -> None:
    lowest = np.quantile(SCORE, 0.1)
    for decile, expected in (("highest", False), ("lowest", True)):
        found = _measure("regression", np.where(lowest < SCORE, SCORE, SCORE.mean()), chosen, decile=decile)
        assert any(failure.startswith("decile_overlap") for failure in found.failures) is expected


def test_a_floor_that_is_just_kept_may_be_missed_by_other_rows() -> None:
    just, clear = (
        Floor("explained_variance", Interval(value, value - 0.02, value + 0.02), 0.85) for value in (0.86, 0.89)
    )
    assert just.passed
    assert clear.passed
    assert (just.replicates(0.95, 0.9), clear.replicates(0.95, 0.9)) == (False, True)
    assert just.replicates(0.95, 0.5)
    bound = Floor("pair_order", Interval(0.91, 0.89, 0.93), 0.90)
    assert not bound.passed  # the lower end is judged


def test_divergence_is_that_of_the_teacher_from_the_student(chosen: Settings) -> None:
    found = _measure("multiclass", UNRELATED["multiclass"], chosen)
    expected = rel_entr(TEACHER["multiclass"], UNRELATED["multiclass"]).sum(axis=1).mean()
    assert _value(found, "kl") == pytest.approx(expected, rel=1e-6)
    assert _value(found, "jsd") <= np.log(2)
    assert _value(found, "kl_share") > 1


def test_a_shifted_regression_is_seen_by_its_distribution_and_its_error(chosen: Settings) -> None:
    found = _measure("regression", SCORE + 2, chosen)
    assert _value(found, "rank_correlation") == pytest.approx(1)
    assert {failure.split()[0] for failure in found.failures} == {"kl", "mae_gap", "rmse_gap", "explained_variance"}


def test_masked_rows_count_for_agreement_and_not_for_gaps(chosen: Settings) -> None:
    label = np.where(np.arange(N) % 2 == 0, LABEL["binary"], np.nan)
    found = _measure("binary", COPY["binary"], chosen, label)
    assert (found.n, found.fidelity.labelled) == (N, N // 2)
    assert _value(found, "agreement") == _value(_measure("binary", COPY["binary"], chosen), "agreement")


def test_without_labels_the_gaps_are_undefined_and_that_fails(chosen: Settings) -> None:
    found = _measure("binary", COPY["binary"], chosen, np.full(N, np.nan))
    assert set(found.failures) == {"auc_gap is not defined", "calibration_gap is not defined"}


def test_what_is_stored_is_what_was_measured(chosen: Settings) -> None:
    found = _measure("binary", np.full(N, 0.05), chosen)
    stored = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert stored["passed"] is False
    assert stored["figures"]["rank_correlation"]["value"] is None
    assert FidelityVerdict.from_json(stored).failures == found.failures


@pytest.mark.parametrize("kind", KINDS)
def test_stored_figures_are_compared_again_without_training(kind: str, chosen: Settings) -> None:
    floors = chosen.students.fidelity
    found = _measure(kind, COPY[kind], chosen)
    card = {"kind": kind, "fidelity": json.loads(json.dumps(found.to_json()))}
    again = compare_stored(card, floors)
    assert again is not None
    assert again.to_json() == found.to_json()
    strict = floors.model_copy(update={"kl": _value(found, "kl") / 2})
    stricter = compare_stored(card, strict)
    assert stricter is not None
    assert [failure.split()[0] for failure in stricter.failures] == ["kl"]
    assert stricter.bounds() == {**found.bounds(), "kl": strict.kl}


def test_a_floor_without_a_stored_figure_is_missed(chosen: Settings) -> None:
    found = compare_fidelity("binary", Fidelity({"kl": Interval(0.0, 0.0, 0.0)}, 50, 50), chosen.students.fidelity)
    assert "jsd is not defined" in found.failures
    assert "kl" not in {failure.split()[0] for failure in found.failures}


@pytest.mark.parametrize("stored", [None, {}, {"n": 0, "figures": {"kl": {"value": 0.1}}}, {"n": 5, "figures": {}}])
def test_a_copy_that_was_measured_on_no_row_has_no_verdict(stored: object, chosen: Settings) -> None:
    assert compare_stored({"kind": "binary", "fidelity": stored}, chosen.students.fidelity) is None
