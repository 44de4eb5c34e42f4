"""One clean run: the main job and the audit on a panel of its own seed, by the code as it is; and what its evidence log holds.

A run that a blocking check refuses has no results of what lies downstream. It is told as *stopped*, and its results up to there
count.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from finai_checks.framework.evidence_log import EVIDENCE
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake

ROOT = Path(__file__).resolve().parents[2]
PROFILE = "smoke"
LIMIT_S = 3600
# What takes most of a smoke run and decides no check by chance: trees beside the teacher, and explanations of it.
SMALLER = {
    "baselines": {"rounds": {"binary": 20, "regression": 20, "multiclass": 5}},
    "explanations": {"rows": 32, "ablation_rows": 64, "train_rows": 128},
}


@dataclass(slots=True)
class Counted:
    """The results of one check in one run.

    Parameters
    ----------
    results : int
        Assets, or months of them, that the check judged.
    reasons : dict of str to str
        Asset or month that did not pass -> the reason.
    """

    results: int = 0
    reasons: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the counts as plain values."""
        return {"results": self.results, "alarms": len(self.reasons), "reasons": self.reasons}


@dataclass(frozen=True, slots=True)
class CleanRun:
    """What a run's checks said.

    Parameters
    ----------
    stopped : str
        The end of what a refused run wrote; empty where it ended.
    """

    seconds: float
    stopped: str
    checks: Mapping[str, Counted]

    def to_json(self) -> dict[str, Any]:
        """Return the run as plain values."""
        checks = {name: counted.to_json() for name, counted in sorted(self.checks.items())}
        return {"seconds": round(self.seconds), "stopped": self.stopped, "checks": checks}


def clean_run(seed: int, home: Path, *, audit: bool) -> CleanRun:
    """Run the main job on a panel of one seed in a home of its own, and ask all checks again, with the audits where asked for.

    Raises
    ------
    RuntimeError
        The command ended in another way than by a check, so that nothing can be said of any.
    """
    config = home / "config"
    config.mkdir(parents=True)
    (config / "pipeline.yaml").write_text(
        yaml.safe_dump({"seed": seed, "profiles": {PROFILE: SMALLER}}), encoding="utf-8"
    )
    started = time.perf_counter()
    ran = _finai("run", home)
    stopped = ran.stderr.replace(str(home), "HOME")[-600:].strip() if ran.returncode else ""
    if stopped and "blocking checks failed" not in stopped:
        raise RuntimeError(f"the run of seed {seed} ended with {ran.returncode}: {ran.stderr[-3000:]}")
    if not stopped and (ran := _finai(f"recheck --json{' --audit' if audit else ''}", home)).returncode not in {0, 1}:
        raise RuntimeError(f"the recheck of seed {seed} ended with {ran.returncode}: {ran.stderr[-3000:]}")
    log = ChainedLog(Lake.on_disk(home / "lake"), EVIDENCE)
    return CleanRun(time.perf_counter() - started, stopped, count(entry.record for entry in log.entries()))


def count(records: Iterable[Mapping[str, Any]]) -> dict[str, Counted]:
    """Count results and alarms by the name of the check.

    A check that was asked twice about an asset gave one result, which is an alarm where it did not pass each time.
    """
    counted: dict[str, Counted] = {}
    judged: set[tuple[str, str]] = set()
    for record in records:
        name, asset = str(record["name"]), str(record["asset"])
        found = counted.setdefault(name, Counted())
        found.results += (name, asset) not in judged
        judged.add((name, asset))
        if record["passed"] is not True:
            found.reasons.setdefault(asset, str(record["reason"]))
    return counted


def _finai(command: str, home: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "finai_cli.main", *command.split(), "--dataset", "synthetic", "--profile", PROFILE]
    # The program is this interpreter, and its arguments are this module's.
    return subprocess.run(  # noqa: S603
        [*words, "--home", str(home)],
        cwd=ROOT,
        env=_environment(home / "config"),
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


def _environment(config: Path) -> Mapping[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FINAI_", "DAGSTER_"))}
    anchors = config.parent.parent / "anchors"  # outside the home, as anchors are, and not among those of the user
    return {**kept, "FINAI_CONFIG": str(config), "FINAI_ANCHORS": str(anchors), "COLUMNS": "400"}
