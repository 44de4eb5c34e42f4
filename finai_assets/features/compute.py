"""One month of feature groups: blocks of customers read once, given to every group, written in order.

At most ``lake.workers`` blocks are being computed and one is being written, so memory follows the size of a block.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import state_asset
from finai_assets.features.block import block_ranges, read_block
from finai_assets.features.fit import transform_group
from finai_assets.features.inputs import CATEGORIES, DAY_US, PRODUCTS, SNAPSHOTS, TRANSACTIONS
from finai_assets.features.registry import Group, Registry
from finai_assets.features.state import GroupState
from finai_assets.features.statistics import (
    ColumnStatistics,
    Measured,
    Reference,
    conclude,
    enforce_missing_policy,
    measure,
)
from finai_assets.features.tensors import tensor_batch, tensor_writer
from finai_assets.partitions import look_back
from finai_assets.settings import Settings
from finai_resources.errors import GateError, LakeError
from finai_resources.json_text import plain, to_json
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import Manifest, Versions
from finai_resources.months import Month
from finai_resources.progress import report_progress

STATISTICS_FILE = "statistics.json"
REFERENCE_DIGEST = "train_reference"  # key in a month's manifest: digest of the reference of its statistics


@dataclass(frozen=True)
class GroupResult:
    """What was written for a group: rows, the partition's manifest, and the statistics of each column."""

    rows: int
    manifest: Manifest
    statistics: tuple[ColumnStatistics, ...]


@dataclass(frozen=True)
class _Part:
    """One group of one block, ready to be written."""

    table: pa.Table
    tensors: dict[str, pa.RecordBatch]
    measured: Measured


def compute_month(  # one call lists every input of a month
    session: LakeSession,
    month: Month,
    registry: Registry,
    states: Mapping[str, GroupState],
    settings: Settings,
    groups: Iterable[Group | str],
    *,
    versions: Versions,
) -> dict[str, GroupResult]:
    """Compute and write ``features/<group>@month`` for some groups.

    Parameters
    ----------
    states
        The fitted state of each group, as ``fit_states`` gives them.
    versions
        The versions that each group's partition is written with, by the path of its asset.

    Raises
    ------
    GateError
        A group has no state, its state is of other columns, or its values break the declared missing policy. Nothing is
        written then.
    LakeError
        A raw partition is absent or damaged.
    """
    chosen = registry.select(groups)
    for group in chosen:
        _demand_state(group, states)
    raw = LakeSession(session.lake)
    ranges = block_ranges(raw, month, settings)
    measured: dict[str, Measured] = {}
    writers = {}
    sinks = {}
    with ExitStack() as stack:
        for group in chosen:
            writers[group.name] = stack.enter_context(
                session.lake.write(
                    group.asset,
                    month.key,
                    **versions(group.asset),
                    upstream=partial(_upstream, session, raw, group, month, settings),
                    extra={REFERENCE_DIGEST: states[group.name].reference.digest()},
                )
            )
            for tensor in group.tensors:
                sinks[group.name, tensor.name] = stack.enter_context(tensor_writer(writers[group.name], tensor))
        work = partial(_compute_block, raw, month, chosen, states, settings)
        for done, parts in enumerate(_in_order(work, ranges, settings.lake.workers)):
            for group in chosen:
                part = parts[group.name]
                writers[group.name].write(part.table)
                for name, batch in part.tensors.items():
                    sinks[group.name, name].write_batch(batch)
                before = measured.get(group.name)
                measured[group.name] = before + part.measured if before else part.measured
            report_progress(f"features {month}", done + 1, len(ranges))
        statistics = {}
        for group in chosen:
            enforce_missing_policy(group.columns, measured[group.name], where=f"{group.asset}@{month.key}")
            concluded = tuple(conclude(measured[group.name], states[group.name].reference, group.names))
            writers[group.name].put(STATISTICS_FILE, statistics_json(concluded))
            statistics[group.name] = concluded
    session.seen.update(raw.seen)
    return {group.name: _result(writers[group.name].manifest, statistics[group.name]) for group in chosen}


def month_statistics(
    session: LakeSession, month: Month, group: Group, reference: Reference
) -> tuple[ColumnStatistics, ...]:
    """Measure a stored partition of a group again, row group by row group."""
    total: Measured | None = None
    for file in session.lake.open_parquet(session.manifest(group.asset, month.key)):
        for index in range(file.metadata.num_row_groups):
            table = file.read_row_group(index, columns=list(group.names))
            values = np.empty((table.num_rows, table.num_columns), np.float32, order="F")
            for c, column in enumerate(table.columns):
                values[:, c] = column.to_numpy()
            part = measure(values, reference)
            total = total + part if total else part
    if total is None:
        raise LakeError("the partition holds no rows", where=f"{group.asset}@{month.key}", fix="materialise it again")
    return tuple(conclude(total, reference, group.names))


