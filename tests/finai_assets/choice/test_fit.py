"""The fit finds the maximum of the penalised likelihood, what is held takes no part, and it gives the same bits anywhere."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from finai_assets.choice.fit import Choices, fit_logit, log_shares, loss_of
from finai_assets.settings.choice import ChoiceSettings

SETTINGS = ChoiceSettings(penalties=(0.01,), rank=8, iterations=3000)


def choices(rows: int, inputs: int, products: int, *, held: float = 0.0, seed: int = 0, size: float = 0.8) -> Choices:
    """Draw customers who choose one of what is open to them, some of them two."""
    random = np.random.default_rng(seed)
    Z = random.normal(size=(rows, inputs))
    scores = Z @ random.normal(0.0, size, (inputs, products)) + random.normal(size=products)
    owned = random.random((rows, products)) < held
    owned[owned.sum(axis=1) > products - 2] = False
    noisy = np.where(owned, -np.inf, scores + random.gumbel(size=scores.shape))
    acquired = np.zeros_like(owned)
    acquired[np.arange(rows), noisy.argmax(axis=1)] = True
    return Choices(Z, owned, acquired)


def nuclear(weights: np.ndarray) -> float:
    return float(np.linalg.svd(weights, compute_uv=False).sum())


def objective(of: Choices, weights: np.ndarray, intercept: np.ndarray, penalty: float) -> float:
    return loss_of(of.Z @ weights.T + intercept, of) + penalty * nuclear(weights)


def test_shares_are_a_softmax_of_what_is_open() -> None:
    logs = log_shares(np.array([[0.0, np.log(3.0), 9.0]]), np.array([[False, False, True]]))
    assert np.exp(logs)[0] == pytest.approx([0.25, 0.75, 0.0])
    assert np.exp(log_shares(np.array([[2000.0, -2000.0, 0.0]]), np.zeros((1, 3), bool)))[0].tolist() == [1.0, 0.0, 0.0]


def test_of_a_customer_who_holds_everything_no_product_has_a_share() -> None:
    with np.errstate(all="raise"):
        logs = log_shares(np.zeros((2, 3)), np.array([[True, True, True], [False, True, True]]))
    assert np.exp(logs).tolist() == [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]


def test_the_loss_is_the_mean_of_all_acquisitions_logs() -> None:
    of = Choices(
        np.zeros((2, 1)), np.array([[False] * 3, [True, False, False]]), np.array([[1, 1, 0], [0, 0, 1]], bool)
    )
    assert loss_of(np.zeros((2, 3)), of) == pytest.approx((2 * np.log(3) + np.log(2)) / 3)


@pytest.mark.parametrize("held", [0.0, 0.3])
def test_at_the_optimum_no_direction_lowers_the_penalised_loss_and_its_slopes_vanish(held: float) -> None:
    of, penalty = choices(500, 3, 5, held=held), 0.003
    weights, intercept = fit_logit(of, penalty, SETTINGS, seed=1)
    assert np.linalg.svd(weights, compute_uv=False).min() > 0.02  # of full rank, so that the nuclear norm has a slope
    best, random = objective(of, weights, intercept, penalty), np.random.default_rng(2)
    start = objective(of, np.zeros_like(weights), np.zeros_like(intercept), penalty)
    for _ in range(20):
        d, e = random.normal(size=weights.shape), random.normal(size=intercept.shape)
        d, e = (part / np.sqrt((d**2).sum() + (e**2).sum()) for part in (d, e))
        ahead, behind = (objective(of, weights + s * d, intercept + s * e, penalty) for s in (1e-4, -1e-4))
        assert abs(ahead - behind) / 2e-4 < 2e-4
        assert objective(of, weights + 0.3 * d, intercept + 0.3 * e, penalty) > best
    assert best < start - 0.1


def test_with_nothing_held_and_next_to_no_penalty_it_is_multinomial_regression() -> None:
    of = choices(1500, 4, 5, size=0.6)
    weights, intercept = fit_logit(of, 1e-6, SETTINGS, seed=0)
    reference = LogisticRegression(C=1e6, tol=1e-8, max_iter=5000).fit(of.Z, of.acquired.argmax(axis=1))
    wanted = reference.predict_proba(of.Z)
    found = np.exp(log_shares(of.Z @ weights.T + intercept, of.held))
    assert np.abs(found - wanted).max() < 1e-2
    assert (wanted.std(axis=0) > 0.05).sum() >= 4  # there is something to agree about


def test_what_is_held_gets_no_share_and_moves_nothing() -> None:
    of = choices(400, 3, 6, held=0.4)
    scores = np.random.default_rng(3).normal(size=of.held.shape)
    assert (np.exp(log_shares(scores, of.held))[of.held] == 0.0).all()
    assert loss_of(np.where(of.held, 1e6, scores), of) == loss_of(scores, of)
    # Without the penalty nothing pulls at a product that everybody holds; with it only its weights go to 0.
    owned = of.held.copy()
    owned[:, 2] = True
    rest = of.acquired & ~owned
    kept = rest.any(axis=1)
    closed = Choices(of.Z[kept], owned[kept], rest[kept])
    weights, intercept = fit_logit(closed, 0.01, SETTINGS, seed=0)
    taken = np.log(rest.sum(axis=0) + 1.0)
    assert intercept[2] == (taken - taken.mean())[2]  # as at the start
    assert np.abs(weights[2]).max() < 1e-3 < np.abs(weights).max()


def test_a_larger_penalty_gives_smaller_singular_values_and_a_lower_rank() -> None:
    of = choices(800, 8, 10, held=0.2, size=0.4)
    spectra = [
        np.linalg.svd(fit_logit(of, penalty, SETTINGS, seed=0)[0], compute_uv=False)
        for penalty in (1e-4, 0.01, 0.03, 0.5)
    ]
    norms = [spectrum.sum() for spectrum in spectra]
    assert norms == sorted(norms, reverse=True)
    ranks = [int((spectrum > 0.02).sum()) for spectrum in spectra]
    assert ranks[0] == 8 > ranks[2] > ranks[3] == 0
    assert ranks == sorted(ranks, reverse=True)


def test_the_rank_that_is_allowed_bounds_the_rank() -> None:
    weights, _ = fit_logit(choices(300, 6, 6), 1e-4, SETTINGS.model_copy(update={"rank": 2}), seed=0)
    assert np.linalg.matrix_rank(weights, tol=1e-9) == 2


def test_a_second_run_and_another_number_of_threads_give_the_same_bits() -> None:
    # Of more than 10,000 parameters a BLAS adds up in another order with two threads, where it is not kept to one.
    of, quick = choices(400, 600, 24, held=0.2), SETTINGS.model_copy(update={"rank": 24, "iterations": 8})
    found = []
    for threads in (1, 1, 2):
        with threadpool_limits(threads):
            found.append(b"".join(part.tobytes() for part in fit_logit(of, 0.01, quick, seed=4)))
    assert found[0] == found[1] == found[2]
    other = fit_logit(of, 0.01, quick, seed=5)[0]
    assert other.tobytes() != found[0][: other.nbytes]
