"""The figures of a list of products, row by row.

A row is a customer in a month. A list is given by scores: a product without one (NaN or minus infinity) is not in the list, and
neither is a product that is held. A row that acquires nothing has no right order, so accuracy is measured on the others alone;
coverage and novelty are of what all rows are shown.
"""

from __future__ import annotations

import numpy as np

from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_resources.errors import GateError

HIT_1, HIT_3, MAP_7, NDCG_3 = "hr_at_1", "hr_at_3", "map_at_7", "ndcg_at_3"
ACCURACY = (HIT_1, HIT_3, MAP_7, NDCG_3)
PRIMARY = NDCG_3
NOVELTY, COVERAGE = "novelty", "coverage"
SHOWN = 3  # products of a list that count as shown

_MAP_DEPTH = 7
_EMPTY = -1


def rank_products(score: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Return the products of each row's list, best first.

    Parameters
    ----------
    score : float [n, products]
        Higher is better; of equal scores the lower product id comes first. NaN or minus infinity: not in the list.
    held : bool [n, products]
        Left out of the list.

    Returns
    -------
    int64 [n, products]
        Product ids, then -1 where the list has ended.

    Raises
    ------
    GateError
        Shapes disagree.
    """
    if score.shape != held.shape:
        raise GateError(
            f"scores of shape {score.shape} and holdings of shape {held.shape} do not belong together",
            where="ranking of products",
            fix="pass a score for each row and product",
        )
    listed = (score > -np.inf) & ~held  # NaN is above nothing
    order = np.argsort(np.where(listed, -score, np.inf), axis=1, kind="stable")
    return np.where(np.arange(score.shape[1]) < listed.sum(axis=1, keepdims=True), order, _EMPTY)


def scores_of_lists(lists: np.ndarray, products: int) -> np.ndarray:
    """Return scores that rank products as given lists do.

    Parameters
    ----------
    lists : int [n, k]
        Product ids of each row, best first; -1 where nothing stands, at the end or between.
    products
        How many there are.

    Returns
    -------
    float64 [n, products]
        Minus the place in the list; minus infinity for a product that is not in it.

    Raises
    ------
    GateError
        An id is no product, or a list names a product twice.
    """
    row, place = np.nonzero(lists != _EMPTY)
    product = lists[row, place]
    where = "lists of products"
    if outside := int(((product < 0) | (product >= products)).sum()):
        raise GateError(
            f"{outside} listed products have an id outside 0..{products - 1}", where=where, fix="list products"
        )
    score = np.full((len(lists), products), -np.inf)
    score[row, product] = -place.astype(np.float64)
    if twice := len(row) - int(np.isfinite(score).sum()):
        raise GateError(f"{twice} products stand twice in a list", where=where, fix="list each product once")
    return score


def accuracy_of_rows(ranked: np.ndarray, acquired: np.ndarray) -> np.ndarray:
    """Return the figures of each list against what its customer acquires.

    With ``m`` products acquired: hit rate at k is 1 if one of them is among the first k; MAP@7 is the mean, over
    ``min(m, 7)``, of the precision at the place of each that is among the first seven; NDCG@3 is the sum of ``1 / log2(place +
    1)`` over those among the first three, as a share of the best sum that ``m`` products allow.

    Parameters
    ----------
    ranked : int64 [n, products]
        From :func:`rank_products`.
    acquired : bool [n, products]

    Returns
    -------
    float64 [n, 4]
        In the order of :data:`ACCURACY`; NaN in rows that acquire nothing.
    """
    count = acquired.sum(axis=1)
    hit = np.take_along_axis(acquired, np.maximum(ranked, 0), axis=1) & (ranked != _EMPTY)
    places = np.arange(1, ranked.shape[1] + 1)
    precision = np.cumsum(hit, axis=1) / places
    gain = 1.0 / np.log2(places[:SHOWN] + 1.0)
    best = np.concatenate([[0.0], np.cumsum(gain)])[np.minimum(count, len(gain))]
    with np.errstate(divide="ignore", invalid="ignore"):  # a row that acquires nothing is 0 / 0
        figures = np.column_stack(
            [
                hit[:, :1].any(axis=1),
                hit[:, :3].any(axis=1),
                (precision * hit)[:, :_MAP_DEPTH].sum(axis=1) / np.minimum(count, _MAP_DEPTH),
                (hit[:, :SHOWN] * gain).sum(axis=1) / best,
            ]
        )
    figures[count == 0] = np.nan
    return figures


def mean_ndcg(score: np.ndarray, outcomes: Outcomes) -> float:
    """Return NDCG@3 of lists given by scores, float [n, products]; NaN where no row acquires anything."""
    rows = np.flatnonzero(outcomes.acquires)
    if not len(rows):
        return float("nan")
    ranked = rank_products(score[rows], outcomes.held[rows])
    return float(accuracy_of_rows(ranked, outcomes.acquired[rows])[:, ACCURACY.index(NDCG_3)].mean())


def self_information(acquisitions: np.ndarray) -> np.ndarray:
    """Return how surprising it is to be shown each product: minus log2 of its share of the train acquisitions.

    Parameters
    ----------
    acquisitions : int64 [products]
        In train. One is added to each, so that a product that nobody acquired has a finite figure.

    Returns
    -------
    float64 [products]
        In bits.
    """
    counts = np.asarray(acquisitions, dtype=np.float64) + 1.0
    return np.asarray(-np.log2(counts / counts.sum()))


def novelty_of_rows(ranked: np.ndarray, information: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the total self-information of what each row is shown, float64 [n], and how many products those are, int64 [n].

    Parameters
    ----------
    ranked : int64 [n, products]
        From :func:`rank_products`.
    information : float64 [products]
        From :func:`self_information`.
    """
    top = ranked[:, :SHOWN]
    shown = top != _EMPTY
    return np.where(shown, information[np.maximum(top, 0)], 0.0).sum(axis=1), shown.sum(axis=1)


def coverage(ranked: np.ndarray) -> float:
    """Return the share of all products that any row is shown.

    It has no interval: a resample of customers can only lose products that are shown to few, so that it would say how rare these
    are and not how certain the share is.

    Parameters
    ----------
    ranked : int64 [n, products]
        From :func:`rank_products`.
    """
    top = ranked[:, :SHOWN]
    return len(np.unique(top[top != _EMPTY])) / ranked.shape[1]
