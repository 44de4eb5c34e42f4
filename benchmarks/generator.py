"""Measures the time and the memory of generating the synthetic panel: `python -m benchmarks.generator 5000 20000`.

Each size runs in a process of its own, so that its peak memory is its own. A small panel runs first, so that the compilation
of the kernels is left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from finai_assets.ingest.synthetic import generate
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import DEMO_PSEUDONYM_KEY


def measure(customers: int, workers: int) -> dict[str, float]:
    """Generate a panel of 30 months and return its time, memory and size."""
    for number in (20, customers):
        settings = load_settings("synthetic", "bench", overrides={"generator": {"customers": number}})
        with tempfile.TemporaryDirectory() as folder:
            wall, cpu = time.perf_counter(), time.process_time()
            report = generate(
                settings,
                DEMO_PSEUDONYM_KEY,
                LakeSession(Lake.on_disk(folder)),
                tasks=build_tasks(settings),
                workers=workers,
                code_version="bench",
            )
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            size = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())
    rows = report.figures["size"]
    return {
        "customers": customers,
        "workers": workers,
        "wall_s": wall,
        "cpu_s": cpu,
        "payments": rows["payments"],
        "customer_months_a_second": rows["customer_months"] / wall,
        "payments_a_cpu_second": rows["payments"] / cpu,
        "lake_mb": size / 1e6,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("customers", type=int, nargs="+")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--here", action="store_true", help="measure in this process")
    chosen = parser.parse_args()
    for customers in chosen.customers:
        if chosen.here:
            print(json.dumps(measure(customers, chosen.workers)))
        else:
            arguments = [
                sys.executable,
                "-m",
                "benchmarks.generator",
                str(customers),
                "--workers",
                str(chosen.workers),
                "--here",
            ]
            subprocess.run(arguments, check=True)


if __name__ == "__main__":
    main()
