"""The hidden Markov model: against hmmlearn, against all paths written out, and on sequences with planted states."""

from __future__ import annotations

from itertools import pairwise, permutations, product

import numpy as np
import pytest
from hmmlearn.hmm import GaussianHMM
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.features.methods.hmm import Hmm, filter_last, fit_model, initial_model
from finai_resources.progress import watched

PLANTED = Hmm(
    np.array([0.5, 0.3, 0.2]),
    np.array([[0.85, 0.1, 0.05], [0.1, 0.8, 0.1], [0.02, 0.08, 0.9]]),
    np.array([[-1.5, 0.5], [0.2, -1.0], [1.2, 0.9]]),
    np.array([[0.1, 0.2], [0.15, 0.1], [0.2, 0.1]]),
)


def sample(model: Hmm, n: int, steps: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return observations [n, steps, D], the first step of each sequence, and the states [n, steps]."""
    rng = np.random.default_rng(seed)
    first = rng.integers(0, steps, n)
    observations = np.full((n, steps, model.mean.shape[1]), np.nan)
    states = np.full((n, steps), -1)
    for i in range(n):
        law = model.start
        for t in range(first[i], steps):
            states[i, t] = rng.choice(len(law), p=law)
            observations[i, t] = rng.normal(model.mean[states[i, t]], np.sqrt(model.variance[states[i, t]]))
            law = model.transition[states[i, t]]
    return observations, first, states


def random_model(rng: np.random.Generator, states: int, dimensions: int) -> Hmm:
    return Hmm(
        rng.dirichlet(np.ones(states)) * 0.99 + 0.01 / states,
        rng.dirichlet(np.ones(states), states) * 0.99 + 0.01 / states,
        rng.normal(size=(states, dimensions)),
        rng.uniform(0.2, 2, (states, dimensions)),
    )


def learned(observations: np.ndarray, first: np.ndarray, states: int, *, iterations: int = 60) -> Hmm:
    begin = initial_model(observations, states, floor=0.01)
    return fit_model(observations, first, begin, iterations=iterations, tolerance=1e-6, floor=0.01, prior=1.0)[0]


def of_hmmlearn(model: Hmm, **arguments: object) -> GaussianHMM:
    other = GaussianHMM(len(model.start), "diag", init_params="", **arguments)
    other.n_features = model.mean.shape[1]
    other.startprob_, other.transmat_, other.means_, other.covars_ = (array.copy() for array in model.arrays)
    return other


def moments(observations: np.ndarray) -> np.ndarray:
    return (observations - np.nanmean(observations, axis=(0, 1))) / np.nanstd(observations, axis=(0, 1))


def test_the_filter_equals_the_posterior_of_hmmlearn_at_the_last_step_of_every_prefix() -> None:
    rng = np.random.default_rng(3)
    worst = 0.0
    for states, dimensions in ((2, 1), (5, 3), (6, 4)):
        model = random_model(rng, states, dimensions)
        other = of_hmmlearn(model)
        observations = rng.normal(size=(20, 12, dimensions)) * 2
        for steps in range(1, 13):
            found = filter_last(observations[:, :steps], np.zeros(20, np.int64), model)
            for i in range(20):
                expected = other.score_samples(observations[i, :steps])[1][-1]
                worst = max(worst, np.abs(found[i] - expected).max())
    assert worst < 1e-6


def test_the_fit_equals_that_of_hmmlearn_iteration_by_iteration() -> None:
    observations, first, _ = sample(PLANTED, 80, 12, seed=1)
    observations = moments(observations)
    begin, prior = initial_model(observations, 3, floor=1e-6), 2.0
    flat = np.concatenate([row[start:] for row, start in zip(observations, first, strict=True)])
    for iterations in (1, 2, 10):
        found, _ = fit_model(
            observations, first, begin, iterations=iterations, tolerance=-np.inf, floor=1e-6, prior=prior
        )
        other = of_hmmlearn(
            begin, n_iter=iterations, tol=-np.inf, startprob_prior=1 + prior, transmat_prior=1 + prior, means_prior=0,
            means_weight=prior, covars_prior=prior, covars_weight=1 + prior,
        )  # fmt: skip
        other.fit(flat, 12 - first)
        np.testing.assert_allclose(found.start, other.startprob_, rtol=1e-8)
        np.testing.assert_allclose(found.transition, other.transmat_, rtol=1e-8)
        np.testing.assert_allclose(found.mean, other.means_, rtol=1e-8)
        np.testing.assert_allclose(found.variance, np.array([np.diag(c) for c in other.covars_]), rtol=1e-8)


def test_what_a_step_does_not_show_is_integrated_out() -> None:
    rng = np.random.default_rng(4)
    model = random_model(rng, 3, 2)
    observations = rng.normal(size=(40, 5, 2))
    observations[rng.random(observations.shape) < 0.4] = np.nan
    observations[0] = np.nan
    first = rng.integers(0, 5, 40)
    first[0] = 1
    found = filter_last(observations, first, model)
    for i in range(40):
        expected = np.zeros(3)
        seen = observations[i, first[i] :]
        for path in product(range(3), repeat=len(seen)):
            weight = model.start[path[0]] * np.prod([model.transition[a, b] for a, b in pairwise(path)])
            for state, values in zip(path, seen, strict=True):
                law = np.exp(-((values - model.mean[state]) ** 2) / (2 * model.variance[state]))
                weight *= np.nanprod(law / np.sqrt(2 * np.pi * model.variance[state]))
            expected[path[-1]] += weight
        np.testing.assert_allclose(found[i], expected / expected.sum(), atol=1e-12)
    chain = model.start @ np.linalg.matrix_power(model.transition, 3)
    np.testing.assert_allclose(found[0], chain, atol=1e-12)


def test_planted_states_are_recovered() -> None:
    observations, first, states = sample(PLANTED, 2000, 12)
    fitted = learned(observations, first, 3)
    last = filter_last(observations, first, fitted).argmax(axis=1)
    agreement = max(np.mean(np.array(names)[last] == states[:, -1]) for names in permutations(range(3)))
    assert agreement > 0.9
    same = fitted.reordered(np.argsort(fitted.mean[:, 0]))
    np.testing.assert_allclose(same.mean, PLANTED.mean, atol=0.05)
    np.testing.assert_allclose(same.variance, PLANTED.variance, rtol=0.1)
    np.testing.assert_allclose(same.transition, PLANTED.transition, atol=0.03)
    np.testing.assert_allclose(same.start, PLANTED.start, atol=0.05)


def test_the_chain_tells_apart_states_that_a_single_step_cannot() -> None:
    """With overlapping emissions the past decides: the filter errs less than the nearest mean does."""
    overlapping = Hmm(PLANTED.start, PLANTED.transition, PLANTED.mean, PLANTED.variance * 8)
    observations, first, states = sample(overlapping, 3000, 12, seed=2)
    long = first == 0
    filtered = filter_last(observations, first, overlapping).argmax(axis=1)
    alone = filter_last(observations[:, -1:], np.zeros(len(first), np.int64), overlapping).argmax(axis=1)
    assert np.mean(filtered[long] == states[long, -1]) > np.mean(alone[long] == states[long, -1]) + 0.05


def test_the_order_of_time_matters() -> None:
    observations, first, _ = sample(PLANTED, 300, 12, seed=5)
    whole = observations[first == 0]
    found = filter_last(whole, np.zeros(len(whole), np.int64), PLANTED)
    reversed_ = filter_last(whole[:, ::-1].copy(), np.zeros(len(whole), np.int64), PLANTED)
    assert np.abs(found - reversed_).max() > 0.9


def with_point_masses(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return sequences of which two in five steps are one and the same value, in one dimension of three without variance."""
    observations = np.stack([rng.normal(size=(500, 12)), rng.gamma(1.0, size=(500, 12)), np.zeros((500, 12))], axis=2)
    observations[rng.random((500, 12)) < 0.4, :2] = 0.0
    observations[rng.random((500, 12)) < 0.1, 1] = np.nan
    return observations, rng.integers(0, 12, 500)


def test_the_likelihood_never_falls_though_the_floor_holds() -> None:
    observations, first = with_point_masses(np.random.default_rng(6))
    begin = initial_model(observations, 4, floor=0.05)
    model, history = fit_model(observations, first, begin, iterations=80, tolerance=-np.inf, floor=0.05, prior=1.0)
    assert (np.diff(history) > -1e-12).all()
    assert history[-1] > history[0] + 0.1
    assert model.variance.min() == 0.05
    assert all(np.isfinite(array).all() for array in model.arrays)
    unlimited, _ = fit_model(observations, first, begin, iterations=80, tolerance=-np.inf, floor=1e-300, prior=1e-12)
    assert unlimited.variance.min() < 1e-6  # the divergence is there, and it is the floor that prevents it


def test_the_fit_ends_when_it_gains_little_or_runs_out_of_iterations() -> None:
    observations, first, _ = sample(PLANTED, 300, 12)
    begin = initial_model(observations, 3, floor=0.01)
    told: list[tuple[str, int, int]] = []
    with watched(lambda *step: told.append(step)):
        _, history = fit_model(observations, first, begin, iterations=100, tolerance=1e-3, floor=0.01, prior=1.0)
    gains = np.diff(history)
    assert 2 < len(history) < 100
    assert gains[-1] < 1e-3
    assert (gains[:-1] >= 1e-3).all()
    assert told == [("iterations", k + 1, 100) for k in range(len(history))]
    assert len(fit_model(observations, first, begin, iterations=3, tolerance=0, floor=0.01, prior=1.0)[1]) == 3


def test_two_fits_are_the_same_to_the_bit() -> None:
    observations, first, _ = sample(PLANTED, 300, 12)
    one, two = learned(observations, first, 3), learned(observations, first, 3)
    assert [a.tobytes() for a in one.arrays] == [a.tobytes() for a in two.arrays]


def test_a_sequence_is_filtered_alike_whoever_is_beside_it() -> None:
    observations, first, _ = sample(PLANTED, 50, 12)
    whole = filter_last(observations, first, PLANTED)
    alone = np.concatenate([filter_last(observations[i : i + 1], first[i : i + 1], PLANTED) for i in range(50)])
    assert whole.tobytes() == alone.tobytes()


def test_a_start_has_a_state_for_each_cluster_and_the_whole_for_the_rest() -> None:
    rng = np.random.default_rng(7)
    centres = np.array([[-2.0, 0.0], [0.0, 2.0], [2.0, -1.0]])
    values = centres[rng.integers(0, 3, (200, 6))] + rng.normal(0, 0.1, (200, 6, 2))
    found = initial_model(values, 3, floor=0.001)
    np.testing.assert_allclose(found.mean[np.argsort(found.mean[:, 0])], centres, atol=0.03)
    few = initial_model(rng.integers(0, 2, (200, 6, 1)).astype(float), 4, floor=0.001)
    assert sorted(few.mean[:, 0].tolist()) == [0.0, 0.0, 0.0, 1.0]
    assert sorted(few.variance[:, 0].tolist()) == [0.001, 0.001, 1.0, 1.0]
    nothing = initial_model(np.full((5, 4, 2), np.nan), 3, floor=0.001)
    assert (nothing.mean == 0).all()
    assert (nothing.variance == 1).all()


def test_dwell_and_entropy_are_those_of_the_rows_of_the_chain() -> None:
    rng = np.random.default_rng(8)
    for state in range(3):
        left = rng.random((400, 20_000)) >= PLANTED.transition[state, state]
        stay = 1 + left.argmax(axis=0)
        assert PLANTED.dwell()[state] == pytest.approx(stay.mean(), rel=0.03)
    uniform = Hmm(np.full(4, 0.25), np.full((4, 4), 0.25), np.zeros((4, 1)), np.ones((4, 1)))
    np.testing.assert_allclose(uniform.entropy(), np.log(4))
    certain = Hmm(uniform.start, np.eye(4), uniform.mean, uniform.variance)
    np.testing.assert_array_equal(certain.entropy(), 0)
    row = PLANTED.transition[1]
    assert PLANTED.entropy()[1] == pytest.approx(-sum(p * np.log(p) for p in row))


@given(
    seed=st.integers(0, 2**32 - 1), states=st.integers(2, 6), steps=st.integers(1, 12), away=st.sampled_from([1, 1e6])
)
def test_a_posterior_is_a_distribution_whatever_was_observed(seed: int, states: int, steps: int, away: float) -> None:
    rng = np.random.default_rng(seed)
    model = random_model(rng, states, 3)
    observations = rng.normal(size=(8, steps, 3)) * away
    observations[rng.random(observations.shape) < 0.3] = np.nan
    found = filter_last(observations, rng.integers(0, steps, 8), model)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
