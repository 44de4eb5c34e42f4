"""The rival ALS: factors of customers and products by alternating least squares, from the package ``implicit``.

Hu, Koren, Volinsky: Collaborative filtering for implicit feedback datasets (2008). A customer of any month is folded in: factors
are solved from what is held, with the products' factors fixed. One thread, a fixed seed and the exact solver make the factors the
same in every run.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no stubs

from finai_assets.evaluation.lists.fitted import FittedRival, RivalRows, Scores, choose, or_popularity

if TYPE_CHECKING:
    from implicit.cpu.als import AlternatingLeastSquares

    from finai_assets.settings import Settings

_PARAMETERS = ("factors", "regularization", "confidence", "iterations")
_ONE_THREAD = {"limits": 1, "user_api": "blas"}  # implicit asks for it, and sums then have one order


def fit_als(rows: RivalRows, settings: Settings) -> FittedRival:
    """Learn ALS for each combination of the settings' parameters, and keep the one that validation prefers."""
    chosen, held = settings.lists.als, rows.outcomes.held[rows.train]
    grid = product(chosen.factors, chosen.regularization, chosen.confidence, chosen.iterations)

    def fit(parameters: Mapping[str, Any]) -> Scores:
        return _folding_in(als_model(held, **parameters, seed=settings.seed), rows.train_acquisitions)

    return choose("ALS", [dict(zip(_PARAMETERS, values, strict=True)) for values in grid], fit, rows)


def als_model(
    held: np.ndarray, *, factors: int, regularization: float, confidence: float, iterations: int, seed: int
) -> AlternatingLeastSquares:
    """Learn the factors of rows bool [n, products].

    Parameters
    ----------
    confidence : float
        Weight of a held product; one that is not held has 1.
    """
    from implicit.cpu.als import AlternatingLeastSquares

    with threadpool_limits(**_ONE_THREAD):
        model = AlternatingLeastSquares(
            factors=factors,
            regularization=regularization,
            alpha=confidence,
            iterations=iterations,
            use_cg=False,
            num_threads=1,
            random_state=seed,
        )
        model.fit(_confidences(held), show_progress=False)
    return model


def fold_in(model: AlternatingLeastSquares, held: np.ndarray) -> np.ndarray:
    """Return the score of each product for customers who need not have been in train.

    Parameters
    ----------
    held : bool [n, products]

    Returns
    -------
    float64 [n, products]
        The customer's factors times the product's.
    """
    with threadpool_limits(**_ONE_THREAD):
        customers = model.recalculate_user(np.arange(len(held)), _confidences(held))
        return np.asarray(customers @ model.item_factors.T, dtype=np.float64)


def _confidences(held: np.ndarray) -> sparse.csr_matrix:
    return sparse.csr_matrix(held.astype(np.float32))


def _folding_in(model: AlternatingLeastSquares, popularity: np.ndarray) -> Scores:
    return lambda held, _: or_popularity(fold_in(model, held), held, popularity)
