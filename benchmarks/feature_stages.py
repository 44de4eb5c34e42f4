"""Measures each part of a month of feature groups by itself: reading, kernels, statistics, writing, fits."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from finai_assets.features.block import block_ranges, read_block
from finai_assets.features.compute import compute_month
from finai_assets.features.fit import fit_states, load_states, transform_group
from finai_assets.features.registry import Group, Registry, build_registry
from finai_assets.features.state import GroupState
from finai_assets.features.statistics import measure
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month
from finai_resources.progress import report_progress, watched

# The groups that are plain aggregates of raw rows: the write floor is their yardstick.
DIRECT = (
    "demographics", "product_holdings", "txn_behavior", "derived_temporal",
    "txn_lag_tensor", "txn_rolling_stats", "nba_history_multihot", "mcc_top30_multihot",
)  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """Settings, months and groups of a benchmark."""

    settings: Settings
    registry: Registry
    months: tuple[Month, ...]
    groups: tuple[Group, ...]

    @classmethod
    def of(cls, months: int, groups: str, fit_rows: int) -> Bench:
        """Return a bench of the first snapshot months, as train months, and of ``all``, ``direct`` or the named groups.

        Raises
        ------
        ConfigError
            A group is not known, or has no transform.
        """
        first = load_settings("synthetic", "bench").dataset.snapshot_months.first
        taken = tuple(first + k for k in range(months))
        settings = load_settings(
            "synthetic",
            "bench",
            overrides={
                "dataset": {"splits": {"train": [taken[0].key, taken[-1].key]}},
                "fit": {"rows": fit_rows},
            },
        )
        registry = build_registry(settings)
        names = {"all": tuple(g.name for g in registry.available), "direct": DIRECT}.get(groups) or groups.split(",")
        chosen = registry.select(names)
        if absent := [group.name for group in chosen if group not in registry.available]:
            raise ConfigError(f"{absent} can't be computed", where="--groups", fix="name groups that have a transform")
        return cls(settings, registry, taken, tuple(chosen))

    def with_fit_rows(self, rows: int) -> Bench:
        """Return the bench with another size of the train sample."""
        fit = self.settings.fit.model_copy(update={"rows": rows})
        return replace(self, settings=self.settings.model_copy(update={"fit": fit}))

    @property
    def direct(self) -> tuple[Group, ...]:
        """Return the chosen groups that are direct."""
        return tuple(group for group in self.groups if group.name in DIRECT)

    def lake(self, folder: Path | str) -> Lake:
        """Open a lake with the configured compression."""
        chosen = self.settings.lake
        return Lake.on_disk(folder, compression=chosen.compression, compression_level=chosen.compression_level)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return wall seconds, CPU seconds, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def compute(lake: Lake, bench: Bench, groups: Sequence[Group]) -> None:
    """Compute and write the months of some groups, as the platform does."""
    session = LakeSession(lake)
    states = load_states(session, groups)
    for month in bench.months:
        compute_month(
            session,
            month,
            bench.registry,
            states,
            bench.settings,
            groups,
            versions=one_version("bench"),
        )


def write_floor(lake: Lake, groups: Sequence[Group], months: Sequence[Month]) -> tuple[float, float]:
    """Return wall and CPU seconds that pyarrow alone takes to write the columns of some groups in the same row groups.

    Rows are read back one row group at a time, off the clock.
    """
    wall = cpu = 0.0
    with tempfile.TemporaryDirectory(dir=lake.root) as folder:
        for month in months:
            for group in groups:
                file = lake.open_parquet(lake.manifest(group.asset, month.key))[0]
                schema = file.schema_arrow
                writer = pq.ParquetWriter(Path(folder) / group.name, schema, **lake.parquet_options(schema))
                for index in range(file.metadata.num_row_groups):
                    table = file.read_row_group(index).combine_chunks()
                    spent = timed(lambda w=writer, t=table: w.write_table(t, row_group_size=t.num_rows))
                    wall, cpu = wall + spent[0], cpu + spent[1]
                spent = timed(writer.close)
                wall, cpu = wall + spent[0], cpu + spent[1]
    return wall, cpu


def stage_costs(lake: Lake, bench: Bench, repeats: int) -> dict[str, float]:
    """Return CPU microseconds per customer of reading a block, of each group's transform, and of statistics (medians)."""
    session = LakeSession(lake)
    states: dict[str, GroupState] = load_states(session, bench.groups)
    month, settings = bench.months[0], bench.settings
    low, high = block_ranges(session, month, settings)[0]
    found: dict[str, list[float]] = {}
    for repeat in range(repeats):
        _, cpu, block = timed(lambda: read_block(session, month, low, high, settings))
        found.setdefault("read raw", []).append(cpu)
        measured = 0.0
        for group in bench.groups:
            state, view = states[group.name], block.view(group.columns)
            _, cpu, (values, _) = timed(lambda g=group, v=view, s=state: transform_group(g, v, s.params, settings))
            found.setdefault(group.name, []).append(cpu)
            measured += timed(lambda v=values, s=state: measure(v, s.reference))[1]
            report_progress(
                f"transform {group.name}, repeat {repeat + 1} of {repeats}", len(found), len(bench.groups) + 1
            )
        found.setdefault("statistics", []).append(measured)
    return {name: statistics.median(values) * 1e6 / len(block) for name, values in found.items()}


def fit_all(lake: Lake, bench: Bench) -> tuple[dict[str, GroupState], dict[str, float], float]:
    """Fit the groups and return their states, the wall seconds of each, and those of reading the train sample.

    A group's seconds hold its fit and what every state needs: the transform of the sample for the train reference.
    """
    last: dict[str, float] = {}
    outside = copy_context()

    def watch(label: str, done: int, count: int) -> None:
        last[label] = time.perf_counter()  # a label's last call is its end
        outside.run(report_progress, label, done, count)

    begin = time.perf_counter()
    with watched(watch):
        states = fit_states(LakeSession(lake), bench.settings, bench.registry, groups=bench.groups)
    ends = [last["read train sample"], *(last[f"fit {group.name}"] for group in bench.groups)]
    seconds = {group.name: ends[k + 1] - ends[k] for k, group in enumerate(bench.groups)}
    return states, seconds, ends[0] - begin


def stored_bytes(lake: Lake, groups: Sequence[Group], months: Sequence[Month]) -> dict[str, int]:
    """Return the bytes that each group's partitions take, side tensors included."""
    return {g.name: sum(lake.manifest(g.asset, month.key).bytes for month in months) for g in groups}
