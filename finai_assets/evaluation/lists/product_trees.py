"""The rival that reads every column: a LightGBM for each product, of the rows that do not hold it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.evaluation.column_blocks import row_chunks, take_columns
from finai_assets.evaluation.lists.fitted import FittedRival, RivalRows
from finai_assets.scoring.boosting import Binning, Growth, Trees, bin_rows, hard_loss, train_trees
from finai_resources.errors import GateError
from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from finai_assets.settings import Settings


def fit_product_trees(rows: RivalRows, settings: Settings) -> FittedRival:
    """Learn whether each product is acquired, stopped on validation by log-loss.

    Rows that hold a product are left out of its model. A product that no train row acquires has no model: it is
    acquired with a probability of zero.
    """
    chosen, outcomes = settings.lists.lightgbm, rows.outcomes
    binning = Binning(
        seed=settings.seed, threads=chosen.threads, min_leaf_rows=chosen.min_child_rows, max_bin=chosen.max_bin
    )
    growth = Growth(
        rounds=chosen.rounds,
        leaves=chosen.leaves,
        learning_rate=chosen.learning_rate,
        column_share=chosen.column_share,
        patience=chosen.early_stopping_rounds,
    )
    learned = bin_rows(take_columns(rows.X, rows.train, rows.columns), binning)
    watched = bin_rows(take_columns(rows.X, rows.validation, rows.columns), binning, like=learned)
    label = np.where(outcomes.held, np.nan, outcomes.acquired)
    trees: list[Trees | None] = []
    for product in range(outcomes.products):
        train, validation = label[rows.train, product], label[rows.validation, product]
        if (train == 1).any():
            stop_on = watched.labelled(validation) if np.isfinite(validation).any() else None
            trees.append(train_trees(hard_loss("binary"), learned.labelled(train), growth, stop_on=stop_on))
        else:
            trees.append(None)
        report_progress("LightGBM for each product: product", product + 1, outcomes.products)
    facts: dict[str, Any] = {
        "train_rows": len(rows.train),
        "columns": len(rows.columns),
        "rounds": [model.rounds if model is not None else 0 for model in trees],
    }
    return FittedRival(lambda _, X: _probabilities(trees, X, rows.columns, chosen.threads), facts)


def _probabilities(trees: list[Trees | None], X: np.ndarray | None, columns: np.ndarray, threads: int) -> np.ndarray:
    """Return the probability that each product is acquired, float64 [n, products], of rows float32 [n, all columns]."""
    if X is None:
        raise GateError(
            "it reads columns, and was given holdings alone",
            where="LightGBM for each product",
            fix="pass the rows of the matrix beside the holdings",
        )
    parts = [
        np.column_stack(
            [np.zeros(len(block)) if model is None else model.predict(block, threads=threads) for model in trees]
        )
        for block in row_chunks(X, columns, slice(0, len(X)))
    ]
    return np.concatenate(parts) if parts else np.zeros((0, len(trees)))
