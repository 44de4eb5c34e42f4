"""The rivals of a list of products, each declared once: a page and a check iterate over :data:`RIVALS`.

Each is fitted on train rows, chooses on validation rows, and scores any row. The ceiling, on synthetic data, is no rival: its
scores are :func:`finai_assets.evaluation.truth.read_product_truth`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from finai_assets.evaluation.lists.als import fit_als
from finai_assets.evaluation.lists.co_holding import fit_ease, fit_item_knn, fit_popularity
from finai_assets.evaluation.lists.fitted import FittedRival, RivalRows
from finai_assets.evaluation.lists.product_trees import fit_product_trees

if TYPE_CHECKING:
    from finai_assets.settings import Settings

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
