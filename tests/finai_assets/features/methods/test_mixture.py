"""The mixture against scikit-learn, against planted data, and with dead components put in."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.mixture import GaussianMixture

from finai_assets.features.methods.kmeans import k_means, seed_centres
from finai_assets.features.methods.mixture import (
    Mixture,
    Rules,
    Step,
    fit_mixture,
    kernel_parameters,
    responsibilities,
    start_at,
)
from finai_resources.errors import GateError
from finai_resources.progress import watched

RULES = Rules(min_weight=0.005, prior_rows=0.0, floor=1e-3, iterations=200, tolerance=1e-7, reseeds=20)
PLANTED = Mixture(
    np.array([0.4, 0.3, 0.2, 0.1]),
    np.array([[0.0, 0, 0], [4, 4, 0], [-4, 3, 2], [2, -5, 4]]),
    np.stack([np.array([[1, 0.6, 0], [0.6, 1, 0], [0, 0, 1.0]]) * s for s in (1.0, 0.5, 0.7, 0.3)]),
)


def draw(mixture: Mixture, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [
            rng.multivariate_normal(mean, covariance, round(n * weight))
            for weight, mean, covariance in zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
        ]
    )


def clouds(seed: int, n: int = 1500, d: int = 5) -> np.ndarray:
    """Return rows of no known shape: skewed, correlated, with a point mass."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(n, d)) @ rng.normal(size=(d, d))
    values[:, 0] = np.exp(values[:, 0] / 2)
    values[: n // 10] = values[0]
    return values


def posterior(values: np.ndarray, mixture: Mixture) -> np.ndarray:
    out = np.empty((len(values), len(mixture.weights)))
    responsibilities(values, mixture.means, *kernel_parameters(mixture), out)
    return out


def as_scikit_learn(mixture: Mixture) -> GaussianMixture:
    reference = GaussianMixture(len(mixture.weights), covariance_type="full")
    reference.weights_, reference.means_, reference.covariances_ = mixture.weights, mixture.means, mixture.covariances
    reference.precisions_cholesky_ = np.stack([np.linalg.cholesky(np.linalg.inv(c)) for c in mixture.covariances])
    return reference


def falls(steps: list[Step]) -> list[float]:
    """Return by how much the objective fell where no component was re-seeded."""
    return [a.objective - b.objective for a, b in pairwise(steps) if not b.reseeded]


@pytest.mark.parametrize("seed", range(4))
def test_responsibilities_sum_to_one_and_equal_those_of_scikit_learn(seed: int) -> None:
    values = clouds(seed)
    mixture, steps = fit_mixture(values, start_at(values, k_means(values, 6, seed=(seed,), starts=1), RULES), RULES)
    found, reference = posterior(values, mixture), as_scikit_learn(mixture)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(found, reference.predict_proba(values), atol=1e-6)
    assert max(step.log_likelihood for step in steps) == pytest.approx(reference.score(values), abs=1e-9)


def test_far_from_every_component_the_responsibilities_are_still_finite_and_sum_to_one() -> None:
    found = posterior(np.array([[1e3, -1e3, 1e3], [0.0, 0, 0]]), PLANTED)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(axis=1), 1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("prior_rows", [0.0, 8.0])
def test_the_objective_never_falls_but_at_a_re_seeding(seed: int, prior_rows: float) -> None:
    values = clouds(seed)
    rules = RULES._replace(prior_rows=prior_rows)
    start = start_at(values, seed_centres(values, 8, np.random.default_rng(seed)), rules)
    _, steps = fit_mixture(values, start, rules)
    assert len(steps) > 10
    assert max(falls(steps)) < 1e-10
    if not prior_rows:
        assert all(step.objective == step.log_likelihood for step in steps)


def test_a_step_is_that_of_plain_expectation_maximisation() -> None:
    values = draw(PLANTED, 2000, 1)
    rules = RULES._replace(iterations=2, tolerance=1e-12)
    start = start_at(values, values[[0, 900, 1500, 1900]], rules)
    mixture, _ = fit_mixture(values, start, rules)
    share = as_scikit_learn(start).predict_proba(values)
    mass = share.sum(axis=0)
    order = np.argsort(-mass)
    np.testing.assert_allclose(mixture.weights, (mass / len(values))[order], rtol=1e-9)
    means = share.T @ values / mass[:, None]
    np.testing.assert_allclose(mixture.means, means[order], atol=1e-9)
    for k, found in zip(order, mixture.covariances, strict=True):
        centred = values - means[k]
        np.testing.assert_allclose(found, (share[:, [k]] * centred).T @ centred / mass[k], atol=1e-9)


def test_a_planted_mixture_is_recovered() -> None:
    values = draw(PLANTED, 20_000, 5)
    start = start_at(values, k_means(values, 4, seed=(1,), starts=3), RULES)
    mixture, _ = fit_mixture(values, start, RULES)
    np.testing.assert_allclose(mixture.weights, PLANTED.weights, atol=0.01)
    np.testing.assert_allclose(mixture.means, PLANTED.means, atol=0.05)
    np.testing.assert_allclose(mixture.covariances, PLANTED.covariances, atol=0.06)


@pytest.mark.parametrize("copies", [2, 5])
def test_duplicate_seeds_leave_no_component_dead(copies: int) -> None:
    values = draw(PLANTED, 6000, 2)
    centres = np.repeat(k_means(values, 4, seed=(1,), starts=1), copies, axis=0)
    start = start_at(values, centres, RULES)
    assert (start.weights == 0).sum() == 4 * (copies - 1)  # ties go to the first of the copies
    mixture, steps = fit_mixture(values, start, RULES)
    assert steps[0].reseeded == 4 * (copies - 1)
    assert mixture.weights.min() >= 0.005
    assert posterior(values, mixture).mean(axis=0).min() >= 0.005
    assert len(np.unique(mixture.means.round(6), axis=0)) == 4 * copies
    assert max(falls(steps)) < 1e-10


def test_components_far_from_all_rows_are_re_seeded_where_the_rows_are() -> None:
    values = draw(PLANTED, 6000, 2)
    lost = Mixture(np.full(6, 1 / 6), np.arange(18.0).reshape(6, 3) * 1e3, np.stack([np.eye(3)] * 6))
    mixture, steps = fit_mixture(values, lost, RULES)
    assert sum(step.reseeded for step in steps) >= 5
    assert np.abs(mixture.means).max() < 10
    assert posterior(values, mixture).mean(axis=0).min() >= 0.005


def test_a_cluster_too_small_to_live_takes_no_component_at_the_end() -> None:
    values = np.concatenate([draw(PLANTED, 5000, 2), np.random.default_rng(1).normal(30, 0.1, (10, 3))])
    rules = RULES._replace(floor=1e-2, prior_rows=5.0)
    start = start_at(values, k_means(values, 5, seed=(1,), starts=3), rules)
    assert 0 < start.weights.min() < 0.005
    mixture, steps = fit_mixture(values, start, rules)
    assert any(step.reseeded for step in steps)
    assert posterior(values, mixture).mean(axis=0).min() >= 0.005


def test_where_no_mixture_without_a_dead_component_is_met_the_fit_says_so() -> None:
    values = draw(PLANTED, 1000, 2)
    lost = Mixture(np.full(2, 0.5), np.array([[0.0, 0, 0], [1e3, 0, 0]]), np.stack([np.eye(3)] * 2))
    with pytest.raises(GateError, match="no mixture of 2 components"):
        fit_mixture(values, lost, RULES._replace(iterations=1))


def test_the_halves_of_a_component_have_its_mean_and_its_covariance_together() -> None:
    values = draw(PLANTED, 1000, 2)
    one = Mixture(np.array([1.0, 0.0]), np.ones((2, 3)), np.stack([PLANTED.covariances[0]] * 2))
    halves, _ = fit_mixture(values, one, RULES._replace(iterations=1))  # one pass, before any step
    np.testing.assert_allclose(halves.weights, 0.5)
    np.testing.assert_allclose(halves.means.mean(axis=0), 1)
    between = halves.means[0] - halves.means[1]
    together = halves.covariances.mean(axis=0) + np.outer(between, between) / 4
    np.testing.assert_allclose(together, PLANTED.covariances[0], atol=1e-12)
    principal = np.linalg.eigh(PLANTED.covariances[0])[1][:, -1]
    assert abs(between @ principal) == pytest.approx(np.linalg.norm(between))


def test_components_come_by_descending_weight_and_none_is_thinner_than_the_floor() -> None:
    values = clouds(1)
    rules = RULES._replace(floor=0.05)
    mixture, _ = fit_mixture(values, start_at(values, k_means(values, 6, seed=(1,), starts=1), rules), rules)
    assert (np.diff(mixture.weights) <= 0).all()
    assert mixture.weights.sum() == pytest.approx(1)
    thinnest = min(np.linalg.eigvalsh(covariance).min() for covariance in mixture.covariances)
    assert thinnest == pytest.approx(0.05)  # the point mass of the data reaches it


def test_a_second_fit_has_the_same_bytes() -> None:
    def fitted() -> list[bytes]:
        values = clouds(3)
        mixture, steps = fit_mixture(values, start_at(values, k_means(values, 7, seed=(1,), starts=2), RULES), RULES)
        return [a.tobytes() for a in (mixture.weights, mixture.means, mixture.covariances, np.array(steps))]

    assert fitted() == fitted()


def test_progress_is_told_at_every_iteration() -> None:
    values = clouds(2)
    told: list[tuple[int, int]] = []
    start = start_at(values, k_means(values, 3, seed=(1,), starts=1), RULES)
    with watched(lambda _label, done, count: told.append((done, count))):
        _, steps = fit_mixture(values, start, RULES)
    assert told == [(k + 1, 200) for k in range(len(steps))]
