"""The path from filters to the cut for a group of customers at once, with the handler's arithmetic on arrays.

Every operation is that of :mod:`serving_lambda.ranking`, in the same order on the same float64 values, and exponentials come from
the same function, so the results are the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from finai_assets.recommend.groups import Group, Predicted
from serving_lambda.bundle import Bundle
from serving_lambda.catalogue import Source
from serving_lambda.path import by_rules
from serving_lambda.ranking import Ranking, probability_of
from serving_lambda.scorer import PRODUCT_MODEL, RULES_LAYER

BY_RULES = -1
Shares = Mapping[tuple[int, ...], np.ndarray]  # members of a choice set to float64 [n, members], 0 where not open


@dataclass(frozen=True)
class Shown:
    """The products that a group is shown, by customer and rank.

    Parameters
    ----------
    customer : int64 [r]
        Place in the group.
    rank, product, layer : int64 [r]
    score : float64 [r]
    source : int64 [r]
        Which of the product's sources gave the explaining term; :data:`BY_RULES` where rules chose it.
    """

    customer: np.ndarray
    rank: np.ndarray
    product: np.ndarray
    layer: np.ndarray
    score: np.ndarray
    source: np.ndarray


class Scores(NamedTuple):
    """Scores of all products [n, products], whether a product is ranked, and which source gave its largest term."""

    score: np.ndarray
    ranked: np.ndarray
    source: np.ndarray


class Ordered(NamedTuple):
    """The first k products of n customers by models alone, and what they were ordered by.

    Parameters
    ----------
    order : int64 [n, at most k]
        Product ids, best first; only the first of each row count, as many as :attr:`taken` says.
    taken : bool [n, at most k]
    """

    scores: Scores
    shares: Shares
    order: np.ndarray
    taken: np.ndarray

    @property
    def lists(self) -> np.ndarray:
        """Return the product ids, -1 behind the last: int64 [n, at most k]."""
        return np.where(self.taken, self.order, -1)


def ordered(ranking: Ranking, group: Group, found: Predicted, open_: np.ndarray, k: int) -> Ordered:
    """Rank, diversify and cut what is open to each customer.

    Parameters
    ----------
    open_ : bool [n, products]
    k
        Products of each customer, at most.
    """
    shares = block_shares(ranking, found, open_)
    scores = rank_block(ranking, group, found, open_, shares)
    keys = np.where(scores.ranked, -scores.score, np.inf)
    order = np.argsort(keys, axis=1, kind="stable")  # of equal scores the smaller id first
    count = scores.ranked.sum(axis=1)
    if ranking.relevance < 1.0:
        order = _diversified(ranking, scores.score, order, count, k)
    order = order[:, :k]
    return Ordered(scores, shares, order, np.arange(order.shape[1]) < count[:, None])


def shown_to(bundle: Bundle, group: Group, found: Predicted, open_: np.ndarray, k: int) -> tuple[Shown, Shares]:
    """Return what a group is shown of what is open to each customer, and the shares (:func:`ordered`)."""
    scores, shares, order, taken = ordered(bundle.ranking, group, found, open_, k)
    layers = _layers(bundle.ranking, found)
    customer, rank = np.nonzero(taken)
    product = order[customer, rank]
    shown = Shown(
        customer, rank + 1, product, layers[product], scores.score[customer, product], scores.source[customer, product]
    )
    return _filled(bundle, group, open_, shown, taken.sum(axis=1), k), shares


def block_shares(ranking: Ranking, found: Predicted, open_: np.ndarray) -> Shares:
    """Return the shares of the members of each choice set that a term may use."""
    shares: dict[tuple[int, ...], np.ndarray] = {}
    for sources in ranking.sources:
        for source in sources:
            if source.task in found.scores and source.members not in shares:
                shares[source.members] = _set_shares(ranking, found.margins, open_, source.members)
    return shares


def _set_shares(
    ranking: Ranking, margins: np.ndarray | None, open_: np.ndarray, members: tuple[int, ...]
) -> np.ndarray:
    offered = open_[:, members]
    if margins is None:
        weights = np.where(offered, [ranking.counts[member] for member in members], 0.0)
    else:
        own = np.where(offered, margins[:, members], -np.inf)
        top = own.max(axis=1, keepdims=True)
        powers = own - np.where(np.isfinite(top), top, 0.0)
        weights = np.fromiter(map(math.exp, powers.ravel().tolist()), np.float64, powers.size).reshape(powers.shape)
    total = np.zeros(len(open_))
    for place in range(len(members)):  # one after the other, as the handler adds
        total = total + weights[:, place]
    return np.divide(weights, total[:, None], out=np.zeros_like(weights), where=total[:, None] > 0.0)


def rank_block(ranking: Ranking, group: Group, found: Predicted, open_: np.ndarray, shares: Shares) -> Scores:
    """Return the score of every product and what explains it."""
    n, products = open_.shape
    score, source, spoken = np.zeros((n, products)), np.zeros((n, products), np.int64), np.zeros(products, bool)
    multipliers = multipliers_of(ranking, group)
    boosts = np.array([ranking.boosts(customer) for customer in group.customers]) if ranking.rule_boosts else None
    for product in range(products):
        total, largest = np.zeros(n), np.full(n, -np.inf)
        for place, origin in enumerate(ranking.sources[product]):
            if origin.task not in found.scores:
                continue
            boost = 1.0 if boosts is None else boosts[:, product]
            share = shares[origin.members][:, origin.members.index(product)]
            probability = probability_of(origin.kind, found.scores[origin.task][:, origin.output])
            value = ranking.weights[origin.kind] * multipliers.get(origin.kind, 1.0) * boost * probability * share
            total = total + value
            better = value > largest
            source[better, product], largest = place, np.where(better, value, largest)
            spoken[product] = True
        score[:, product] = _fatigue(ranking, group, product) * total - ranking.penalties[product]
    return Scores(score, open_ & spoken, source)


def _fatigue(ranking: Ranking, group: Group, product: int) -> np.ndarray | float:
    """Return what the recent messages about a product leave of its score, [n]; 1 where nobody got any."""
    if not any(customer.contacts for customer in group.customers):
        return 1.0
    return np.array([ranking.fatigue ** customer.contacts.get(product, 0) for customer in group.customers])


def multipliers_of(ranking: Ranking, group: Group) -> dict[str, np.ndarray]:
    """Return the segment multiplier [n] of each kind of term that has one."""
    kinds = {kind for factors in ranking.multipliers.values() for kind in factors}
    return {
        kind: np.array(
            [ranking.multipliers.get(customer.segment or "", {}).get(kind, 1.0) for customer in group.customers]
        )
        for kind in kinds
    }


def _layers(ranking: Ranking, found: Predicted) -> np.ndarray:
    """Return the lowest layer of all that each product's terms use, int64 [products]."""

    def layer(sources: Sequence[Source]) -> int:
        used = [found.layer(source.task) for source in sources if source.task in found.scores]
        return max(found.layer(PRODUCT_MODEL), *used, 0)

    return np.array([layer(sources) for sources in ranking.sources])


