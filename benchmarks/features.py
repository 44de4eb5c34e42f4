"""Measures the speed of a month of feature groups (read, compute, statistics, write) against the Parquet write floor.

    python -m benchmarks.features --customers 10000 --json benchmarks/out/features.json
    python -m benchmarks.features --customers 10000 --months 5 --fit-rows 50000 --repeats 1
    python -m benchmarks.features --customers 10000 30000 100000 300000 --repeats 1

The floor is the time that pyarrow alone takes to write the same columns with the same settings, in the same process.
Computation and floor alternate, so that whatever else the machine does falls on both. Peak memory is that of a child process
that does nothing but compute the months. Kernels are compiled off the clock. With several sizes, states are fitted on the first
one, and the exponent of growth is printed.
"""

from __future__ import annotations

import argparse
import json
import platform as machine
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.feature_stages import (
    Bench,
    compute,
    fit_all,
    stage_costs,
    stored_bytes,
    timed,
    write_floor,
)
from benchmarks.raw_panel import EVENTS_A_MONTH, write_raw
from finai_assets.features.registry import Group
from finai_assets.features.state import GroupState, store_states
from finai_assets.partitions import look_back
from finai_cli.display import display
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version

# A size is not repeated beyond this, so that the largest ones end.
LONGEST_S = 300.0
# Fitted on first, so that compiling kernels falls on nothing that is timed.
WARM_ROWS = 500
# What a run leaves on the disk at most, until the first size has been measured.
BYTES_PER_EVENT, BYTES_PER_CUSTOMER_MONTH = 40.0, 20_000.0


def side_by_side(lake: Lake, bench: Bench, groups: Sequence[Group], repeats: int) -> dict[str, Any]:
    """Compute some groups and write their floor in turn; return medians and their ratio."""
    runs, floors = [], []
    begin = time.perf_counter()
    while not runs or (len(runs) < repeats and time.perf_counter() - begin < LONGEST_S):
        runs.append(timed(lambda: compute(lake, bench, groups))[:2])
        floors.append(write_floor(lake, groups, bench.months))
    (wall, cpu), (floor_wall, floor_cpu) = (np.median(found, axis=0).tolist() for found in (runs, floors))
    return {
        "groups": len(groups),
        "columns": sum(len(group.columns) for group in groups),
        "wall_s": wall,
        "cpu_s": cpu,
        "write_floor_wall_s": floor_wall,
        "write_floor_cpu_s": floor_cpu,
        "ratio_wall": wall / floor_wall,
        "ratio_cpu": cpu / floor_cpu,
        "repeats": len(runs),
    }


def measure_size(
    lake: Lake, bench: Bench, customers: int, given: argparse.Namespace, states: dict[str, GroupState]
) -> dict[str, Any]:
    """Time one size whose raw months and states are in the lake."""
    store_states(LakeSession(lake), states, versions=one_version("bench"))
    rows = customers * len(bench.months)
    whole = side_by_side(lake, bench, bench.groups, given.repeats)
    stored = stored_bytes(lake, bench.groups, bench.months)
    found = {
        "customers": customers,
        "months": len(bench.months),
        **whole,
        "customer_months_per_s": rows / whole["wall_s"],
        "customer_months_per_cpu_s": rows / whole["cpu_s"],
        "stored_bytes": sum(stored.values()),
        "stored_bytes_per_customer_month": {name: count / rows for name, count in stored.items()},
        "peak_mib": peak_mib(lake, given),
    }
    if bench.direct and len(bench.direct) < len(bench.groups):
        found["direct"] = side_by_side(lake, bench, bench.direct, given.repeats)
    return found


def peak_mib(lake: Lake, given: argparse.Namespace) -> float:
    """Return the peak resident memory of a child process that computes the months."""
    order = ["--child", lake.root, "--months", str(given.months), "--groups", given.groups]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.features", *order], stdout=subprocess.PIPE, text=True, check=True
    )
    return float(json.loads(done.stdout)["peak_mib"])


def child(given: argparse.Namespace) -> None:
    bench = Bench.of(given.months, given.groups, given.fit_rows)
    compute(bench.lake(given.child), bench, bench.groups)
    print(json.dumps({"peak_mib": high_water_mib()}))


