"""Labels: what happens in the window that begins at a cutoff, each of the thirteen definitions once.

:func:`derive_labels` is pure arithmetic over a block of customers; :func:`compute_labels` reads a month's windows from the lake
block by block, cuts them by time, and writes ``labels/<task>``. With ``m`` the snapshot month and ``h`` the horizon in months,
the window is ``[cutoff(m), cutoff(m + h))`` and the window before it ``[cutoff(m - h), cutoff(m))``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import SNAPSHOTS, label_asset
from finai_assets.labels.tasks import Task, available
from finai_assets.labels.windows import LabelBlock, WindowEvents, read_block, sources
from finai_assets.settings import Settings
from finai_resources.errors import GateError
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest, Versions, address
from finai_resources.months import Month, month_range
from finai_resources.partition_writer import PartitionWriter

# A customer who will hold less than 7/10 of the mean number of the last months counts as leaving; compared in whole numbers,
# so that exactly 7/10 is not a churn on any machine.
CHURN_SHARE = (7, 10)

TYPES = {"nba_primary": pa.int8(), "segment_prediction": pa.int8(), "next_mcc": pa.int32()}

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class LabelResult:
    """What was written for one task and month."""

    task: str
    rows: int
    manifest: Manifest
    statistics: Mapping[str, Any]

    def metadata(self) -> dict[str, Any]:
        """Return the statistics that exist, flat: numbers as they are, class counts as text."""
        flat = {name: value for name, value in self.statistics.items() if value is not None}
        if balance := flat.get("balance"):
            flat["balance"] = ", ".join(f"{code}: {count}" for code, count in balance.items())
        return flat


def derive_labels(block: LabelBlock, tasks: Sequence[Task], settings: Settings) -> dict[str, pa.Array]:
    """Compute the labels of a block of customers.

    Returns
    -------
    dict of str to pa.Array [n]
        float32, or the task's integer type; null where the label is not defined.
    """
    n = len(block.held_next)
    now, after, before, window = block.held[:, -1], block.held_next, block.before, block.window
    acquired = after & ~now
    family = np.array([settings.families.index(product.family) + 1 for product in settings.products], dtype=np.int8)

    def will_acquire(name: str) -> pa.Array:
        members = [settings.product_ids[code] for code in settings.acquisition_sets[name]]  # type: ignore[index]
        return _floats(acquired[:, members].any(axis=1))

    # The lowest id stands for the first product acquired: a snapshot does not tell the order within a month.
    first_family = np.where(acquired.any(axis=1), family[acquired.argmax(axis=1)], 0)
    formulas: dict[str, Callable[[], pa.Array]] = {
        "churn_signal": lambda: _churn(block.held, block.observed, after),
        "product_stability": lambda: _jaccard(now, after),
        "nba_primary": lambda: pa.array(first_family, pa.int8()),
        "cross_sell_count": lambda: _floats(acquired.sum(axis=1)),
        "next_mcc": lambda: _first_mcc(window, n),
        "mcc_diversity_trend": lambda: _diversity_trend(before, window, n),
        "top_mcc_shift": lambda: _top_shift(before, window, n),
        "segment_prediction": lambda: pa.array(block.segment_next, pa.int8(), mask=block.segment_next < 0),
    }
    result = {}
    for task in tasks:
        kind, _, name = task.name.partition("will_acquire_")
        result[task.name] = will_acquire(name) if name else formulas[kind]()
    return result


def _floats(values: np.ndarray, defined: np.ndarray | None = None) -> pa.Array:
    return pa.array(values.astype(np.float32), pa.float32(), mask=None if defined is None else ~defined)


def _churn(held: np.ndarray, observed: np.ndarray, after: np.ndarray) -> pa.Array:
    share, whole = CHURN_SHARE
    count = np.where(observed, held.sum(axis=2), 0).sum(axis=1)
    return _floats(whole * after.sum(axis=1) * observed.sum(axis=1) < share * count, count > 0)


def _jaccard(now: np.ndarray, after: np.ndarray) -> pa.Array:
    union = (now | after).sum(axis=1)
    return _floats((now & after).sum(axis=1) / np.maximum(1, union), union > 0)


def _first_mcc(window: WindowEvents, n: int) -> pa.Array:
    """MCC of the earliest transaction; of those at the same instant, the smallest code (so that order in a file is nothing)."""
    order = np.lexsort((window.mcc, window.ts, window.row))
    return _first_of_each(window.row[order], window.mcc[order], n)


def _first_of_each(row: np.ndarray, mcc: np.ndarray, n: int) -> pa.Array:
    owner, begin = np.unique(row, return_index=True)
    value, none = np.zeros(n, dtype=np.int32), np.ones(n, dtype=bool)
    value[owner], none[owner] = mcc[begin], False
    return pa.array(value, pa.int32(), mask=none)


def _pairs(events: WindowEvents) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return customer, MCC and count of each distinct pair, ordered by customer and MCC."""
    order = np.lexsort((events.mcc, events.row))
    row, mcc = events.row[order], events.mcc[order]
    begin = np.flatnonzero(np.append(True, (row[1:] != row[:-1]) | (mcc[1:] != mcc[:-1]))) if len(row) else order
    return row[begin], mcc[begin], np.diff(np.append(begin, len(row)))


