"""Transactions of a block of customers: monthly tables merged into one customer-major sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.inputs import TRANSACTIONS
from finai_assets.features.reading import read_row_groups
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

_COLUMNS = ("customer_id", "ts", "amount", "mcc", "merchant_id")
UNKNOWN_MERCHANT = -1


@dataclass(frozen=True, slots=True)
class Events:
    """Transactions of a block in customer-major order, oldest first within a customer.

    ``start`` [customers + 1] int64 holds offsets: customer ``i`` owns ``start[i]:start[i + 1]`` of the other arrays, which are
    ``ts`` int64 (microseconds since 1970), ``amount`` float64, ``mcc`` int32 and ``merchant`` int64 (-1 where unknown).
    Events of the same instant are ordered by amount, MCC and merchant, so that the order of stored rows plays no part.
    """

    start: np.ndarray
    ts: np.ndarray
    amount: np.ndarray
    mcc: np.ndarray
    merchant: np.ndarray

    @classmethod
    def none(cls, customers: int) -> Events:
        """Return no event for so many customers."""
        return cls(
            np.zeros(customers + 1, np.int64),
            np.empty(0, np.int64),
            np.empty(0, np.float64),
            np.empty(0, np.int32),
            np.empty(0, np.int64),
        )

    def take(self, customers: np.ndarray) -> Events:
        """Return the events of some customers, given by ascending position."""
        counts = np.diff(self.start)[customers]
        start = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        at = np.repeat(self.start[:-1][customers] - start[:-1], counts) + np.arange(start[-1])
        return Events(start, self.ts[at], self.amount[at], self.mcc[at], self.merchant[at])

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the five arrays, as kernels take them."""
        return self.start, self.ts, self.amount, self.mcc, self.merchant

    def __len__(self) -> int:
        return len(self.ts)


def read_events(session: LakeSession, months: Sequence[Month], ids: np.ndarray, *, since: int, cutoff: int) -> Events:
    """Read the events of some customers with ``since <= ts < cutoff`` (microseconds).

    Parameters
    ----------
    months
        Partitions to read, oldest first.
    ids : int64, ascending
    """
    if not len(ids):
        return Events.none(0)
    counts = np.zeros(len(ids), np.int64)
    pieces = []
    for month in months:
        table = read_row_groups(session, TRANSACTIONS, month, int(ids[0]), int(ids[-1]), columns=_COLUMNS)
        for batch in table.to_batches():
            customer, ts, amount, mcc, merchant = _arrays(batch)
            local = np.empty(len(customer), np.int32)
            locate(ids, customer, local)
            _count(local, ts, since, cutoff, counts)
            pieces.append((local, ts, amount, mcc, merchant))
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    total = int(start[-1])
    events = Events(
        start, np.empty(total, np.int64), np.empty(total), np.empty(total, np.int32), np.empty(total, np.int64)
    )
    cursor = start[:-1].copy()
    for piece in pieces:
        _scatter(piece, cursor, events.arrays)
    _order(events.arrays)
    return events


def _arrays(batch: pa.RecordBatch) -> tuple[np.ndarray, ...]:
    """Return customer, ts, amount, mcc and merchant of a batch without copying, where there is no null."""
    merchant = batch.column(4)
    if merchant.null_count:
        merchant = pc.fill_null(merchant, UNKNOWN_MERCHANT)
    return (
        batch.column(0).to_numpy(),
        batch.column(1).cast(pa.int64()).to_numpy(),
        batch.column(2).to_numpy(),
        batch.column(3).to_numpy(),
        merchant.to_numpy(),
    )


@numba.njit(cache=True, nogil=True)
def locate(ids: Any, customer: Any, local: Any) -> None:
    """Write each row's position in the ascending ``ids`` to ``local``, -1 where the customer is not there.

    Rows that ascend cost one comparison each; a row that steps back costs a binary search.
    """
    p, n = 0, len(ids)
    for row in range(len(customer)):
        wanted = customer[row]
        if p > 0 and ids[p - 1] >= wanted:
            p = np.searchsorted(ids, wanted)
        while p < n and ids[p] < wanted:
            p += 1
        local[row] = p if p < n and ids[p] == wanted else -1


@numba.njit(cache=True, nogil=True)
def _count(local: Any, ts: Any, since: int, cutoff: int, counts: Any) -> None:
    """Count the rows of each customer and drop (-1) what lies outside the span of time."""
    for row in range(len(local)):
        if local[row] >= 0:
            if since <= ts[row] < cutoff:
                counts[local[row]] += 1
            else:
                local[row] = -1


@numba.njit(cache=True, nogil=True)
def _scatter(piece: Any, cursor: Any, events: Any) -> None:
    local, from_ts, from_amount, from_mcc, from_merchant = piece
    _, ts, amount, mcc, merchant = events
    row, rows = 0, len(local)
    while row < rows:
        i = local[row]
        if i < 0:
            row += 1
            continue
        at = cursor[i]
        while row < rows and local[row] == i:  # a customer's rows lie together: the cursor is moved once for all
            ts[at] = from_ts[row]
            amount[at] = from_amount[row]
            mcc[at] = from_mcc[row]
            merchant[at] = from_merchant[row]
            at += 1
            row += 1
        cursor[i] = at


@numba.njit(cache=True, nogil=True)
def _order(events: Any) -> None:
    """Sort each customer's events by (ts, amount, mcc, merchant): by insertion, as the tables come nearly sorted."""
    start, ts, amount, mcc, merchant = events
    for i in range(len(start) - 1):
        for e in range(start[i] + 1, start[i + 1]):
            if ts[e] > ts[e - 1]:
                continue
            t, a, c, m = ts[e], amount[e], mcc[e], merchant[e]
            at = e
            while at > start[i]:
                k = at - 1
                if ts[k] != t:
                    behind = ts[k] > t
                elif amount[k] != a:
                    behind = amount[k] > a
                elif mcc[k] != c:
                    behind = mcc[k] > c
                else:
                    behind = merchant[k] > m
                if not behind:
                    break
                ts[at], amount[at], mcc[at], merchant[at] = ts[k], amount[k], mcc[k], merchant[k]
                at = k
            ts[at], amount[at], mcc[at], merchant[at] = t, a, c, m
