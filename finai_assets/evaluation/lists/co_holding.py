"""Rivals that know nothing but counts and holdings: popularity, item-kNN and EASE."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.evaluation.lists.fitted import FittedRival, RivalRows, Scores, choose, or_popularity

if TYPE_CHECKING:
    from finai_assets.settings import Settings


def fit_popularity(rows: RivalRows, _: Settings) -> FittedRival:
    """Count how often each product is acquired in train; every customer gets this order."""
    counts = rows.train_acquisitions.astype(np.float64)
    return FittedRival(lambda held, _: np.tile(counts, (len(held), 1)), {"train_rows": len(rows.train)})


def fit_item_knn(rows: RivalRows, _: Settings) -> FittedRival:
    """Learn by how much products are held together; a product's score is the sum of its similarities to the held ones."""
    similarity, popularity = cosine_similarity(rows.train_held), rows.train_acquisitions
    return FittedRival(_from_holdings(similarity, popularity), {"train_rows": len(rows.train)})


def fit_ease(rows: RivalRows, settings: Settings) -> FittedRival:
    """Learn EASE for each penalty of the settings, and keep the one that validation prefers."""

    def fit(parameters: Mapping[str, Any]) -> Scores:
        return _from_holdings(ease_weights(rows.train_held, parameters["penalty"]), rows.train_acquisitions)

    return choose("EASE", [{"penalty": penalty} for penalty in settings.lists.ease.penalties], fit, rows)


def cosine_similarity(held: np.ndarray) -> np.ndarray:
    """Return the cosine of each two columns, zero of a column with itself and of one that is zero.

    Parameters
    ----------
    held : float64 [n, products]

    Returns
    -------
    float64 [products, products]
    """
    together = held.T @ held
    length = np.sqrt(np.diag(together))
    scale = np.outer(length, length)
    similarity = np.divide(together, scale, out=np.zeros_like(together), where=scale > 0)
    np.fill_diagonal(similarity, 0.0)
    return similarity


def ease_weights(held: np.ndarray, penalty: float) -> np.ndarray:
    """Return the weights by which each product is predicted from the others: ridge regression with a zero diagonal.

    In closed form, ``B = I - P diag(1 / P)`` with ``P = (X'X + penalty I)^-1``. Steck: Embarrassingly shallow autoencoders for
    sparse data (2019).

    Parameters
    ----------
    held : float64 [n, products]
    penalty : float
        Above zero.

    Returns
    -------
    float64 [products, products]
        Column j holds the weights of the prediction of product j.
    """
    inverse = np.linalg.inv(held.T @ held + penalty * np.eye(held.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0.0)
    return np.asarray(weights)


def _from_holdings(weights: np.ndarray, popularity: np.ndarray) -> Scores:
    return lambda held, _: or_popularity(held.astype(np.float64) @ weights, held, popularity)
