"""Measures the engines of the persistence groups: the compiled kernel against gudhi, side by side.

    python -m benchmarks.persistence --customers 400 --repeats 9 --json benchmarks/out/persistence.json

Each group's transform of one block is computed by either engine in turn, in one process and on one thread, so that whatever
else the machine does falls on both. Compiling the kernels and importing gudhi fall on nothing that is timed. Values and
diagrams of the engines are compared on the way.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from benchmarks.feature_stages import Bench, fit_all, timed
from benchmarks.raw_panel import EVENTS_A_MONTH, write_raw
from finai_assets.features.block import Block, block_ranges, read_block
from finai_assets.features.fit import transform_group
from finai_assets.features.registry import Group, Params
from finai_assets.partitions import look_back
from finai_assets.settings import Settings
from finai_cli.display import display
from finai_resources.lake_session import LakeSession

GROUPS = "tda_global,tda_local"
ENGINES = "kernel", "gudhi"


def with_engine(settings: Settings, group: str, engine: str) -> Settings:
    """Return the settings with another engine of a group."""
    groups = settings.feature_groups
    own = getattr(groups, group).model_copy(update={"engine": engine})
    return settings.model_copy(update={"feature_groups": groups.model_copy(update={group: own})})


def side_by_side(group: Group, block: Block, params: Params, settings: Settings, repeats: int) -> dict[str, Any]:
    """Compute a group by each engine in turn; return median microseconds a customer, and ratios of medians.

    Raises
    ------
    AssertionError
        The engines differ in a bit.
    """
    view = block.view(group.columns)
    chosen = {engine: with_engine(settings, group.name, engine) for engine in ENGINES}
    spent: dict[str, list[tuple[float, float]]] = {engine: [] for engine in ENGINES}
    for repeat in range(repeats + 1):
        results = {}
        for engine in ENGINES:
            wall, cpu, results[engine] = timed(lambda e=engine: transform_group(group, view, params, chosen[e]))
            if repeat:  # the first one compiles and imports
                spent[engine].append((wall, cpu))
        (values, tensors), (again, others) = results.values()
        np.testing.assert_array_equal(values, again, strict=True)
        np.testing.assert_array_equal(tensors["diagrams"], others["diagrams"], strict=True)
    found: dict[str, Any] = {"customers": len(block), "repeats": repeats}
    for k, clock in enumerate(("wall", "cpu")):
        medians = {e: statistics.median(times[k] for times in spent[e]) * 1e6 / len(block) for e in ENGINES}
        found |= {f"{engine}_{clock}_us": median for engine, median in medians.items()}
        found[f"ratio_{clock}"] = medians["gudhi"] / medians["kernel"]
    return found


def benchmark(customers: int, repeats: int, events_a_month: float, folder: Path) -> dict[str, Any]:
    """Write raw months, fit the groups on them, and time the first block."""
    bench = Bench.of(1, GROUPS, customers)
    lake, (month,) = bench.lake(folder), bench.months
    raw = look_back(month, bench.settings)
    write_raw(lake, bench.settings, list(raw), customers, events_a_month=events_a_month)
    states, _, _ = fit_all(lake, bench)
    session = LakeSession(lake)
    block = read_block(session, month, *block_ranges(session, month, bench.settings)[0], bench.settings)
    return {
        group.name: side_by_side(group, block, states[group.name].params, bench.settings, repeats)
        for group in bench.groups
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=400)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--events-a-month", type=float, default=EVENTS_A_MONTH)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, display(Console(stderr=True)) as show, show("Benchmark", 1, 0):
        found = benchmark(given.customers, given.repeats, given.events_a_month, Path(folder))
    for name, figures in found.items():
        print(
            f"{name}: kernel {figures['kernel_wall_us']:.0f} us a customer, gudhi {figures['gudhi_wall_us']:.0f}, ratio"
            f" {figures['ratio_wall']:.1f} wall, {figures['ratio_cpu']:.1f} CPU; {figures['customers']} customers,"
            f" medians of {figures['repeats']}; equal to the bit"
        )
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
