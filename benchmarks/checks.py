"""Measures the cost of the checks of a month's feature groups beside computing the month.

    python -m benchmarks.checks --customers 10000 --repeats 5 --json benchmarks/out/checks.json

Every check that sits on a feature group in a month and belongs to each run is evaluated as the platform does: together where
checks share their work, with its record and its entry in the evidence log. Computing the month and checking it alternate. The
month is the last of several, so that checks that look back have something to compare with.
"""

from __future__ import annotations

import argparse
import json
import platform as machine
import statistics
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.feature_stages import Bench, compute, fit_all, timed
from benchmarks.raw_panel import EVENTS_A_MONTH, write_raw
from finai_assets.features.state import store_states
from finai_assets.labels.splits import make_splits
from finai_assets.labels.tasks import build_tasks
from finai_assets.partitions import look_back
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, Declared, sharing_work
from finai_checks.framework.run import run_checks
from finai_cli.display import display
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month
from finai_resources.progress import report_progress

MONTHS, FIT_ROWS = 5, 5000
TARGET = 0.25


def month_checks(platform: Platform, month: Month) -> list[list[Declared]]:
    """Return the checks of a month's groups that belong to every run, grouped by the call that evaluates them."""
    due = [check for check in declared_checks(platform) if not check.kind.audit and month in (check.months or ())]
    return sharing_work([check for check in due if check.asset.startswith("features/")])


def evaluate(
    lake: Lake, platform: Platform, checks: list[list[Declared]], month: Month
) -> tuple[dict[str, float], list[str]]:
    """Run the checks; return the wall seconds of each kind, and the failures."""
    seconds: dict[str, float] = {}
    failed: list[str] = []
    for members in checks:
        context = CheckContext(LakeSession(lake), platform, month)
        wall, _, outcomes = timed(lambda m=members, c=context: run_checks(m, c))
        name = members[0].name
        seconds[name] = seconds.get(name, 0.0) + wall
        failed += [f"{name} on {asset}: {outcome.reason}" for asset, outcome in outcomes.items() if not outcome.passed]
    return seconds, failed


def benchmark(customers: int, repeats: int, folder: Path) -> dict[str, Any]:
    """Time one size."""
    bench = Bench.of(MONTHS, "all", FIT_ROWS)
    platform = Platform(bench.settings, bench.registry, build_tasks(bench.settings), make_splits(bench.settings))
    lake = bench.lake(folder)
    raw = sorted({past for month in bench.months for past in look_back(month, bench.settings)})
    write_raw(lake, bench.settings, raw, customers, events_a_month=EVENTS_A_MONTH)
    states, _, _ = fit_all(lake, bench)
    store_states(LakeSession(lake), states, versions=one_version("bench"))
    compute(lake, bench, bench.groups)  # the earlier months, and a warm page cache
    month = bench.months[-1]
    checks = month_checks(platform, month)
    last = Bench(bench.settings, bench.registry, (month,), bench.groups)
    evaluate(lake, platform, checks, month)  # compiles what is compiled
    runs: list[tuple[float, dict[str, float]]] = []
    failed: list[str] = []
    for repeat in range(repeats):
        wall, _, _ = timed(lambda: compute(lake, last, last.groups))
        seconds, failed = evaluate(lake, platform, checks, month)
        runs.append((wall, seconds))
        report_progress("month and its checks", repeat + 1, repeats)
    kinds = sorted(runs[0][1])
    return {
        "machine": machine.platform(),
        "customers": customers,
        "repeats": repeats,
        "checks": sum(map(len, checks)),
        "features_s": statistics.median(wall for wall, _ in runs),
        "checks_s": statistics.median(sum(seconds.values()) for _, seconds in runs),
        "share": statistics.median(sum(seconds.values()) / wall for wall, seconds in runs),
        "kinds_s": {name: statistics.median(seconds[name] for _, seconds in runs) for name in kinds},
        "failed": failed,
    }


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="finai-bench-") as folder,
        display(Console(stderr=True)) as show,
        show("Benchmark", 1, 0),
    ):
        result = benchmark(given.customers, given.repeats, Path(folder))
    table = Table(title=f"Checks of a month, {result['customers']:,} customers, medians of {result['repeats']}")
    table.add_column("check")
    table.add_column("ms", justify="right")
    for name, seconds in result["kinds_s"].items():
        table.add_row(name, f"{seconds * 1e3:.0f}")
    table.add_row(f"all {result['checks']} checks", f"{result['checks_s'] * 1e3:.0f}")
    table.add_row("computing the month", f"{result['features_s'] * 1e3:.0f}")
    table.add_row("share", f"{result['share']:.0%} (target at most {TARGET:.0%})")
    console = Console()
    console.print(table)
    for line in result["failed"]:
        console.print(f"[yellow]not passed[/] {line}")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
