"""``finai evidence verify``: attacks on the log of evidence with and without anchors, and what it says that it cannot see."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from finai_checks.framework.evidence_log import evidence_log
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore

ROOT = Path(__file__).resolve().parent.parent.parent
ENTRIES = 6


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FINAI_ANCHORS", str(tmp_path / "elsewhere"))
    home = tmp_path / "home"
    log = evidence_log(Lake.on_disk(home / "lake"), SecretStore(home), appends=True)
    log.append_all({"n": n, "passed": False} for n in range(ENTRIES))
    log.anchor()
    return home


def verify(home: Path, *arguments: str, anchors: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FINAI_HOME": str(home), "COLUMNS": "200"}
    if anchors is not None:
        environment["FINAI_ANCHORS"] = anchors
    words = [sys.executable, "-m", "finai_cli.main", "evidence", "verify", *arguments]
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)


def _cut_off(home: Path, entries: int) -> None:
    """Drop the last entries, and let the head say that there never were more."""
    evidence = home / "lake" / "evidence"
    first = json.loads((evidence / f"{ENTRIES - entries:09d}.json").read_text())
    for number in range(ENTRIES - entries, ENTRIES):
        (evidence / f"{number:09d}.json").unlink()
    (evidence / "head.json").write_text(json.dumps({"count": ENTRIES - entries, "digest": first["previous"]}))


def test_a_log_as_it_was_written_passes_and_prints_its_head(home: Path) -> None:
    ended = verify(home)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stdout.splitlines()[-1].startswith(f"{ENTRIES} entries, 0 faults; head {ENTRIES}:")


def test_entries_that_were_cut_off_are_found_by_the_anchor_and_without_one_it_says_what_it_cannot_see(
    home: Path,
) -> None:
    _cut_off(home, 2)
    ended = verify(home)
    assert ended.returncode == 1
    assert "fault" in ended.stdout
    assert "cut off" in ended.stdout
    blind = verify(home, anchors="none")
    assert blind.returncode == 0
    assert "not seen" in blind.stdout
    assert "cut off" in blind.stdout


def test_a_head_that_was_printed_before_serves_as_an_anchor(home: Path) -> None:
    head = verify(home).stdout.splitlines()[-1].rpartition("head ")[2]
    _cut_off(home, 1)
    assert verify(home, "--anchor", head, anchors="none").returncode == 1


def test_a_log_that_was_deleted_whole_is_no_log_without_faults(home: Path) -> None:
    shutil.rmtree(home / "lake" / "evidence")
    ended = verify(home)
    assert ended.returncode == 1
    assert "0 entries, 0 faults" not in ended.stdout


def test_failures_that_were_turned_into_passes_break_their_seals(home: Path) -> None:
    lake = Lake.on_disk(home / "lake")
    records = [entry.record for entry in evidence_log(lake, None).entries()]
    shutil.rmtree(home / "lake" / "evidence")
    evidence_log(lake, None).append_all({**record, "passed": True} for record in records)
    ended = verify(home, anchors="none")
    assert ended.returncode == 1
    assert ended.stdout.count("fault ") >= ENTRIES
