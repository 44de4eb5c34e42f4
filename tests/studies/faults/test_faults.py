"""Each storage call of a write fails in turn: the old content stays or the new is whole, and writing again mends all."""

from __future__ import annotations

import multiprocessing as mp
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.asset_graph import SNAPSHOTS
from finai_cli.plan import Unit
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import FinaiError, StorageError
from finai_resources.lake import Lake
from finai_resources.leases import FOLDER as LEASES
from finai_resources.months import Month
from finai_resources.storage_errors import storage_error
from studies.faults.cases import chosen
from studies.faults.injector import KINDS, Injector, Kind, Point
from studies.faults.trial import Case, differences, unsaid

ASSET, MONTH = "features/x", "2015-01"
GROUP = "demographics"
OWN = "read lake/{asset}/month=*/part-*.parquet"  # by a check of the group, after it is stored


def store(folder: Path, content: bytes) -> None:
    lake = Lake.on_disk(folder / "lake")
    with lake.write(ASSET, MONTH) as out:
        out.write(pa.table({"customer_id": np.arange(50)}))
        out.put("a.txt", content)
    ChainedLog(lake, "evidence", key=b"k" * 32).append({"content": content.decode()})


def apart(work: Callable[[], Any]) -> Any:
    """Return what a forked process returned; None where it was killed."""
    ours, theirs = mp.Pipe()
    process = mp.get_context("fork").Process(target=lambda: theirs.send(work()))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        process.join()
        assert process.exitcode == -signal.SIGKILL
        return None


def with_fault(folder: Path, kind: Kind, at: Point | None) -> tuple[dict[str, int], str, bool]:
    injector = Injector(folder, kind, at, (ASSET,))
    injector.install()
    said = ""
    try:
        store(folder, b"second")
    except (OSError, StorageError) as error:  # what is read bare is told by the command
        said = str(storage_error(error))
    return dict(injector.counts), said, injector.hit


def read_and_store(folder: Path) -> tuple[int, bytes]:
    lake = Lake.on_disk(folder / "lake")
    found = lake.read(ASSET, MONTH).num_rows, lake.read_bytes(ASSET, MONTH, "a.txt")
    store(folder, b"second")
    return found


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_at_every_call_of_a_write_the_partition_stays_whole_and_writing_again_leaves_the_same(
    tmp_path: Path, kind: Kind
) -> None:
    wanted = tmp_path / "undisturbed"
    for content in (b"first", b"second"):
        apart(partial(store, wanted, content))
    folder = Lake.on_disk(wanted / "lake").folder(ASSET, MONTH).removeprefix(str(wanted))
    whole = {file.name: file.read_bytes() for file in (wanted / folder[1:]).iterdir()}

    first, counted = tmp_path / "first", tmp_path / "counted"
    apart(partial(store, first, b"first"))
    shutil.copytree(first, counted)
    counts, said, _ = apart(partial(with_fault, counted, kind, None))
    assert said == ""
    points = [Point(name, time) for name, times in counts.items() for time in range(1, times + 1)]
    assert len(points) > 20
    refused = 0
    for number, point in enumerate(points):
        home = tmp_path / str(number)
        shutil.copytree(first, home)
        found = apart(partial(with_fault, home, kind, point))
        if found is not None:
            _, said, hit = found
            assert hit, point
            refused += bool(said)
            assert not said or ("What to do: " in said and str(home) in said), point
        assert apart(partial(read_and_store, home)) in {(50, b"first"), (50, b"second")}, point
        assert {file.name: file.read_bytes() for file in (home / folder[1:]).iterdir()} == whole, point
        assert ChainedLog(Lake.on_disk(home / "lake"), "evidence", key=b"k" * 32).verify() == [], point
        assert list((home / "lake" / LEASES).glob("*.json")) == [], point
    assert refused > len(points) // 2 or kind == "killed"


def test_a_fault_is_injected_once_where_it_is_broken_and_stays_where_the_disk_is_full(tmp_path: Path) -> None:
    def failures(kind: Kind) -> int:
        injector = Injector(tmp_path, kind, Point("create a", 1))
        injector.install()
        failed = 0
        for name in ("a", "b", "c"):
            try:
                (tmp_path / name).write_bytes(b"x")
            except OSError:
                failed += 1
        (tmp_path.parent / "elsewhere").write_bytes(b"x")
        return failed

    assert apart(lambda: failures("broken")) == 1
    for file in tmp_path.iterdir():
        file.unlink()
    assert apart(lambda: failures("full")) == 3
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("said", "lacking"),
    [
        ("features/x@2015-01: /a/b: the disk is full (x)\nWhat to do: free space", []),
        ("/a/b: the disk is full (x)\nWhat to do: free space", ["asset", "month"]),
        ("features/x@2015-01: it failed\nWhat to do: run again", ["cause"]),
        ("features/x@2015-01: the disk is full", ["way out"]),
    ],
)
def test_what_a_refusal_leaves_unsaid_is_found(said: str, lacking: list[str]) -> None:
    case = Case("x", Unit("monthly_features", ("features/x",), Month.parse("2015-01")))
    assert unsaid(said, case) == lacking


def test_a_rerun_that_left_other_bytes_another_verdict_or_a_lease_is_told() -> None:
    wanted = {"files": {"a": "1"}, "verdicts": {"c": "passed"}, "evidence": [], "leases": []}
    assert differences(wanted, wanted) == []
    found = {"files": {"a": "2", "b": "1"}, "verdicts": {"c": "failed"}, "evidence": ["gone"], "leases": ["x.json"]}
    assert differences(found, wanted) == [
        "files: a", "files: b", "verdicts: c", "evidence: gone", "lease left: x.json",
    ]  # fmt: skip


def test_an_unknown_kind_is_told_with_those_there_are() -> None:
    with pytest.raises(FinaiError, match=r"no kind 'raw'\n.*raw month"):
        chosen([Case("raw month", Unit("ingest_month", (SNAPSHOTS,)))], ["raw"])
