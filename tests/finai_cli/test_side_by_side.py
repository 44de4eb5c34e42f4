"""Two workers leave what one process leaves: the same bytes and the same verdicts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from finai_checks.framework.evidence_log import EVIDENCE
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake

ROOT = Path(__file__).resolve().parent.parent.parent
SMALLER: dict[str, Any] = {
    "generator": {"customers": 250},
    "baselines": {"rounds": {"binary": 10, "regression": 10, "multiclass": 3}},
    "explanations": {"rows": 32, "ablation_rows": 64, "train_rows": 128},
    "teacher": {"epochs": 1},
}
FEWER_MONTHS: dict[str, Any] = {
    "raw_months": ["2014-01", "2015-06"],
    "snapshot_months": ["2015-01", "2015-05"],
    "splits": {
        "train": ["2015-01", "2015-01"],
        "validation": ["2015-03", "2015-03"],
        "test": ["2015-05", "2015-05"],
    },
}
# A home makes its own signing key, and a bundle's signature is a part of its content.
KEYS = {"FINAI_SIGNING_KEY": "5e" * 32}


def lake_of_a_run(folder: Path, workers: int) -> Lake:
    (folder / "config" / "datasets").mkdir(parents=True)
    for file, smaller in (("pipeline.yaml", SMALLER), ("datasets/synthetic.yaml", {"dataset": FEWER_MONTHS})):
        text = yaml.safe_dump({"profiles": {"smoke": smaller}})
        (folder / "config" / file).write_text(text, encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-m", "finai_cli.main", "run", "--profile", "smoke", "--workers", str(workers)],
        env={**os.environ, "FINAI_HOME": str(folder / "home"), "FINAI_CONFIG": str(folder / "config"), **KEYS},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert ended.returncode in {0, 1}, ended.stderr  # so few customers may be refused, by both
    return Lake.on_disk(folder / "home" / "lake")


def contents(lake: Lake) -> dict[str, str]:
    manifests = [json.loads(path.read_bytes()) for path in Path(lake.root).rglob("_manifest.json")]
    return {f"{each['asset']}@{each['partition']}": each["content_hash"] for each in manifests}


def verdicts(lake: Lake) -> Counter[str]:
    told = [entry.record for entry in ChainedLog(lake, EVIDENCE).entries()]
    names = ("name", "asset", "passed", "reason", "n", "observed", "data_version")
    return Counter(json.dumps(without_times({name: record[name] for name in names}), sort_keys=True) for record in told)


def without_times(judged: dict[str, Any]) -> dict[str, Any]:
    """Leave out what a clock measured, which no two runs share."""
    kept = {name: value for name, value in judged["observed"].items() if not name.endswith("_ms")}
    return {**judged, "observed": kept}


@pytest.mark.slow
def test_the_number_of_workers_alters_no_byte_and_no_verdict(tmp_path: Path) -> None:
    two, one = (lake_of_a_run(tmp_path / str(workers), workers) for workers in (2, 1))
    stored = contents(one)
    assert len(stored) > 300
    assert {path: content for path, content in contents(two).items() if stored.get(path) != content} == {}
    assert contents(two).keys() == stored.keys()
    judged = verdicts(one)
    assert sum(judged.values()) > 500
    assert verdicts(two) - judged == judged - verdicts(two) == Counter()
