"""What each shown product's reason tells, with the steps of :class:`serving_lambda.facts.Teller` on arrays, bit by bit."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from serving_lambda.facts import FACTS_TOLD, RISE, VALUE, Fact, Teller, Told

_NONE = -1


class Spoken(NamedTuple):
    """What is told of some shown products.

    Parameters
    ----------
    told : list of tuple of Told
    carried : float64 [r]
        The share of the positive evidence that the told facts carry.
    tellable : bool [r, contract columns]
        Which columns speak for the product and can be told by a fact.
    """

    told: list[tuple[Told, ...]]
    carried: np.ndarray
    tellable: np.ndarray


def told_of(teller: Teller, contributions: np.ndarray, rows: np.ndarray, product: np.ndarray) -> Spoken:
    """Choose what is told of some shown products.

    Parameters
    ----------
    contributions : float64 [r, contract columns]
    rows : float32 [r, contract columns]
        The customers' values.
    product : int64 [r]
        Ids of the products.
    """
    count = len(rows)
    if not teller.facts:
        return Spoken([()] * count, np.zeros(count), np.zeros(contributions.shape, dtype=bool))
    positive = np.maximum(np.ascontiguousarray(contributions.T), 0.0)  # [columns, r]: one column after the other
    values = {at: rows[:, at].astype(np.float64) for at in _read(teller)}
    everything = np.zeros(count)
    for column in positive:
        everything = everything + column
    holds = [_holds(fact, values, product) & (positive[fact.position] > 0.0) for fact in teller.facts]
    tellable = np.zeros(positive.shape, dtype=bool)
    for fact, can in zip(teller.facts, holds, strict=True):
        tellable[fact.position] |= can
    best, totals = _by_family(teller, positive, holds, tellable)
    chosen = _two_of(teller, best, totals)
    carried, every = np.zeros(count), np.arange(count)
    for place in range(FACTS_TOLD):
        there = chosen[:, place] != _NONE
        carried = carried + np.where(there, totals[every, chosen[:, place]], 0.0)
    told = _told(teller, best, totals, chosen, values)
    share = np.divide(carried, everything, out=np.zeros(count), where=chosen[:, 0] != _NONE)
    return Spoken(told, share, tellable.T)


def _read(teller: Teller) -> set[int]:
    """Return the places of all columns that facts look at."""
    found = {fact.position for fact in teller.facts} | {fact.base for fact in teller.facts if fact.base >= 0}
    return found | {place for fact in teller.facts for place, _ in fact.needs}


def _figure(fact: Fact, values: dict[int, np.ndarray]) -> np.ndarray:
    value = values[fact.position]
    if fact.measure == VALUE:
        return value
    base = values[fact.base]
    positive = base > 0.0
    change = np.divide(value * fact.factor, base, out=np.full(len(value), np.nan), where=positive) - 1.0
    return change if fact.measure == RISE else -change


def _holds(fact: Fact, values: dict[int, np.ndarray], product: np.ndarray) -> np.ndarray:
    """Return for whom a fact may be told, bool [r] (:meth:`serving_lambda.facts.Fact.holds`)."""
    figure, value = _figure(fact, values), values[fact.position]
    found = (fact.low <= figure) & (figure <= fact.high) & (value > fact.above)
    for imputed in fact.imputed:
        found &= value != imputed
    for place, least in fact.needs:
        found &= values[place] >= least
    if fact.never_for:
        found &= ~np.isin(product, list(fact.never_for))
    return np.asarray(found)


def _by_family(
    teller: Teller, positive: np.ndarray, holds: list[np.ndarray], tellable: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return each family's fact (its place among all, or -1) and its total: int64 and float64 [r, families]."""
    shape = (positive.shape[1], len(teller.families))
    best, totals = np.full(shape, _NONE), np.zeros(shape)
    rank, largest = np.full(shape, len(teller.form_rank)), np.zeros(shape)
    at = {family: place for place, family in enumerate(teller.families)}
    family_of = {fact.position: at[fact.family] for fact in teller.facts}
    for position in sorted(family_of):
        family = family_of[position]
        totals[:, family] = totals[:, family] + np.where(tellable[position], positive[position], 0.0)
    for place, (fact, can) in enumerate(zip(teller.facts, holds, strict=True)):
        family, form, contribution = at[fact.family], teller.form_rank[fact.form], positive[fact.position]
        same, held = rank[:, family] == form, rank[:, family]
        better = can & ((form < held) | (same & (contribution > largest[:, family])))
        best[better, family], rank[better, family] = place, form
        largest[better, family] = contribution[better]
    return best, totals


def _two_of(teller: Teller, best: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Return the families to tell, int64 [r, 2], -1 behind the last (:func:`serving_lambda.facts.two_of`)."""
    families = len(teller.families)
    key = np.where(best != _NONE, -totals, np.inf)
    order = np.argsort(key, axis=1, kind="stable")
    there = np.sort(best != _NONE, axis=1)[:, ::-1]  # those that can be told come first in the order
    order = np.where(there, order, _NONE)
    naming = np.array([family in teller.naming for family in teller.families])
    names = (order != _NONE) & naming[order]
    chosen = np.full((len(best), FACTS_TOLD), _NONE)
    width = min(FACTS_TOLD, families)
    chosen[:, :width] = order[:, :width]
    swap = names.any(axis=1) & ~names[:, :FACTS_TOLD].any(axis=1)
    chosen[swap, FACTS_TOLD - 1] = order[swap, names[swap].argmax(axis=1)]
    return chosen


def _told(
    teller: Teller, best: np.ndarray, totals: np.ndarray, chosen: np.ndarray, values: dict[int, np.ndarray]
) -> list[tuple[Told, ...]]:
    told: list[list[Told]] = [[] for _ in range(len(best))]
    every, nan = np.arange(len(best)), float("nan")
    for place in range(FACTS_TOLD):
        family = chosen[:, place]
        there = np.flatnonzero(family != _NONE)
        facts, parts = best[every, family][there], totals[every, family][there]
        for at in np.unique(facts).tolist():
            fact, of = teller.facts[at], there[facts == at]
            figures, own = _figure(fact, values)[of].tolist(), values[fact.position][of].tolist()
            bases = values[fact.base][of].tolist() if fact.base >= 0 else [nan] * len(of)
            for row, figure, value, base, part in zip(
                of.tolist(), figures, own, bases, parts[facts == at].tolist(), strict=True
            ):
                told[row].append(Told(fact.key, figure, value, base, part))
    return [tuple(entry) for entry in told]
