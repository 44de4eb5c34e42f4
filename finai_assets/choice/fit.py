"""Maximum likelihood of a conditional logit whose weights have a small nuclear norm.

The weights are ``W = U V`` with a squared penalty on both factors, which is the nuclear norm of W (Srebro, Rennie, Jaakkola,
"Maximum-margin matrix factorization", 2005): products share the few directions in which customers differ, so that what is rare in
one product is learned from the others. Only acquisitions take part; what a customer held is not open to the choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from finai_assets.settings.choice import ChoiceSettings

_START = 0.3  # spread of the factors at the start; 0 would be a saddle point


@dataclass(frozen=True)
class Choices:
    """Customers who acquire something.

    Parameters
    ----------
    Z : float64 [n, inputs]
    held, acquired : bool [n, products]
        What was held is not open; what is acquired is open, and at least one product of each row is.
    """

    Z: np.ndarray
    held: np.ndarray
    acquired: np.ndarray

    def __len__(self) -> int:
        return len(self.Z)


def loss_of(scores: np.ndarray, choices: Choices) -> float:
    """Return the mean negative log-likelihood of an acquisition, given scores float [n, products]."""
    return float(-(np.where(choices.acquired, log_shares(scores, choices.held), 0.0)).sum() / choices.acquired.sum())


def log_shares(scores: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return the logarithm of each open product's share, float [n, products]; -inf where a product is held."""
    open_scores = np.where(held, -np.inf, scores)
    top = open_scores.max(axis=1, keepdims=True)
    shifted = open_scores - np.where(np.isfinite(top), top, 0.0)
    total = np.exp(shifted).sum(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.where(total > 0.0, total, 1.0)))  # of nothing that is open there is no total


def fit_logit(choices: Choices, penalty: float, settings: ChoiceSettings, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights float64 [products, inputs] and intercept float64 [products].

    Parameters
    ----------
    penalty
        Of half the squared norm of each factor, per acquisition.
    """
    from scipy.optimize import minimize

    inputs, products = choices.Z.shape[1], choices.held.shape[1]
    rank = min(settings.rank, products, inputs)
    rng = np.random.default_rng(seed)
    taken = choices.acquired.sum(axis=0) + 1.0
    intercept = np.log(taken) - np.log(taken).mean()
    start = np.concatenate(
        [
            rng.normal(0.0, _START / np.sqrt(max(inputs, 1)), inputs * rank),
            rng.normal(0.0, _START / np.sqrt(max(rank, 1)), rank * products),
            intercept,
        ]
    )
    split = inputs * rank, inputs * rank + rank * products
    events = choices.acquired.sum(axis=1, keepdims=True).astype(np.float64)
    total = events.sum()

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        U = flat[: split[0]].reshape(inputs, rank)
        V = flat[split[0] : split[1]].reshape(rank, products)
        latent = choices.Z @ U
        logs = log_shares(latent @ V + flat[split[1] :], choices.held)
        loss = -np.where(choices.acquired, logs, 0.0).sum() / total
        slope = (np.exp(logs) * events - choices.acquired) / total
        gradient = np.concatenate(
            [
                (choices.Z.T @ (slope @ V.T) + penalty * U).ravel(),
                (latent.T @ slope + penalty * V).ravel(),
                slope.sum(axis=0),
            ]
        )
        return float(loss + penalty / 2 * ((U**2).sum() + (V**2).sum())), gradient

    limits = {"maxiter": settings.iterations, "maxfun": 2 * settings.iterations}
    with threadpool_limits(1):  # more threads add up in another order
        found = minimize(objective, start, jac=True, method="L-BFGS-B", options=limits)
    U = found.x[: split[0]].reshape(inputs, rank)
    V = found.x[split[0] : split[1]].reshape(rank, products)
    return np.ascontiguousarray((U @ V).T), found.x[split[1] :]