def _diversified(ranking: Ranking, score: np.ndarray, order: np.ndarray, count: np.ndarray, k: int) -> np.ndarray:
    """Return the first ``k`` products of each customer by marginal relevance, as :mod:`serving_lambda.diversify` chooses them.

    Parameters
    ----------
    order : int64 [n, products]
        Best first; only the first ``count`` of each row are ranked.
    """
    alike = np.array([[ranking.similarity.of(a, b) for b in ranking.products] for a in ranking.products])
    every, places = np.arange(len(order)), np.arange(order.shape[1])
    left, near = places < count[:, None], np.zeros(order.shape)
    scores = np.take_along_axis(score, order, axis=1)
    best = scores[:, :1]
    kept = best[:, 0] <= 0.0  # their order stays
    share = np.divide(ranking.relevance * scores, best, out=np.zeros_like(scores), where=best > 0.0)
    found = order[:, :k].copy()
    for place in range(found.shape[1]):
        gain = np.where(left, share - (1.0 - ranking.relevance) * near, -np.inf)
        at = gain.argmax(axis=1)  # of equals the first
        chosen = order[every, at]
        found[:, place] = np.where(kept | (place >= count), found[:, place], chosen)
        left[every, at] = False
        near = np.maximum(near, alike[chosen[:, None], order])
    return found


def _filled(bundle: Bundle, group: Group, open_: np.ndarray, shown: Shown, count: np.ndarray, k: int) -> Shown:
    """Add what the rules offer to those whom models give fewer than ``k`` products."""
    short = np.flatnonzero((count < k) & (open_.sum(axis=1) > count))
    if not len(short):
        return shown
    added: list[tuple[int, int, int, int, float, int]] = []
    for place in short.tolist():
        skip = {*np.flatnonzero(~open_[place]).tolist(), *shown.product[shown.customer == place].tolist()}
        room, first = k - int(count[place]), int(count[place]) + 1
        added += [
            (place, rank, choice.product_id, RULES_LAYER, choice.score, BY_RULES)
            for rank, choice in enumerate(by_rules(bundle, group.customers[place], skip)[:room], start=first)
        ]
    columns = (shown.customer, shown.rank, shown.product, shown.layer, shown.score, shown.source)
    more = list(zip(*added, strict=True)) or [()] * len(columns)
    whole = [np.concatenate([old, np.array(new, old.dtype)]) for old, new in zip(columns, more, strict=True)]
    sequence = np.lexsort((whole[1], whole[0]))
    return Shown(*(column[sequence] for column in whole))
