"""C10, reach of features against the windows of labels, by declared inputs and by the recorded upstream of a state.

With the cutoff as day 0, a column reads the days ``[-window, 0)`` of its inputs, or the snapshot at the cutoff, and a label is
made from ``[0, horizon)``. A column that shares a raw column with a label must not reach into that span.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from finai_assets.asset_graph import is_label
from finai_assets.features.inputs import CATEGORIES, PRODUCTS, SNAPSHOTS, TRANSACTIONS
from finai_assets.features.registry import Column
from finai_assets.ingest import contract
from finai_assets.labels.tasks import Task
from finai_checks.framework.check import CheckOutcome

NAMES = 6
RAW_COLUMNS: Mapping[str, frozenset[str]] = {
    asset: frozenset(schema.names)
    for asset, schema in (
        (SNAPSHOTS, contract.SNAPSHOTS),
        (TRANSACTIONS, contract.TRANSACTIONS),
        (PRODUCTS, contract.PRODUCTS),
        (CATEGORIES, contract.MERCHANT_CATEGORIES),
    )
}


@dataclass(frozen=True, slots=True)
class Spans:
    """Lengths in days: how far back features may read, and how long a label's window is."""

    look_back: int
    horizon: int


def lineage_free_of_labels(columns: Sequence[Column], tasks: Sequence[Task], spans: Spans) -> CheckOutcome:
    """Return whether every column reads raw columns of the data contract, and only before the cutoff.

    Returns
    -------
    CheckOutcome
        ``n`` counts columns. The table has a row for each task: how many columns share a raw column with its label, the day
        up to which they read, the day from which the label does, and the days between the two (negative: an overlap).
    """
    if not columns or not tasks:
        return CheckOutcome.no_evidence(columns=len(columns), tasks=len(tasks))
    labels = {task.name for task in tasks} | {task.asset for task in tasks}
    faults: dict[str, list[str]] = {}
    for column in columns:
        for fault in _faults(column, labels, spans):
            faults.setdefault(fault, []).append(column.name)
    rows = []
    for task in tasks:
        row, inside = _task_row(task, columns, spans)
        rows.append(row)
        if inside:
            faults.setdefault(f"reads inside the label window of {task.name}", []).extend(inside)
    reason = "; ".join(f"{_some(names)}: {fault}" for fault, names in faults.items())
    observed = {
        "columns": len(columns),
        "tasks": len(tasks),
        "smallest_distance_days": min((row["days_between"] for row in rows if row["columns"]), default=None),
        "horizon_days": spans.horizon,
        "look_back_days": spans.look_back,
    }
    return CheckOutcome(not faults, reason, len(columns), observed, rows)


def made_before(upstream: Iterable[str], last: str) -> list[str]:
    """Return, in words, which partitions upstream of a state are labels or lie after the last train month.

    Parameters
    ----------
    upstream
        Addresses, as a manifest records them: ``raw/snapshots@2015-01``.
    last
        The last train month: ``2015-12``.
    """
    addresses = sorted(upstream)
    labels = [address for address in addresses if is_label(address)]
    later = [address for address in addresses if address.partition("@")[2] > last]
    faults = [f"the state was made from {_some(labels)}"] if labels else []
    if later:
        faults.append(f"the state was made from {_some(later)}, after the last train month {last}")
    return faults


def newest_day(column: Column) -> int:
    """Return the day, counted from the cutoff, up to which a column reads: 0, or a later one for a negative window."""
    return max(0, -column.window_days) if column.window_days is not None else 0


def _faults(column: Column, labels: set[str], spans: Spans) -> Iterable[str]:
    if not column.inputs:
        yield "declares no input"
    for name in column.inputs:
        table, _, field = name.rpartition(".")
        if is_label(name) or name in labels or table in labels:
            yield f"{name} is a label"
        elif field not in RAW_COLUMNS.get(table, ()):
            yield f"{name} is no raw column of the data contract"
        elif table == TRANSACTIONS and column.window_days is None:
            yield f"{name} is read without a window"
    if column.window_days is not None and not 1 <= column.window_days <= spans.look_back:
        yield f"a window of {column.window_days} days is not within the look-back of {spans.look_back}"


def _task_row(task: Task, columns: Sequence[Column], spans: Spans) -> tuple[dict[str, Any], list[str]]:
    """Return a row about the columns that share raw columns with a task, and the names of those that reach into its window."""
    sharing = [column for column in columns if set(column.inputs) & set(task.inputs)]
    newest = max((newest_day(column) for column in sharing), default=0)
    # A state of affairs (holdings, segment) is read at the end of the window; events, from its beginning.
    state = all(name.startswith(SNAPSHOTS) for name in task.inputs)
    begin = spans.horizon if state else 0
    row = {
        "task": task.name,
        "source": ", ".join(task.inputs),
        "columns": len(sharing),
        "features_end_on_day": newest,
        "label_reads_from_day": begin,
        "label_window_ends_on_day": spans.horizon,
        "days_between": begin - newest,
    }
    return row, [column.name for column in sharing if newest_day(column) > 0]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMES} more" if len(names) > NAMES else ""
    return ", ".join(names[:NAMES]) + more
