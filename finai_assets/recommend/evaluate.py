"""Lists of the bundle on test rows, as ranked and as served, beside their rivals and the ceiling.

``ours`` is the whole ranking of what a customer does not hold, before anything else is filtered or cut; ``served`` is what the
path shows, at most ``recommend.top_k`` products, chosen with all filters, diversity and rules; ``rules`` what layer 3 alone would
list. Rivals are compared with it under
the same filters. ``constraints`` tells what each kind of filter costs our ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from finai_assets.evaluation.lists.comparison import ComparedLists, compare_by_group, compare_lists
from finai_assets.evaluation.lists.fitted import RivalRows
from finai_assets.evaluation.lists.metrics import PRIMARY, rank_products, scores_of_lists
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.evaluation.lists.rivals import CEILING, POPULARITY, RIVALS, RivalScores
from finai_assets.recommend.offered import offered_to
from finai_assets.recommend.rule_lists import rule_scores
from finai_assets.recommend.score import lists_of
from finai_assets.settings import Settings
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.json_text import plain
from serving_lambda import filters
from serving_lambda.bundle import Bundle

OURS, SERVED, RULES = "ours", "served", "rules"
FILE = "lists.json"
KINDS_OF_CONSTRAINTS = {
    "held_only": (filters.ALREADY_HELD,),
    "age_and_assets": (
        filters.AGE_UNKNOWN,
        filters.AGE_BELOW_MINIMUM,
        filters.AGE_ABOVE_MAXIMUM,
        filters.ASSETS_UNKNOWN,
        filters.ASSETS_BELOW_MINIMUM,
    ),
    "suitability": (
        filters.RISK_PROFILE_UNKNOWN,
        filters.RISK_PROFILE_EXPIRED,
        filters.RISK_ABOVE_PROFILE,
        filters.RISK_ABOVE_SENIOR_LIMIT,
    ),
}
STOPS = "consent_and_messages"
_AGE_BANDS = (0, 35, 50, 65)  # a customer is in the last one whose begin is reached


def evaluate_lists(
    bundle: Bundle,
    matrix: TrainingMatrix,
    outcomes: Outcomes,
    profile: Mapping[str, Any],
    truth: np.ndarray | None,
    rivals: RivalScores,
    settings: Settings,
) -> dict[str, Any]:
    """Return what ``lists.json`` holds, JSON-able.

    Parameters
    ----------
    outcomes
        Row-aligned with the matrix.
    profile
        Of the test rows: ``age`` float64 [n] (NaN where unknown), ``segment``, a sequence of str or None, and ``standing``.
    truth : float32 [n, products] or None
        The true probability that each product is acquired by the customer of each test row, where it is known.
    """
    test = matrix.rows("test")
    rows, of_test = RivalRows.of(matrix, outcomes, settings), outcomes.take(np.arange(test.start, test.stop))
    X = matrix.X[test]
    score, served, layers, offered = lists_of(
        bundle, matrix.customer[test], X, matrix.columns, of_test.held, profile, settings
    )
    scores: dict[str, np.ndarray] = {
        OURS: score,
        SERVED: scores_of_lists(served, of_test.products),
        RULES: rule_scores(bundle, matrix.customer[test], X, matrix.columns, of_test.held, profile),
        **rivals.scores,
    }
    scores |= {} if truth is None else {CEILING: truth.astype(np.float64)}
    # What is served is filtered and cut to k products: so are rivals, before they are compared with it.
    k = settings.recommend.top_k
    cut = {
        f"{name}@{k}": scores_of_lists(rank_products(scores[name], ~offered)[:, :k], of_test.products)
        for name in RIVALS
    }
    constrained = constraints_of(bundle, score, of_test.held, profile)
    compared = compare_lists(
        {**scores, **cut, **constrained}, of_test, rows.train_acquisitions, settings.metrics, seed=settings.seed
    )
    age = np.digitize(np.nan_to_num(profile["age"], nan=-1.0), _AGE_BANDS)
    groups = {
        "month": matrix.month[test],
        "segment": np.array([segment or "unknown" for segment in profile["segment"]]),
        "age": np.array([_band(place) for place in age]),
    }
    told = {
        "bundle_id": bundle.bundle_id,
        "top_k": k,
        "rows": compared.rows,
        "acquiring": compared.acquiring,
        "customers": compared.customers,
        "lists": {name: _told(compared, name, ceiling=truth is not None) for name in scores},
        "rivals": {
            name: {"title": rival.title, "what": rival.what, "simple": rival.simple, **rivals.facts[name]}
            for name, rival in RIVALS.items()
        },
        "ours_over": {name: asdict(compared.difference(OURS, name)) for name in RIVALS},
        "served_over": {name: asdict(compared.difference(SERVED, f"{name}@{k}")) for name in RIVALS},
        "served_over_ours": asdict(compared.difference(SERVED, OURS)),
        "constraints": {name: asdict(compared.figures(name)[PRIMARY]) for name in constrained},
        "families": _families(bundle, settings.families, rank_products(score, of_test.held)[:, :k], served, of_test),
        "layers": {str(layer): int((layers == layer).sum()) for layer in (1, 2, 3)},
        "groups": {by: _grouped(scores, of_test, rows, label, settings) for by, label in groups.items()},
    }
    found: dict[str, Any] = plain(told)
    return found


def constraints_of(
    bundle: Bundle, score: np.ndarray, held: np.ndarray, profile: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Return our scores after one more kind of filter each, in the order in which filters are asked.

    Scores are not computed again on what is left; with one kind of term (the shipped weights) that changes no order.

    Parameters
    ----------
    score : float64 [n, products]
        Before constraints.

    Returns
    -------
    dict
        Kind to float64 [n, products], -inf where a product is removed.
    """
    found, gone, left = offered_to(bundle, held, profile["age"], profile["standing"]), np.zeros(held.shape, bool), {}
    for name, codes in KINDS_OF_CONSTRAINTS.items():
        gone = gone | np.isin(found.removed, codes)
        left[name] = np.where(gone, -np.inf, score)
    return {**left, STOPS: np.where(found.open, score, -np.inf)}


