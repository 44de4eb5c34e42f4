"""Label windows simulated from the state at a cutoff, for truths that have no closed form.

The most frequent category of a month and the number of distinct ones have none; a figure of them has a standard error.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from finai_assets.ingest.synthetic.law import Dynamics, Law, SpendingLaw
from finai_assets.ingest.synthetic.population import Population
from finai_assets.ingest.synthetic.record import Record
from finai_assets.ingest.synthetic.spending import mixture, next_leaf


class LabelWindows(NamedTuple):
    """Figures over the simulated label windows of each customer, float64 [rows]; windows without a payment are left out.

    ``shift`` is the share whose most frequent leaf differs from that of the month before the cutoff (NaN where that month has
    none), ``distinct`` and ``spread`` are mean and standard deviation of the number of leaves.
    """

    shift: np.ndarray
    distinct: np.ndarray
    spread: np.ndarray


def simulate_label_windows(
    rng: np.random.Generator, rows: np.ndarray, month: int, people: Population, record: Record, law: Law, draws: int
) -> LabelWindows:
    """Simulate the month after a cutoff so many times for each of some customers."""
    found = LabelWindows(*(np.full(len(rows), np.nan) for _ in range(3)))
    _simulate_windows(rng, rows, month, people, record, law.spending, law.dynamics, draws, *found)
    return found


@numba.njit(cache=True, nogil=True)
def _at_least_one(rng: np.random.Generator, mean: float) -> int:
    """Draw a Poisson number that is not zero (inversion)."""
    if mean > 30.0:
        number = 0
        while number == 0:
            number = rng.poisson(mean)
        return number
    term = np.exp(-mean)
    u = rng.random() * -np.expm1(-mean)
    number = 1
    term *= mean
    while u > term and number < 1000:
        u -= term
        number += 1
        term *= mean / number
    return number


@numba.njit(cache=True, nogil=True)
def _simulate_windows(  # noqa: PLR0913, PLR0917 - a kernel takes the arrays that it writes
    rng: np.random.Generator,
    rows: np.ndarray,
    month: int,
    people: Population,
    record: Record,
    law: SpendingLaw,
    dyn: Dynamics,
    draws: int,
    shift: np.ndarray,
    distinct: np.ndarray,
    spread: np.ndarray,
) -> None:
    """Simulate label windows that are not empty: how often the top leaf changes, and how many leaves occur (mean, deviation)."""
    counts = np.zeros(len(law.amount), np.int64)
    follows = law.follows
    for row in range(len(rows)):
        i = rows[row]
        table, favourites = record.table[i, month], people.favourites[i]
        share, other, mix = law.alias_share[table], law.alias_other[table], mixture(people.persona[i], law, dyn)
        mean, before = record.expected[i, month], record.top[i, month]
        bills = 0
        if record.billed[i, month]:
            for bill in range(people.bill_day.shape[1]):
                bills += people.bill_day[i, bill] >= 0
        moved, total, squares = 0, 0, 0
        for _ in range(draws):
            counts[:] = 0
            if bills > 0:
                number = rng.poisson(mean)
                for bill in range(people.bill_day.shape[1]):
                    if people.bill_day[i, bill] >= 0:
                        counts[law.bill_leaf[bill]] += 1
            else:
                number = _at_least_one(rng, mean)
            last = record.chain[i, month]
            for _event in range(number):
                last = next_leaf(rng, last, mix, favourites, follows, share, other)
                counts[last] += 1
            top, found = 0, 0
            for leaf in range(len(counts)):
                found += counts[leaf] > 0
                if counts[leaf] > counts[top]:
                    top = leaf
            moved += top != before
            total += found
            squares += found * found
        distinct[row] = total / draws
        spread[row] = np.sqrt(max(0.0, squares / draws - (total / draws) ** 2))
        if before >= 0:
            shift[row] = moved / draws