def high_water_mib() -> float:
    """Return the peak resident memory of this process alone; ``getrusage`` would count the parent's, before the exec."""
    text = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in text.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def demand_space(folder: Path, needed: float, customers: int) -> None:
    """Raise an error before a size that the disk cannot hold."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ConfigError(
            f"{customers:,} customers take about {needed / 2**30:.1f} GiB, {free / 2**30:.1f} are free",
            where=str(folder),
            fix="pass fewer customers or --events-a-month, or another --folder",
        )


def benchmark(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    bench = Bench.of(given.months, given.groups, given.fit_rows)
    raw = sorted({past for month in bench.months for past in look_back(month, bench.settings)})
    states: dict[str, GroupState] = {}
    result: dict[str, Any] = {"machine": machine.platform(), "python": machine.python_version()}
    result["versions"] = {name: version(name) for name in ("numpy", "numba", "pyarrow", "torch")}
    result["sizes"] = []
    per_customer = given.events_a_month * len(raw) * BYTES_PER_EVENT + given.months * BYTES_PER_CUSTOMER_MONTH
    for customers in sorted(given.customers):
        demand_space(folder, per_customer * customers, customers)
        place = folder / f"lake-{customers}"
        lake = bench.lake(place)
        events = write_raw(lake, bench.settings, raw, customers, events_a_month=given.events_a_month)
        if not states:
            fit_all(lake, bench.with_fit_rows(min(WARM_ROWS, given.fit_rows)))
            states, seconds, read = fit_all(lake, bench)
            rows = int(next(iter(states.values())).meta["rows"])
            result["fit"] = {"rows": rows, "read_s": read, "groups_s": seconds, "total_s": read + sum(seconds.values())}
            store_states(LakeSession(lake), states, versions=one_version("bench"))
            compute(lake, bench, bench.groups)  # warms the page cache
            result["cpu_us_per_customer"] = stage_costs(lake, bench, given.repeats)
        found = {"raw_events": events, **measure_size(lake, bench, customers, given, states)}
        result["sizes"].append(found)
        on_disk = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
        per_customer = (on_disk + found["stored_bytes"]) / customers  # the floor writes all columns once more
        shutil.rmtree(place)
    if len(result["sizes"]) > 1:
        result["exponent"] = {
            name: growth_exponent(result["sizes"], name) for name in ("wall_s", "cpu_s", "peak_mib", "stored_bytes")
        }
    return result


def growth_exponent(sizes: Sequence[dict[str, Any]], figure: str) -> float:
    """Return b of ``figure = a * customers ** b``: the slope of its logarithm on that of the size, by least squares."""
    x, y = (np.log([size[name] for size in sizes]) for name in ("customers", figure))
    return float(np.polyfit(x, y, 1)[0])


def print_groups(result: dict[str, Any], bench: Bench) -> None:
    """Print one row for each group, then the other stages and their sum, of the first size."""
    size, cost, fits = result["sizes"][0], result["cpu_us_per_customer"], result["fit"]["groups_s"]
    whole = 1e6 / size["customer_months_per_cpu_s"]
    form = "{:24} {:>8} {:>12} {:>7} {:>12} {:>9} {:>12}"
    print(form.format("group", "columns", "CPU us/cust", "share", "cust/CPU-s", "fit s", "bytes/cust"))
    for group in bench.groups:
        spent, stored = cost[group.name], size["stored_bytes_per_customer_month"][group.name]
        figures = (
            f"{spent:,.1f}",
            f"{spent / whole:.1%}",
            f"{1e6 / spent:,.0f}",
            f"{fits[group.name]:.1f}",
            f"{stored:,.0f}",
        )
        print(form.format(group.name, len(group.columns), *figures))
    rest = whole - sum(cost.values())
    total = size["stored_bytes"] / (size["customers"] * size["months"])
    for name, spent in (
        ("read raw", cost["read raw"]),
        ("statistics", cost["statistics"]),
        ("write, and the rest", rest),
    ):
        print(form.format(name, "", f"{spent:,.1f}", f"{spent / whole:.1%}", "", "", ""))
    figures = f"{whole:,.1f}", "100.0%", f"{1e6 / whole:,.0f}", f"{result['fit']['total_s']:.1f}", f"{total:,.0f}"
    print(form.format("whole", size["columns"], *figures))
    print(f"fits: {result['fit']['rows']:,} train rows, of which reading took {result['fit']['read_s']:.1f} s\n")


def print_sizes(result: dict[str, Any]) -> None:
    """Print one row for each size, and how time and memory grow."""
    head = (
        "customers",
        "events",
        "wall s",
        "CPU s",
        "cust-mon/s",
        "peak MiB",
        "ratio to floor",
        "of direct groups",
        "runs",
    )
    form = " ".join(f"{{:>{width}}}" for width in (10, 12, 8, 8, 12, 9, 20, 20, 5))
    print(form.format(*head))
    for size in result["sizes"]:
        cells = [f"{size[name]:,}" for name in ("customers", "raw_events")]
        cells += [f"{size[name]:,.2f}" for name in ("wall_s", "cpu_s")]
        cells += [f"{size[name]:,.0f}" for name in ("customer_months_per_s", "peak_mib")]
        for part in (size, size.get("direct")):
            cells.append(f"{part['ratio_wall']:.2f} wall {part['ratio_cpu']:.2f} CPU" if part else "")
        print(form.format(*cells, size["repeats"]))
    for name, exponent in result.get("exponent", {}).items():
        print(f"{name} grows as customers ** {exponent:.3f}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, nargs="+", default=[10_000], help="one size or several")
    parser.add_argument("--months", type=int, default=1)
    parser.add_argument("--groups", default="all", help="all, direct, or names separated by commas")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--fit-rows", type=int, default=5000, help="customer-months that states are fitted on")
    parser.add_argument("--events-a-month", type=float, default=EVENTS_A_MONTH)
    parser.add_argument("--folder", type=Path, help="where the lakes go; a temporary folder by default")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    given = parse()
    if given.child:
        child(given)
        return
    with (
        tempfile.TemporaryDirectory(dir=given.folder) as folder,
        display(Console(stderr=True)) as show,
        show("Benchmark", 1, 0),
    ):
        result = benchmark(given, Path(folder))
    print_groups(result, Bench.of(given.months, given.groups, given.fit_rows))
    print_sizes(result)
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
