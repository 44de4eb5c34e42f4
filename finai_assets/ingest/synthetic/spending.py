"""Payments of one customer in one month: how many, when, in which category, how much, to whom.

Counts are Poisson, times are independent draws from the month's profile, categories form a Markov chain, and bills fall on fixed
days: given the state at the month's beginning the law of the first payment has a closed form.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numba
import numpy as np

from finai_assets.ingest.synthetic.law import Dynamics, SpendingLaw
from finai_assets.ingest.synthetic.population import Population

# Functions called for each payment take arrays, not a law: handing a tuple of arrays on counts a reference for each of them,
# which costs several times what they do.
Mix = tuple[float, float, float, float, float, float, float]

_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60
BILL_HOUR = 9  # bills are debited at nine
LAST = 1.0 - 1e-9  # a share that still lies within the month


@numba.njit(cache=True, nogil=True)
def draw_from_table(rng: np.random.Generator, share: np.ndarray, other: np.ndarray) -> int:
    """Draw a leaf from a preference table (Walker's alias method)."""
    position = rng.random() * len(share)
    slot = int(position)
    return slot if position - slot < share[slot] else other[slot]


@numba.njit(cache=True, nogil=True)
def next_leaf(
    rng: np.random.Generator,
    last: int,
    mix: Mix,
    favourites: np.ndarray,
    follows: np.ndarray,
    share: np.ndarray,
    other: np.ndarray,
) -> int:
    """Draw the category that follows ``last``: the same, one that it calls forth, a favourite, or one by preference.

    Parameters
    ----------
    mix : float [7]
        From :func:`mixture`.
    favourites : int64 [3]
    follows : int64 [leaves, 3]
    share, other : [leaves]
        The alias table of the customer's preferences.
    """
    u = rng.random()
    if u < mix[0]:
        return last
    if u < mix[3]:
        return follows[last, 0 if u < mix[1] else (1 if u < mix[2] else 2)]
    if u < mix[6]:
        return favourites[0 if u < mix[4] else (1 if u < mix[5] else 2)]
    return draw_from_table(rng, share, other)


@numba.njit(cache=True, nogil=True)
def mixture(persona: int, law: SpendingLaw, dyn: Dynamics) -> Mix:
    """Return the cumulative shares of: the same category, each of its three successors, each of three favourites."""
    same, successor, habit = law.sticky[persona], law.successor, law.favourite
    follow, favour = same + dyn.follow, same + dyn.follow + dyn.favourite
    return (
        same,
        same + dyn.follow * successor[0],
        same + dyn.follow * (successor[0] + successor[1]),
        follow,
        follow + dyn.favourite * habit[0],
        follow + dyn.favourite * (habit[0] + habit[1]),
        favour,
    )


@numba.njit(cache=True, nogil=True)
def intensity(rate: float, engagement: float, activity: float, dormant: bool, leaving: bool, dyn: Dynamics) -> float:
    """Return the expected payments of a month of ordinary length, bills left out."""
    value = rate * activity * math.exp(dyn.engagement_activity * engagement)
    if leaving:
        value *= dyn.leaving_activity
    if dormant:
        value *= dyn.dormancy_activity
    return value


@numba.njit(cache=True, nogil=True)
def seconds_at(u: float, days: np.ndarray, hours: np.ndarray) -> int:
    """Return the second of the month at which a share ``u`` of its payments has been made (inverse of the profile)."""
    day = int(np.searchsorted(days, u, side="right")) - 1
    u = (u - days[day]) / (days[day + 1] - days[day])
    hour = min(int(np.searchsorted(hours, u, side="right")) - 1, 23)
    u = (u - hours[hour]) / (hours[hour + 1] - hours[hour])
    return day * _DAY + hour * _HOUR + min(int(u * _HOUR), _HOUR - 1)


@numba.njit(cache=True, nogil=True)
def bill_second(day: int, bill: int) -> int:
    """Return the second of the month at which a bill is debited: each kind has its own minute, so no two coincide."""
    return day * _DAY + BILL_HOUR * _HOUR + bill * _MINUTE


@numba.njit(cache=True, nogil=True)
def share_before_bill(day: int, bill: int, days: np.ndarray, hours: np.ndarray) -> float:
    """Return the share of a month's payments that are made before a bill of that day is debited."""
    within = hours[BILL_HOUR] + (hours[BILL_HOUR + 1] - hours[BILL_HOUR]) * (bill * _MINUTE / _HOUR)
    return days[day] + (days[day + 1] - days[day]) * within


@numba.njit(cache=True, nogil=True)
def merchant_of(rng: np.random.Generator, leaf: int, home: int, merchants: int, home_share: float) -> int:
    """Draw a merchant of a category: mostly the customer's usual one, else one by popularity."""
    u = rng.random()
    if u < home_share:
        number = (home // (7 * leaf + 13)) % merchants
    else:
        u = (u - home_share) / (1.0 - home_share)
        number = int(u * u * merchants)
    return leaf * merchants + number


@numba.njit(cache=True, nogil=True)
def rounded(amount: float, unit: float) -> float:
    """Return an amount as a whole, positive multiple of the unit."""
    return max(1.0, np.round(amount / unit)) * unit


@numba.njit(cache=True, nogil=True)
def next_bill(bill_day: np.ndarray, after: int) -> int:
    """Return the number of the earliest bill behind position ``after`` (day x bills + number), or -1."""
    best, found = 1 << 30, -1
    for bill in range(len(bill_day)):
        position = bill_day[bill] * len(bill_day) + bill
        if bill_day[bill] >= 0 and after < position < best:
            best, found = position, bill
    return found


class Payments(NamedTuple):
    """Payments of a block, customer by customer, month by month, oldest first."""

    customer: np.ndarray  # int32, position in the block
    month: np.ndarray  # int16
    ts: np.ndarray  # int64, microseconds since 1970
    amount: np.ndarray
    leaf: np.ndarray  # int16
    merchant: np.ndarray  # int64


@numba.njit(cache=True, nogil=True)
def _grow(payments: Payments, room: int) -> Payments:
    used = len(payments.ts)
    grown = no_payments(2 * used + room)
    grown.customer[:used] = payments.customer
    grown.month[:used] = payments.month
    grown.ts[:used] = payments.ts
    grown.amount[:used] = payments.amount
    grown.leaf[:used] = payments.leaf
    grown.merchant[:used] = payments.merchant
    return grown


@numba.njit(cache=True, nogil=True)
def spend_month(  # noqa: PLR0913, PLR0917 - a kernel takes the arrays that it writes
    rng: np.random.Generator,
    i: int,
    t: int,
    used: int,
    payments: Payments,
    law_now: tuple[float, int, int, bool],
    mood: tuple[float, bool],
    people: Population,
    law: SpendingLaw,
    dyn: Dynamics,
    pairs: np.ndarray,
    counts: np.ndarray,
    motif: np.ndarray,
) -> tuple[int, int, int, Payments]:
    """Append a month's payments; return how many rows are used, the chain's last leaf, the first leaf, and the buffers.

    ``counts`` [leaves] and ``motif`` [motifs] receive what happened; ``pairs`` [leaves, leaves] numbers the motifs.
    """
    expected, table, chain, billed = law_now
    wealth, leaving = mood
    persona = people.persona[i]
    number = rng.poisson(expected)
    if used + number + 16 > len(payments.ts):
        payments = _grow(payments, number + 16)
    days, hours = law.day_cdf[t, persona, people.payday[i]], law.hour_cdf[persona]
    share, other = law.alias_share[table], law.alias_other[table]
    favourites, follows, mix = people.favourites[i], law.follows, mixture(persona, law, dyn)
    medians, spreads, unit, merchants, start = (
        law.amount,
        law.spread,
        law.amount_unit,
        law.merchants,
        law.month_start[t],
    )
    gaps = rng.standard_exponential(number + 1)
    total = gaps.sum()
    refund = dyn.refund_leaving if leaving else dyn.refund
    first = -1
    bill_position = -1
    bill = next_bill(people.bill_day[i], -1) if billed else -1
    passed, at = 0.0, -1
    for event in range(number + 1):
        passed += gaps[event]
        # Seconds differ, so that the first payment of a window is one payment.
        at = max(at + 1, seconds_at(min(passed / total, LAST), days, hours)) if event < number else 1 << 40
        while bill >= 0:
            due = bill_second(people.bill_day[i, bill], bill)
            if due > at:
                break
            at = max(at, due + 1)
            leaf = law.bill_leaf[bill]
            amount = rounded(np.exp(people.bill_amount[i, bill] + 0.04 * rng.standard_normal()), unit)
            _put(payments, used, i, t, start + due * 1_000_000, -amount, leaf, leaf * merchants)
            used += 1
            counts[leaf] += 1
            first = leaf if first < 0 else first
            bill_position = people.bill_day[i, bill] * people.bill_day.shape[1] + bill
            bill = next_bill(people.bill_day[i], bill_position)
        if event == number:
            break
        leaf = next_leaf(rng, chain, mix, favourites, follows, share, other)
        if pairs[chain, leaf] >= 0:
            motif[pairs[chain, leaf]] += 1.0
        chain = leaf
        size = medians[leaf] + dyn.amount_wealth * wealth + spreads[leaf] * rng.standard_normal()
        amount = -rounded(np.exp(size), unit)
        if rng.random() < refund:
            amount = rounded(-amount * (0.3 + 0.7 * rng.random()), unit)
        merchant = merchant_of(rng, leaf, people.home[i], merchants, dyn.home_merchant)
        _put(payments, used, i, t, start + at * 1_000_000, amount, leaf, merchant)
        used += 1
        counts[leaf] += 1
        first = leaf if first < 0 else first
    return used, chain, first, payments


@numba.njit(cache=True, nogil=True)
def _put(
    payments: Payments, row: int, customer: int, month: int, ts: int, amount: float, leaf: int, merchant: int
) -> None:
    payments.customer[row] = customer
    payments.month[row] = month
    payments.ts[row] = ts
    payments.amount[row] = amount
    payments.leaf[row] = leaf
    payments.merchant[row] = merchant


@numba.njit(cache=True, nogil=True)
def no_payments(room: int) -> Payments:
    """Return empty buffers."""
    return Payments(
        np.empty(room, np.int32),
        np.empty(room, np.int16),
        np.empty(room, np.int64),
        np.empty(room, np.float64),
        np.empty(room, np.int16),
        np.empty(room, np.int64),
    )


@numba.njit(cache=True, nogil=True)
def first_rows(payments: Payments, used: int) -> Payments:
    """Return the part of the buffers that is filled."""
    return Payments(
        payments.customer[:used],
        payments.month[:used],
        payments.ts[:used],
        payments.amount[:used],
        payments.leaf[:used],
        payments.merchant[:used],
    )
