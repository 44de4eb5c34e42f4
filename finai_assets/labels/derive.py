"""Labels: events in the window that begins at a cutoff, by the formula that each task's row names.

:func:`derive_labels` is pure arithmetic over a block of customers; :func:`compute_labels` reads a month's windows from the lake
block by block, cuts them by time, and writes ``labels/<task>``. With ``m`` the snapshot month and ``h`` the horizon in months,
the window is ``[cutoff(m), cutoff(m + h))`` and the window before it ``[cutoff(m - h), cutoff(m))``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import SNAPSHOTS, label_asset
from finai_assets.labels.task import Task, available
from finai_assets.labels.windows import LabelBlock, read_block, sources
from finai_assets.reference import resolve
from finai_assets.settings import Settings
from finai_resources.errors import GateError
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest, Versions, address
from finai_resources.months import Month, month_range
from finai_resources.partition_writer import PartitionWriter
from finai_resources.progress import report_progress


@dataclass(frozen=True)
class LabelResult:
    """The partition written for one task and month, with its statistics."""

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


def derive_labels(block: LabelBlock, tasks: Sequence[Task]) -> dict[str, pa.Array]:
    """Compute the labels of a block of customers.

    Returns
    -------
    dict of str to pa.Array [n]
        Of the task's type; null where the label is not defined.
    """
    return {task.name: resolve(task.formula)(block, task.parameters) for task in tasks}


# ---- a month, from the lake to the lake


def compute_labels(
    session: LakeSession,
    month: Month,
    tasks: Sequence[Task],
    settings: Settings,
    *,
    versions: Versions,
) -> dict[str, LabelResult]:
    """Write ``labels/<task>`` of a month for every available task.

    Each partition's upstream is what that task reads, no more.

    Parameters
    ----------
    versions
        The versions that each task's partition is written with, by the path of its asset.

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
        writers = {task.name: _open(stack, session, task, month, settings, versions(task.asset)) for task in chosen}
        for begin in range(0, len(ids), size):
            block = ids[begin : begin + size]
            for name, values in derive_labels(read_block(session, month, block, chosen, settings), chosen).items():
                writers[name].write(pa.table({"customer_id": block, "label": values}))
                labels[name].append(values)
            report_progress(f"customers of {month}", begin + len(block), len(ids))
        statistics = {task.name: describe(pa.chunked_array(labels[task.name], task.type), task) for task in chosen}
        for name, writer in writers.items():
            writer.extra.update(statistics[name])
    return {
        name: LabelResult(name, len(ids), session.lake.manifest(label_asset(name), month.key), statistics[name])
        for name in writers
    }


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
    stack: ExitStack, session: LakeSession, task: Task, month: Month, settings: Settings, versions: Mapping[str, Any]
) -> PartitionWriter:
    upstream = {
        address(asset, key): session.manifest(asset, key).content_hash for asset, key in sources(task, month, settings)
    }
    return stack.enter_context(
        session.lake.write(
            task.asset,
            month.key,
            upstream=upstream,
            **versions,
        )
    )