def _diversity_trend(before: WindowEvents, window: WindowEvents, n: int) -> pa.Array:
    earlier, later = (np.bincount(_pairs(events)[0], minlength=n) for events in (before, window))
    return _floats((later - earlier) / np.maximum(1, earlier))


def _top_mcc(events: WindowEvents, n: int) -> pa.Array:
    """Most frequent MCC; of equally frequent ones the smallest code."""
    row, mcc, count = _pairs(events)
    order = np.lexsort((mcc, -count, row))
    return _first_of_each(row[order], mcc[order], n)


def _top_shift(before: WindowEvents, window: WindowEvents, n: int) -> pa.Array:
    return pc.cast(pc.cast(pc.not_equal(_top_mcc(before, n), _top_mcc(window, n)), pa.int8()), pa.float32())


# ---- a month, from the lake to the lake


def compute_labels(
    session: LakeSession,
    month: Month,
    tasks: Sequence[Task],
    settings: Settings,
    *,
    versions: Versions,
    progress: Progress | None = None,
) -> dict[str, LabelResult]:
    """Write ``labels/<task>`` of a month for every available task.

    Each partition's upstream is what that task reads, no more. ``progress`` is told customers done and in all.

    Raises
    ------
    GateError
        The month is immature: its label window has not fully passed, or is not in the lake.
    ContractError
        A segment is not one of ``dataset.segments``.
    """
    chosen = available(tuple(tasks))
    require_mature(session, month, chosen, settings)
    ids = session.read(SNAPSHOTS, month.key, columns=["customer_id"])["customer_id"].to_numpy()
    size = settings.lake.block_customers
    labels: dict[str, list[pa.Array]] = {task.name: [] for task in chosen}
    with ExitStack() as stack:
        writers = {task.name: _open(stack, session, task, month, settings, versions) for task in chosen}
        for begin in range(0, len(ids), size):
            block = ids[begin : begin + size]
            for name, values in derive_labels(
                read_block(session, month, block, chosen, settings), chosen, settings
            ).items():
                writers[name].write(pa.table({"customer_id": block, "label": values}))
                labels[name].append(values)
            if progress:
                progress(begin + len(block), len(ids))
        statistics = {
            task.name: describe(pa.chunked_array(labels[task.name], label_type(task)), task) for task in chosen
        }
        for name, writer in writers.items():
            writer.extra.update(statistics[name])
    return {
        name: LabelResult(name, len(ids), session.lake.manifest(label_asset(name), month.key), statistics[name])
        for name in writers
    }


def label_type(task: Task) -> pa.DataType:
    """Return the Arrow type of a task's label."""
    return TYPES.get(task.name, pa.float32())


def require_mature(session: LakeSession, month: Month, tasks: Sequence[Task], settings: Settings) -> None:
    """Refuse a month whose label window has not fully passed.

    Raises
    ------
    GateError
        It names the month, the end of its window, and what is missing.
    """
    end = month + settings.horizon_months
    raw = settings.dataset.raw_months
    outside = [m for m in month_range(month - settings.horizon_months + 1, end) if m not in raw]
    if outside:
        raise GateError(
            f"the label window [{month.cutoff:%Y-%m-%d}, {end.cutoff:%Y-%m-%d}) of {month} reaches months "
            f"{', '.join(map(str, outside))} outside raw_months {raw.first}..{raw.last}: its labels are immature",
            where=f"labels@{month}",
            fix="leave the month out of training, or extend dataset.raw_months when its data have arrived",
        )
    needed = sorted(set().union(*(sources(task, month, settings) for task in tasks)))
    missing = [address(asset, key) for asset, key in needed if session.lake.find(asset, key) is None]
    if missing:
        raise GateError(
            f"the labels of {month} are immature: the lake does not hold {', '.join(missing)}",
            where=f"labels@{month}",
            fix="materialise these partitions first",
        )


def describe(label: pa.ChunkedArray, task: Task) -> dict[str, Any]:
    """Return a label column's statistics: share of nulls, and rate, mean or class counts by kind."""
    known = pc.drop_null(label)
    result: dict[str, Any] = {
        "mature": True,
        "defined": len(known),
        "null_share": 1 - len(known) / len(label) if len(label) else None,
    }
    if task.kind == "regression":
        values = known.to_numpy().astype(np.float64)
        names = ("mean", "std", "min", "max")
        return result | {name: float(getattr(values, name)()) if len(values) else None for name in names}
    codes, counts = np.unique(known.to_numpy(), return_counts=True)
    result["balance"] = {str(int(code)): int(count) for code, count in zip(codes, counts, strict=True)}
    if task.kind == "binary":
        result["rate"] = float(pc.mean(known).as_py()) if len(known) else None
    return result


def _open(
    stack: ExitStack, session: LakeSession, task: Task, month: Month, settings: Settings, versions: Versions
) -> PartitionWriter:
    upstream = {
        address(asset, key): session.manifest(asset, key).content_hash for asset, key in sources(task, month, settings)
    }
    return stack.enter_context(
        session.lake.write(
            task.asset,
            month.key,
            upstream=upstream,
            **versions(task.asset),
        )
    )
