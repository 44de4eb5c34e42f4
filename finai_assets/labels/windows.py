"""Inputs of labels: the partitions, and the two windows of a block of customers, cut by time.

With ``m`` the snapshot month and ``h`` the horizon in months, the label window is ``[cutoff(m), cutoff(m + h))`` and the window
before it ``[cutoff(m - h), cutoff(m))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.inputs import AMOUNT, SNAPSHOTS, TRANSACTIONS
from finai_assets.ingest.holdings import multi_hot
from finai_assets.labels.task import Task
from finai_assets.settings import Settings
from finai_resources.errors import ContractError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month, month_range


@dataclass(frozen=True, slots=True)
class WindowEvents:
    """Transactions of one window.

    ``row`` int64 (position of the customer in the block), ``ts`` int64, ``mcc`` int32, and ``amount`` float64, which is empty
    where no task has it among its inputs.
    """

    row: np.ndarray
    ts: np.ndarray
    mcc: np.ndarray
    amount: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, slots=True)
class LabelBlock:
    """A block of customers around a cutoff.

    Parameters
    ----------
    held : bool [n, months, products]
        Products held at the end of each of the last months, oldest first; the last is the snapshot month. There are as many as
        the longest history among the tasks has, fewer where raw data begin later.
    observed : bool [n, months]
        Whether the customer has a snapshot in that month.
    held_next : bool [n, products]
        Products held at the end of the window; all False for a customer who is gone.
    segment_next : int8 [n]
        Segment at the end of the window, -1 where there is none.
    before, window : WindowEvents
        Transactions of the equally long window before the cutoff, and of the label window.
    """

    held: np.ndarray
    observed: np.ndarray
    held_next: np.ndarray
    segment_next: np.ndarray
    before: WindowEvents
    window: WindowEvents

    def __len__(self) -> int:
        return len(self.held_next)

    @property
    def held_now(self) -> np.ndarray:
        """Return the products held at the cutoff, bool [n, products]."""
        return np.asarray(self.held[:, -1])

    @property
    def acquired(self) -> np.ndarray:
        """Return the products acquired in the window: held at its end and not at the cutoff, bool [n, products]."""
        return self.held_next & ~self.held_now


def read_block(
    session: LakeSession, month: Month, block: np.ndarray, tasks: Sequence[Task], settings: Settings
) -> LabelBlock:
    """Read the inputs of the labels of a block of customers (ascending ids of the month's snapshots).

    A partition that none of the tasks reads is left alone: its holdings are empty, its events none.
    """
    needed = set().union(*(sources(task, month, settings) for task in tasks))
    first, _ = months_read(tasks, SNAPSHOTS, settings.horizon_months) or (0, 0)
    months = [m for m in month_range(month + first, month) if (SNAPSHOTS, m.key) in needed]
    end = month + settings.horizon_months
    products = len(settings.products)
    held = np.zeros((len(block), len(months), products), dtype=bool)
    observed = np.zeros((len(block), len(months)), dtype=bool)
    for position, past in enumerate(months):
        row, table = _snapshot(session, past, block, ["held"])
        observed[row, position] = True
        held[row, position] = multi_hot(table["held"], products, where=f"{SNAPSHOTS}@{past.key}")
    held_next = np.zeros((len(block), products), dtype=bool)
    segment_next = np.full(len(block), -1, dtype=np.int8)
    if (SNAPSHOTS, end.key) in needed:
        row, table = _snapshot(session, end, block, ["held", "segment"])
        held_next[row] = multi_hot(table["held"], products, where=f"{SNAPSHOTS}@{end.key}")
        segment_next[row] = _segment_index(table["segment"], end, settings)
    spans = [(month - settings.horizon_months, month), (month, end)]
    amounts = any(AMOUNT in task.inputs for task in tasks)
    before, window = (_events(session, low, high, block, needed, amounts=amounts) for low, high in spans)
    return LabelBlock(held, observed, held_next, segment_next, before, window)


def sources(task: Task, month: Month, settings: Settings) -> set[tuple[str, str]]:
    """Return the partitions that a task's labels of a month are computed from; the month's snapshot names the customers.

    Months before the first raw month do not exist and are left out.
    """
    first = settings.dataset.raw_months.first
    return {
        (table, (month + offset).key)
        for table in (SNAPSHOTS, TRANSACTIONS)
        for offset in task.window.months(table, settings.horizon_months)
        if month + offset >= first
    }


def months_read(tasks: Sequence[Task], table: str, horizon: int) -> tuple[int, int] | None:
    """Return the first and the last month of a raw table that the tasks read, counted from the snapshot month; None for none."""
    offsets = [offset for task in tasks for offset in task.window.months(table, horizon)]
    return (min(offsets), max(offsets)) if offsets else None


def _snapshot(session: LakeSession, month: Month, block: np.ndarray, columns: list[str]) -> tuple[np.ndarray, pa.Table]:
    """Return the rows of a month's snapshots that belong to the block, and their positions in it."""
    table = session.read_customers(
        SNAPSHOTS, month.key, int(block[0]), int(block[-1]), columns=["customer_id", *columns]
    )
    row, present = _positions(table["customer_id"].to_numpy(), block)
    return row[present], table.filter(pa.array(present))


def _positions(ids: np.ndarray, block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    row = np.minimum(np.searchsorted(block, ids), len(block) - 1)
    return row, block[row] == ids


def _segment_index(segment: pa.ChunkedArray, month: Month, settings: Settings) -> np.ndarray:
    index = pc.index_in(segment, value_set=pa.array(settings.dataset.segments, pa.string()))
    unknown = pc.and_(pc.is_null(index), pc.is_valid(segment))
    if pc.any(unknown).as_py():
        names = sorted(set(pc.filter(segment, unknown).to_pylist()))
        raise ContractError(
            f"segments {names} are not among {list(settings.dataset.segments)}",
            where=f"{SNAPSHOTS}@{month}: segment",
            fix="list every segment in dataset.segments, in ascending order of value",
        )
    return pc.fill_null(index, -1).to_numpy().astype(np.int8)


def _events(
    session: LakeSession, low: Month, high: Month, block: np.ndarray, needed: set[tuple[str, str]], *, amounts: bool
) -> WindowEvents:
    """Return the block's transactions in ``[cutoff(low), cutoff(high))``, cut by time whatever a partition holds."""
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0))]
    columns = ["customer_id", "ts", "mcc", *(["amount"] if amounts else [])]
    for month in month_range(low + 1, high):
        if (TRANSACTIONS, month.key) not in needed:
            continue
        table = session.read_customers(TRANSACTIONS, month.key, int(block[0]), int(block[-1]), columns=columns)
        ts = pc.cast(table["ts"], pa.int64()).to_numpy()
        row, present = _positions(table["customer_id"].to_numpy(), block)
        kept = present & (ts >= low.cutoff_us) & (ts < high.cutoff_us)
        amount = table["amount"].to_numpy()[kept] if amounts else np.empty(0)
        parts.append((row[kept], ts[kept], table["mcc"].to_numpy()[kept], amount))
    row, ts, mcc, amount = (np.concatenate(pieces) for pieces in zip(*parts, strict=True))
    return WindowEvents(row, ts, mcc, amount)
