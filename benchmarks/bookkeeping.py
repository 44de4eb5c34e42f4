"""Measures Dagster's own cost of a month: groups, columns as virtual assets, one gate a group, and no computation.

Runs the same job on the stock SQLite event log and on the batched one, in turn, and prints CPU-seconds a month (median) and the
ratio.

    python -m benchmarks.bookkeeping --months 5 --json benchmarks/out/bookkeeping.json
"""

import argparse
import json
import os
import platform as machine
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import dagster as dg
import yaml

from finai_assets.automation.specs import column_key, partitions_of
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_resources.event_log import BATCH_SIZE, BATCH_VARIABLE, log_materializations
from finai_resources.home import Home

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
FIGURES = {"rows": 10, "null_rate": 0.1, "mean": 1.0, "std": 1.0, "min": 0.0, "max": 2.0, "psi_against_train": 0.01}


def definitions(platform: Platform) -> dg.Definitions:
    """Return Dagster definitions of the platform's groups and columns, with a step that only logs."""
    partitions, groups = partitions_of(platform, platform.registry.available[0].asset), platform.registry.available

    @dg.multi_asset(
        name="features",
        partitions_def=partitions,
        specs=[dg.AssetSpec(group.asset.split("/"), skippable=True) for group in groups],
        can_subset=True,
    )
    def features(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
        for group in groups:
            log_materializations(
                context,
                [
                    dg.AssetMaterialization(column_key(column), partition=context.partition_key, metadata=FIGURES)
                    for column in group.columns
                ],
            )
            yield dg.MaterializeResult(asset_key=group.asset.split("/"))

    columns = [
        dg.AssetSpec(column_key(column), deps=[group.asset.split("/")], partitions_def=partitions, is_virtual=True)
        for group in groups
        for column in group.columns
    ]

    def gate(asset: str) -> dg.AssetChecksDefinition:
        @dg.asset_check(asset=asset.split("/"), name="gate", partitions_def=partitions, blocking=True)
        def check() -> dg.AssetCheckResult:
            return dg.AssetCheckResult(passed=True)

        return check

    job = dg.define_asset_job("job", dg.AssetSelection.assets(*(g.asset.split("/") for g in groups)))
    return dg.Definitions([features, *columns], jobs=[job], asset_checks=[gate(g.asset) for g in groups])


def measure(platform: Platform, months: int, *, batched: bool, folder: Path) -> list[float]:
    """Return CPU-seconds of each month."""
    home = Home.at(folder)
    home.prepare()
    os.environ["DAGSTER_HOME"] = str(home.dagster)
    if batched:
        os.environ[BATCH_VARIABLE] = str(BATCH_SIZE)
    else:
        os.environ.pop(BATCH_VARIABLE, None)
        (home.dagster / "dagster.yaml").write_text(yaml.safe_dump({"telemetry": {"enabled": False}}))
    seconds = []
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        job = definitions(platform).resolve_job_def("job")
        for month in list(platform.settings.dataset.snapshot_months)[:months]:
            started = time.process_time()
            job.execute_in_process(partition_key=month.partition_key, instance=instance, run_config=QUIET)
            seconds.append(time.process_time() - started)
    return seconds


def main() -> None:
    """Measure both and print the table."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--months", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    platform = Platform.of(load_settings("synthetic", "demo"))
    with tempfile.TemporaryDirectory() as folder:
        stock = measure(platform, given.months, batched=False, folder=Path(folder) / "stock")
        batched = measure(platform, given.months, batched=True, folder=Path(folder) / "batched")
    result = {
        "groups": len(platform.registry.available),
        "columns": len(platform.registry.columns),
        "months": given.months,
        "stock_cpu_s": statistics.median(stock),
        "batched_cpu_s": statistics.median(batched),
        "ratio": statistics.median(stock) / statistics.median(batched),
        "machine": machine.platform(),
        "dagster": version("dagster"),
    }
    for name, value in result.items():
        print(f"{name:<16} {value:.2f}" if isinstance(value, float) else f"{name:<16} {value}")
    if given.json:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
