"""Transactions of a block by customer and calendar month, from the month in which the customer first appears."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import DAY_US, HOUR_US

if TYPE_CHECKING:
    from finai_assets.features.block import Block

COUNT, CATEGORIES, RECENCY, VOLUME, SPEND, PARTS, REFUNDS = 0, 1, 2, 3, 4, 5, 9
FIELDS = 10
_DENSE = 10_000


@dataclass(frozen=True, slots=True)
class Monthly:
    """Totals of each customer's transactions in each month of the look-back.

    Parameters
    ----------
    first : int64 [n]
        Position of the first month of the customer's sequence: the earliest with a snapshot or a transaction.
    totals : float64 [n, months, 10]
        NaN before ``first``. By position: ``COUNT`` of transactions; ``CATEGORIES``, distinct MCCs; ``RECENCY``, days from the
        last transaction to the end of the month, or from the beginning of the sequence as long as there is none; ``VOLUME``,
        sum of absolute amounts; ``SPEND``, sum of outflows; ``PARTS``, transactions in the four quarters of the day from
        midnight on; ``REFUNDS``, positive amounts from a known merchant.
    """

    first: np.ndarray
    totals: np.ndarray


def monthly_totals(block: Block) -> Monthly:
    """Return the totals of a block in one pass over its events."""
    bounds = np.array([month.start_us for month in block.months] + [block.month.cutoff_us], np.int64)
    months = len(bounds) - 1
    first = np.where(block.observed.any(axis=1), block.observed.argmax(axis=1), months - 1).astype(np.int64)
    totals = np.empty((len(block), months, FIELDS))
    _total(block.events.arrays, bounds, first, totals)
    return Monthly(first, totals)


def join(parts: Sequence[Monthly]) -> Monthly:
    """Return the customers of several blocks as one; a look-back that the data set's beginning cuts short is filled by NaN."""
    months = max(part.totals.shape[1] for part in parts)
    missing = [months - part.totals.shape[1] for part in parts]
    first = [part.first + short for part, short in zip(parts, missing, strict=True)]
    totals = [
        np.pad(part.totals, ((0, 0), (short, 0), (0, 0)), constant_values=np.nan)
        for part, short in zip(parts, missing, strict=True)
    ]
    return Monthly(np.concatenate(first), np.concatenate(totals))


@numba.njit(cache=True, nogil=True)
def _total(events: Any, bounds: Any, first: Any, totals: Any) -> None:
    """Fill ``totals`` and move ``first`` back to the month of the first event where that is earlier."""
    start, ts, amount, mcc, merchant = events
    months = len(bounds) - 1
    dense = np.zeros(_DENSE, np.int32)
    stamp = 0
    for i in range(len(start) - 1):
        e, end = start[i], start[i + 1]
        while e < end and first[i] > 0 and ts[e] < bounds[first[i]]:
            first[i] -= 1
        totals[i, : first[i]] = np.nan
        last = bounds[first[i]]
        for m in range(first[i], months):
            row = totals[i, m]
            row[:] = 0
            stamp += 1
            begin = e
            while e < end and ts[e] < bounds[m + 1]:
                value = amount[e]
                row[VOLUME] += abs(value)
                if value < 0:
                    row[SPEND] -= value
                elif value > 0 and merchant[e] >= 0:
                    row[REFUNDS] += 1
                row[PARTS + (ts[e] - bounds[m]) % DAY_US // (6 * HOUR_US)] += 1
                row[CATEGORIES] += _is_new(mcc, dense, stamp, begin, e)
                last = ts[e]
                e += 1
            row[COUNT] = e - begin
            row[RECENCY] = (bounds[m + 1] - last) / DAY_US


@numba.njit(cache=True, nogil=True)
def _is_new(mcc: Any, dense: Any, stamp: int, begin: int, at: int) -> bool:
    """Return whether the MCC at an event did not occur from ``begin`` on; ``dense`` holds the last stamp of each code."""
    code = mcc[at]
    if 0 <= code < _DENSE:  # all that ISO 18245 can have
        unseen = dense[code] != stamp
        dense[code] = stamp
        return unseen
    return not (mcc[begin:at] == code).any()