def _families(
    bundle: Bundle, names: Sequence[str], ours: np.ndarray, served: np.ndarray, outcomes: Outcomes
) -> dict[str, dict[str, int]]:
    """Return how many products of each family are first in our lists, are served, and are acquired."""
    family = np.array([product.family for product in bundle.ranking.products])
    acquired = np.nonzero(outcomes.acquired)[1]
    parts = {"ours": ours[ours >= 0], "served": served[served >= 0], "acquired": acquired}
    counts = {part: np.bincount(family[products], minlength=len(names)) for part, products in parts.items()}
    return {name: {part: int(found[place]) for part, found in counts.items()} for place, name in enumerate(names)}


def _told(compared: ComparedLists, name: str, *, ceiling: bool) -> dict[str, Any]:
    told: dict[str, Any] = {figure: asdict(found) for figure, found in compared.figures(name).items()}
    if ceiling:
        told["lift_share"] = asdict(compared.lift_share(name, popularity=POPULARITY, ceiling=CEILING))
    return told


def _grouped(
    scores: Mapping[str, np.ndarray], outcomes: Outcomes, rows: RivalRows, label: np.ndarray, settings: Settings
) -> dict[str, Any]:
    """Return the primary figure of every list by group."""
    by_group = compare_by_group(scores, outcomes, rows.train_acquisitions, label, settings.metrics, seed=settings.seed)
    return {
        group: {
            "rows": compared.rows,
            "acquiring": compared.acquiring,
            PRIMARY: {name: asdict(compared.figures(name)[PRIMARY]) for name in scores},
        }
        for group, compared in by_group.items()
    }


def _band(place: int) -> str:
    if place == 0:
        return "unknown"
    begin, ends = _AGE_BANDS[place - 1], (*_AGE_BANDS[1:], None)
    end = ends[place - 1]
    return f"{begin}+" if end is None else f"{begin}-{end - 1}"
