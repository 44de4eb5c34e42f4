"""Truths of labels of spending: the next category in closed form, the most frequent and the distinct ones by simulation."""

from __future__ import annotations

import numba
import numpy as np

from finai_assets.ingest.synthetic.cutoff import Cutoff, NextMonth
from finai_assets.ingest.synthetic.law import Dynamics, SpendingLaw
from finai_assets.ingest.synthetic.population import Population
from finai_assets.ingest.synthetic.record import Record
from finai_assets.ingest.synthetic.spending import share_before_bill
from finai_assets.ingest.synthetic.truth import Truth


def _next_leaf(state: Cutoff, _parameters: None) -> np.ndarray:
    law = state.law.spending
    first = np.zeros((len(state.rows), len(law.amount)))
    _first_leaf(state.rows, state.month, state.people, state.record, law, state.law.dynamics, first)
    return first


def _leaf(next_month: NextMonth, _parameters: None) -> np.ndarray:
    """Return the leaf's index."""
    first = next_month.record.first[next_month.rows, next_month.month + 1]
    return np.where(first >= 0, first, np.nan)


def _trend(state: Cutoff, _parameters: None) -> np.ndarray:
    before = state.record.distinct[state.rows, state.month]
    return np.asarray((_alive(state) * state.windows.distinct - before) / np.maximum(1, before))


def _trend_error(state: Cutoff, _parameters: None) -> float:
    before = state.record.distinct[state.rows, state.month]
    return float(np.sum((_alive(state) * state.windows.spread / np.maximum(1, before)) ** 2 / state.draws))


def _grown(next_month: NextMonth, _parameters: None) -> np.ndarray:
    rows, month, record = next_month.rows, next_month.month, next_month.record
    before, later = record.distinct[rows, month], record.distinct[rows, month + 1]
    return np.asarray((later - before) / np.maximum(1.0, before))


def _shift(state: Cutoff, _parameters: None) -> np.ndarray:
    return state.windows.shift


def _shift_error(state: Cutoff, _parameters: None) -> float:
    shift = state.windows.shift
    return float(np.nansum(shift * (1 - shift) / state.draws))


def _shifted(next_month: NextMonth, _parameters: None) -> np.ndarray:
    rows, month, record = next_month.rows, next_month.month, next_month.record
    before, top = record.top[rows, month], record.top[rows, month + 1]
    return np.where((top >= 0) & (before >= 0), top != before, np.nan)


def _alive(state: Cutoff) -> np.ndarray:
    """Return the probability of at least one payment in the month after."""
    rows, month = state.rows, state.month
    bill = (state.people.bill_day[rows] >= 0).any(axis=1) & state.record.billed[rows, month]
    return np.asarray(state.stay * np.where(bill, 1.0, -np.expm1(-state.record.expected[rows, month])))


@numba.njit(cache=True, nogil=True)
def _first_leaf(
    rows: np.ndarray,
    month: int,
    people: Population,
    record: Record,
    law: SpendingLaw,
    dyn: Dynamics,
    out: np.ndarray,
) -> None:
    """Write the law of the first payment's leaf: the earliest bill, unless a payment of the chain comes before it."""
    for row in range(len(rows)):
        i = rows[row]
        persona, last = people.persona[i], record.chain[i, month]
        by_preference = 1.0 - law.sticky[persona] - dyn.follow - dyn.favourite
        for leaf in range(out.shape[1]):
            out[row, leaf] = by_preference * law.preference[record.table[i, month], leaf]
        out[row, last] += law.sticky[persona]
        for which in range(3):
            out[row, law.follows[last, which]] += dyn.follow * law.successor[which]
            out[row, people.favourites[i, which]] += dyn.favourite * law.favourite[which]
        if not record.billed[i, month]:
            continue
        earliest, day = -1, 99
        for bill in range(people.bill_day.shape[1]):
            if 0 <= people.bill_day[i, bill] < day:
                earliest, day = bill, people.bill_day[i, bill]
        if earliest >= 0:
            days = law.day_cdf[month + 1, persona, people.payday[i]]
            share = share_before_bill(day, earliest, days, law.hour_cdf[persona])
            none_before = np.exp(-record.expected[i, month] * share)
            for leaf in range(out.shape[1]):
                out[row, leaf] *= 1.0 - none_before
            out[row, law.bill_leaf[earliest]] += none_before


NEXT_MCC = Truth(_next_leaf, _leaf, of_leaves=True)
MCC_DIVERSITY_TREND = Truth(_trend, _grown, _trend_error)
TOP_MCC_SHIFT = Truth(_shift, _shifted, _shift_error)
