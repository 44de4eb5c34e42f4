"""How fast a month of the eight direct feature groups is: read raw, compute, measure, write, against the Parquet write floor.

    python -m benchmarks.features --customers 10000 --months 1 --json features.json

The floor is the time that pyarrow alone takes to write the same columns with the same settings, in the same process. Peak
memory is that of a child process that does nothing but compute the months.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.raw_panel import write_raw
from finai_assets.features.block import block_ranges, read_block
from finai_assets.features.compute import compute_month
from finai_assets.features.fit import fit_states, load_states, store_states, transform_group
from finai_assets.features.registry import Registry, build_registry
from finai_assets.features.state import GroupState
from finai_assets.features.statistics import measure
from finai_assets.partitions import look_back
from finai_assets.settings import Settings, load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

REPEATS = 5


def bench_settings(months: int) -> Settings:
    settings = load_settings("synthetic", "bench")
    first = settings.dataset.snapshot_months.first
    return load_settings(
        "synthetic",
        "bench",
        overrides={
            "dataset": {"splits": {"train": [first.key, (first + (months - 1)).key]}},
            "fit": {"rows": 5000},
        },
    )


def snapshot_months(settings: Settings, months: int) -> list[Month]:
    first = settings.dataset.snapshot_months.first
    return [first + k for k in range(months)]


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Return wall seconds, CPU seconds, and the result."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def compute_all(lake: Lake, settings: Settings, registry: Registry, months: list[Month]) -> int:
    session = LakeSession(lake)
    states = load_states(session, registry.built)
    rows = 0
    for month in months:
        results = compute_month(session, month, registry, states, settings, registry.built, code_version="bench")
        rows += next(iter(results.values())).rows
    return rows


def stage_shares(lake: Lake, settings: Settings, registry: Registry, month: Month) -> dict[str, float]:
    """Return CPU seconds per 10,000 customers of reading, of each group's kernel, and of statistics, on one block."""
    session = LakeSession(lake)
    states: dict[str, GroupState] = load_states(session, registry.built)
    low, high = block_ranges(session, month, settings)[0]
    found: dict[str, list[float]] = {}
    for _ in range(REPEATS):
        _, cpu, block = timed(lambda: read_block(session, month, low, high, settings))
        found.setdefault("read raw", []).append(cpu)
        measured = 0.0
        for group in registry.built:
            state, view = states[group.name], block.view(group.columns)
            _, cpu, values = timed(lambda g=group, v=view, s=state: transform_group(g, v, s.params, settings))
            found.setdefault(f"kernel {group.name}", []).append(cpu)
            measured += timed(lambda v=values, s=state: measure(v, s.reference))[1]
        found.setdefault("statistics", []).append(measured)
    return {name: statistics.median(values) * 10_000 / len(block) for name, values in found.items()}


def write_floor(lake: Lake, settings: Settings, registry: Registry, months: list[Month]) -> tuple[float, float]:
    """Return wall and CPU seconds that pyarrow takes to write the same columns in the same row groups."""
    wall = cpu = 0.0
    with tempfile.TemporaryDirectory(dir=lake.root) as folder:
        for month in months:
            for group in registry.built:
                file = lake.open_parquet(lake.manifest(group.asset, month.key))[0]
                tables = [file.read_row_group(k).combine_chunks() for k in range(file.metadata.num_row_groups)]

                def write(tables: list[Any] = tables, name: str = group.name) -> None:
                    schema = tables[0].schema
                    with pq.ParquetWriter(Path(folder) / name, schema, **lake.parquet_options(schema)) as writer:
                        for table in tables:
                            writer.write_table(table, row_group_size=table.num_rows)

                seconds = timed(write)
                wall, cpu = wall + seconds[0], cpu + seconds[1]
    return wall, cpu


def peak_mib(lake: Lake, months: int) -> float:
    """Return the peak resident memory of a child process that computes the months."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.features", "--child", lake.root, "--months", str(months)],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(json.loads(done.stdout)["peak_mib"])


def child(root: str, months: int) -> None:
    settings = bench_settings(months)
    registry = build_registry(settings)
    before = high_water_mib()
    compute_all(Lake.on_disk(root), settings, registry, snapshot_months(settings, months))
    print(json.dumps({"peak_mib": high_water_mib(), "before_mib": before}))


def high_water_mib() -> float:
    """Return the peak resident memory of this process alone; ``getrusage`` would count the parent's, before the exec."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def benchmark(customers: int, count: int, folder: Path) -> dict[str, Any]:
    settings = bench_settings(count)
    registry = build_registry(settings)
    months = snapshot_months(settings, count)
    lake = Lake.on_disk(
        folder, compression=settings.lake.compression, compression_level=settings.lake.compression_level
    )
    raw = sorted({past for month in months for past in look_back(month, settings)})
    events = write_raw(lake, settings, raw, customers)
    fit_wall, _, states = timed(lambda: fit_states(LakeSession(lake), settings, registry))
    store_states(LakeSession(lake), states, code_version="bench")
    compute_all(lake, settings, registry, months[:1])  # compiles kernels and warms the page cache
    # Computation and floor alternate, so that whatever else the machine does falls on both.
    runs, floors = [], []
    for _ in range(REPEATS):
        runs.append(timed(lambda: compute_all(lake, settings, registry, months))[:2])
        floors.append(write_floor(lake, settings, registry, months))
    wall, cpu = (float(np.median([run[k] for run in runs])) for k in (0, 1))
    floor_wall, floor_cpu = (float(np.median([floor[k] for floor in floors])) for k in (0, 1))
    rows = customers * count
    stored = sum(lake.manifest(g.asset, month.key).bytes for g in registry.built for month in months)
    return {
        "customers": customers,
        "months": count,
        "raw_events": events,
        "columns": len(registry.columns),
        "wall_s": wall,
        "cpu_s": cpu,
        "customer_months_per_s": rows / wall,
        "customer_months_per_cpu_s": rows / cpu,
        "stored_bytes": stored,
        "write_floor_wall_s": floor_wall,
        "write_floor_cpu_s": floor_cpu,
        "ratio_wall": wall / floor_wall,
        "ratio_cpu": cpu / floor_cpu,
        "peak_mib": peak_mib(lake, count),
        "fit_rows": min(rows, settings.fit.rows),
        "fit_wall_s": fit_wall,
        "cpu_s_per_10k": stage_shares(lake, settings, registry, months[0]),
        "repeats": REPEATS,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--months", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        child(given.child, given.months)
        return
    with tempfile.TemporaryDirectory() as folder:
        found = benchmark(given.customers, given.months, Path(folder) / "lake")
    for name, value in found.items():
        if isinstance(value, dict):
            print(f"{name}:")
            for part, seconds in value.items():
                print(f"    {part:32s} {seconds:8.4f}")
        else:
            print(f"{name:28s} {value:,.3f}" if isinstance(value, float) else f"{name:28s} {value:,}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