def stored_statistics(
    session: LakeSession, month: Month, group: Group, reference: Reference
) -> tuple[ColumnStatistics, ...]:
    """Return the statistics of a stored partition against a reference.

    The statistics in the manifest are returned if they were taken against this very reference. The state may have been refitted
    since, which does not recompute a group without parameters; then the partition is measured again.
    """
    if session.manifest(group.asset, month.key).extra.get(REFERENCE_DIGEST) != reference.digest():
        return month_statistics(session, month, group, reference)
    stored = session.read_json(group.asset, month.key, STATISTICS_FILE)
    return tuple(ColumnStatistics.from_dict(stored[name]) for name in group.names)


def _demand_state(group: Group, states: Mapping[str, GroupState]) -> None:
    state = states.get(group.name)
    if state is None:
        raise GateError(
            "the group has no fitted state", where=state_asset(group.name), fix="materialise its feature state first"
        )
    if list(state.meta.get("columns", [])) != list(group.names):
        raise GateError(
            "the state was fitted on other columns than the registry now lists",
            where=state_asset(group.name),
            fix="materialise the feature state again",
        )


def _compute_block(
    raw: LakeSession,
    month: Month,
    groups: list[Group],
    states: Mapping[str, GroupState],
    settings: Settings,
    bounds: tuple[int, int],
) -> dict[str, _Part]:
    block = read_block(raw, month, *bounds, settings)
    parts = {}
    for group in groups:
        state = states[group.name]
        values, tensors = transform_group(group, block.view(group.columns), state.params, settings)
        parts[group.name] = _Part(
            _to_arrow(block.customer_id, group, values),
            {t.name: tensor_batch(t, block.customer_id, tensors[t.name]) for t in group.tensors},
            measure(values, state.reference),
        )
    return parts


def _to_arrow(customer_id: np.ndarray, group: Group, values: np.ndarray) -> pa.Table:
    """Wrap column-major values without copying them."""
    arrays = [pa.array(customer_id)] + [pa.array(values[:, c]) for c in range(values.shape[1])]
    return pa.Table.from_arrays(arrays, schema=group_schema(group))


def group_schema(group: Group) -> pa.Schema:
    """Return the schema of ``features/<group>``."""
    return pa.schema(
        [pa.field("customer_id", pa.int64(), nullable=False)] + [pa.field(name, pa.float32()) for name in group.names]
    )


def _in_order(
    work: Callable[[tuple[int, int]], dict[str, _Part]], ranges: list[tuple[int, int]], workers: int
) -> Iterator[dict[str, _Part]]:
    """Yield the results in the order of the ranges; only ``workers`` of them are ahead of the consumer."""
    waiting: deque[Future[dict[str, _Part]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for bounds in ranges:
                if len(waiting) >= workers:
                    yield waiting.popleft().result()
                waiting.append(pool.submit(work, bounds))
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _upstream(session: LakeSession, raw: LakeSession, group: Group, month: Month, settings: Settings) -> dict[str, str]:
    """Return the upstream of the group's values: the raw partitions that its columns read, and its state."""
    needs = raw_partitions(group, month, settings)
    upstream = {source: content for source, content in raw.seen.items() if source in needs}
    if group.fits and (state := session.find(state_asset(group.name))):
        upstream[state_asset(group.name)] = state.content_hash
    return upstream


def raw_partitions(group: Group, month: Month, settings: Settings) -> set[str]:
    """Return the addresses of the raw partitions that a group's columns read, from their inputs and windows."""
    found = {f"{SNAPSHOTS}@{month.key}"}  # its customers are the rows
    for column in group.columns:
        reach = None if column.window_days is None else month.cutoff_us - column.window_days * DAY_US
        for name in column.inputs:
            table = name.rpartition(".")[0]
            if table in (PRODUCTS, CATEGORIES):
                found.add(table)
            if table == TRANSACTIONS or (table == SNAPSHOTS and reach is not None):
                found |= {
                    f"{table}@{past.key}"
                    for past in look_back(month, settings)
                    if reach is None or past.cutoff_us > reach
                }
    return found


def _result(manifest: Manifest | None, statistics: tuple[ColumnStatistics, ...]) -> GroupResult:
    assert manifest is not None  # noqa: S101 # the writer has committed
    return GroupResult(manifest.rows, manifest, statistics)


def statistics_json(statistics: Iterable[ColumnStatistics]) -> bytes:
    """Return statistics by column as JSON; undefined values (the mean of nothing) are null."""
    return to_json(plain({entry.name: entry.as_dict() for entry in statistics}), sort_keys=True)
