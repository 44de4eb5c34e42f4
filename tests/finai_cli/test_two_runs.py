"""Two runs of one home at the same time: one computes, the other is told who does, and nothing is computed twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from finai_assets.asset_graph import PRODUCTS, SOURCE, SPLITS, TRANSACTIONS
from finai_checks.framework.evidence_log import EVIDENCE
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake
from finai_resources.leases import leased

ROOT = Path(__file__).resolve().parent.parent.parent
# The command, on a main job of one unit that needs no data, whose asset takes two seconds.
RUN = """
import sys, time
from pathlib import Path
from finai_assets.asset_graph import SPLITS
from finai_assets.labels import assets
from finai_cli import main, run
from finai_cli.plan import Stage, Unit

home, gate, seconds = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
run.main_job = lambda platform: [Stage("fit", "Splits", (Unit("fit_features", (SPLITS,)),))]
run.write_summary = lambda *_: sys.exit(0)
run.rebuild = lambda *_: None
real = assets.make_splits

def slowly(settings):
    print("computing", flush=True)
    time.sleep(seconds)
    return real(settings)

assets.make_splits = slowly
print("ready", flush=True)
while not gate.exists():
    time.sleep(0.001)
sys.argv = ["finai", "run", "--profile", "smoke", "--home", str(home)]
main.run_cli()
"""


def run(home: Path, gate: Path, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, str(home), str(gate), str(seconds)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


@pytest.mark.slow
def test_of_two_runs_that_begin_together_one_computes_and_the_other_ends_with_one_sentence(tmp_path: Path) -> None:
    home, gate = tmp_path / "home", tmp_path / "go"
    both = [run(home, gate, 20.0) for _ in range(2)]
    gate.touch()
    said = [process.communicate(timeout=900) for process in both]
    assert sorted(process.returncode for process in both) == [0, 1], said
    loser = said[both[1].returncode]
    winner = both[1 - both[1].returncode]
    assert "labels/splits is being written by process" in loser[1]
    assert f"process {winner.pid} on" in loser[1]
    assert "What to do: wait until that run has finished" in loser[1]
    assert "Traceback" not in loser[0] + loser[1]
    assert [out.count("computing") for out, _ in sorted(said, key=lambda each: each is loser)] == [1, 0]
    lake = Lake.on_disk(home / "lake")
    checks = [entry.record["name"] for entry in ChainedLog(lake, EVIDENCE).entries()]
    assert len(checks) == len(set(checks)) > 0


@pytest.mark.slow
def test_a_killed_run_does_not_block_the_next(tmp_path: Path) -> None:
    home, gate = tmp_path / "home", tmp_path / "go"
    gate.touch()
    first = run(home, gate, 600.0)
    assert first.stdout is not None
    while first.stdout.readline() != "computing\n":
        assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    assert list((home / "lake" / "_leases").glob("*.json"))
    second = run(home, gate, 0.0)
    out, err = second.communicate(timeout=900)
    assert second.returncode == 0, err
    assert out.count("computing") == 1
    assert Lake.on_disk(home / "lake").find(SPLITS) is not None


@pytest.mark.slow
def test_a_run_whose_first_partition_another_process_writes_says_so_and_computes_nothing(tmp_path: Path) -> None:
    lake = Lake.on_disk(tmp_path / "lake")
    environment = {**os.environ, "COLUMNS": "160"}
    command = [sys.executable, "-m", "finai_cli.main", "run", "--profile", "smoke", "--home", str(tmp_path)]
    with leased(lake, [(PRODUCTS, None)]):
        begun = time.monotonic()
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment)
    assert ended.returncode == 1
    assert f"{PRODUCTS} is being written by process {os.getpid()}" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
    assert lake.find(SOURCE) is None
    assert lake.find(TRANSACTIONS, "2014-01") is None
    assert time.monotonic() - begun < 120


def test_a_home_on_a_read_only_disk_ends_a_run_with_one_sentence(tmp_path: Path) -> None:
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "none", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine lets the tests mount nothing")
    try:
        command = [sys.executable, "-m", "finai_cli.main", "run", "--profile", "smoke", "--home", str(place / "home")]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
    assert ended.returncode == 1
    assert f"{place}/home" in ended.stderr
    assert "the file system is read-only" in ended.stderr
    assert "What to do: mount it writable" in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout
