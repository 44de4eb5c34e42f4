"""The rivals of a list of products, each declared once: a page and a check iterate over :data:`RIVALS`.

Each is fitted on train rows, chooses on validation rows, and scores any row. The ceiling, on synthetic data, is no rival: its
scores are :func:`finai_assets.evaluation.truth.read_product_truth`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from finai_assets.evaluation.lists.als import fit_als
from finai_assets.evaluation.lists.co_holding import fit_ease, fit_item_knn, fit_popularity
from finai_assets.evaluation.lists.fitted import FittedRival, RivalRows
from finai_assets.evaluation.lists.product_trees import fit_product_trees
from finai_resources.errors import GateError
from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from finai_assets.evaluation.lists.outcomes import Outcomes
    from finai_assets.settings import Settings
    from finai_assets.training.matrix import TrainingMatrix

POPULARITY, ITEM_KNN, EASE, ALS, PRODUCT_TREES = "popularity", "item_knn", "ease", "als", "lightgbm_per_product"
CEILING = "true_hazards"


@dataclass(frozen=True, slots=True)
class Rival:
    """A rival: its name in tables, a sentence about it, and what fits it.

    Parameters
    ----------
    simple : bool
        Whether a list that is worth making must not be below it.
    fit : (RivalRows, Settings) -> FittedRival
        The settings are ``seed`` and ``lists``.
    """

    title: str
    what: str
    simple: bool
    fit: Callable[[RivalRows, Settings], FittedRival]


RIVALS: Mapping[str, Rival] = MappingProxyType(
    {
        POPULARITY: Rival(
            "popularity", "shows every customer what most customers acquired in train", simple=True, fit=fit_popularity
        ),
        ITEM_KNN: Rival(
            "item-kNN",
            "shows what train customers hold together with the products that the customer holds: the sum of cosines",
            simple=True,
            fit=fit_item_knn,
        ),
        EASE: Rival(
            "EASE",
            "a linear model from the products held to each other product, in closed form; its penalty chosen on validation",
            simple=True,
            fit=fit_ease,
        ),
        ALS: Rival(
            "ALS",
            "factors of customers and products from what train customers hold, by the package implicit; factors, "
            "regularization and confidence chosen on validation",
            simple=True,
            fit=fit_als,
        ),
        PRODUCT_TREES: Rival(
            "LightGBM per product",
            "gradient-boosted trees on every column that models may read; one model for each product, stopped on validation",
            simple=False,
            fit=fit_product_trees,
        ),
    }
)
CEILING_TITLE = "true hazards"
CEILING_WHAT = (
    "the generator's true probability that each product is acquired, which follows from a hidden state of each customer that no "
    "table shows"
)


@dataclass(frozen=True)
class RivalScores:
    """What each rival gives the test rows.

    Parameters
    ----------
    scores : dict of rival to float64 [test rows, products]
        Row-aligned with the matrix's test rows; products that a customer holds have a score too.
    facts : dict of rival to dict
        How it was made. JSON-able.
    """

    scores: Mapping[str, np.ndarray]
    facts: Mapping[str, Mapping[str, Any]]


def score_rivals(matrix: TrainingMatrix, outcomes: Outcomes, settings: Settings) -> RivalScores:
    """Fit each rival on train rows and score the test rows by it.

    Parameters
    ----------
    outcomes
        Row-aligned with the matrix.
    """
    rows, test = RivalRows.of(matrix, outcomes, settings), matrix.rows("test")
    held, X = outcomes.held[test], matrix.X[test]
    scores, facts = dict[str, np.ndarray](), dict[str, Mapping[str, Any]]()
    for number, (name, rival) in enumerate(RIVALS.items()):
        report_progress(f"rivals of our lists: {rival.title}", number, len(RIVALS))
        fitted = rival.fit(rows, settings)
        scores[name], facts[name] = fitted.score(held, X), dict(fitted.facts)
    return RivalScores(scores, facts)


def rivals_table(found: RivalScores) -> pa.Table:
    """Return the scores as a table: a row for each test row, and for each rival a list of as many scores as products."""
    return pa.table(
        {
            name: pa.FixedSizeListArray.from_arrays(np.ascontiguousarray(score, np.float64).ravel(), score.shape[1])
            for name, score in found.scores.items()
        }
    )


def load_rivals(table: pa.Table, facts: Mapping[str, Mapping[str, Any]], rows: int, products: int) -> RivalScores:
    """Return the scores from what :func:`rivals_table` made of them.

    Raises
    ------
    GateError
        They are of other rivals, rows or products.
    """
    if set(table.column_names) != set(RIVALS) or set(facts) != set(RIVALS) or table.num_rows != rows:
        raise GateError(
            f"{table.num_rows} rows of {', '.join(table.column_names)} are stored, {rows} of {', '.join(RIVALS)} are needed",
            where="rivals of lists",
            fix="materialise recommendations/rivals again",
        )
    scores = {}
    for name in RIVALS:
        column = table[name].combine_chunks()
        values = column.flatten().to_numpy()
        if len(values) != rows * products:
            raise GateError(
                f"{name} has {len(values)} scores of {rows} rows and {products} products",
                where="rivals of lists",
                fix="materialise recommendations/rivals again",
            )
        scores[name] = values.reshape(rows, products)
    return RivalScores(scores, facts)
