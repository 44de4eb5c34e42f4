"""A partition has one writer at a time: who comes second is told who writes; a dead owner's lease blocks nobody."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from finai_resources import leases, objects
from finai_resources.errors import LeaseError
from finai_resources.lake import Lake
from finai_resources.leases import EXPIRES, Owner, leased

ASSET, MONTH = "features/x", "2015-01"
# Writes a partition, or says why not; argv: root, month, seconds that it takes, and a file whose appearance starts it.
WRITER = """
import sys, time
from pathlib import Path
from finai_resources.errors import LeaseError
from finai_resources.lake import Lake
root, month, seconds, gate = sys.argv[1:]
lake = Lake.on_disk(root)
print("ready", flush=True)
while not Path(gate).exists():
    time.sleep(0.001)
try:
    with lake.write("features/x", month) as out:
        print("computing", flush=True)
        time.sleep(float(seconds))
        out.put("a.txt", month.encode())
    print("written", flush=True)
except LeaseError as error:
    print("refused", error, flush=True)
    sys.exit(1)
"""


def writer(lake: Lake, month: str, seconds: float, gate: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, lake.root, month, str(seconds), str(gate)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def lease_of(lake: Lake) -> Path:
    (found,) = (Path(lake.root) / leases.FOLDER).glob("*.json")
    return found


def forge(lake: Lake, **changes: object) -> None:
    """Leave a lease as another process would."""
    with leased(lake, [(ASSET, MONTH)]) as (lease,):
        owner = Owner(**json.loads(lease.content))
        path = lease_of(lake) if lake.is_local else None
    assert path is None or not path.exists()
    content = json.dumps({**asdict(owner), **changes}).encode()
    assert objects.put_if_absent(lake, f"{lake.root}/{leases.FOLDER}/features%2Fx@{MONTH}.json", content)


def test_of_two_processes_that_begin_together_one_computes_and_the_other_is_told_who_does(
    lake: Lake, tmp_path: Path
) -> None:
    gate = tmp_path / "go"
    both = [writer(lake, MONTH, 2.0, gate) for _ in range(2)]
    gate.touch()
    said = [process.communicate(timeout=60)[0] for process in both]
    assert sorted(process.returncode for process in both) == [0, 1]
    winner, loser = sorted(zip(said, both, strict=True), key=lambda each: each[1].returncode)
    assert winner[0] == "computing\nwritten\n"
    assert f"features/x@2015-01 is being written by process {winner[1].pid} on " in loser[0]
    assert "What to do: wait until that run has finished" in loser[0]
    assert lake.read_bytes(ASSET, MONTH, "a.txt") == MONTH.encode()
    assert not list((Path(lake.root) / leases.FOLDER).glob("*.json"))


def test_two_months_are_written_in_parallel(lake: Lake, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    both = [writer(lake, month, 1.0, gate) for month in (MONTH, "2015-02")]
    gate.touch()
    assert [process.communicate(timeout=60)[0] for process in both] == ["computing\nwritten\n"] * 2


def test_the_lease_of_a_killed_process_is_taken_over_at_once(lake: Lake, tmp_path: Path) -> None:
    gate = tmp_path / "go"
    gate.touch()
    first = writer(lake, MONTH, 60.0, gate)
    assert first.stdout is not None
    assert first.stdout.readline() == "computing\n"
    with pytest.raises(LeaseError, match=f"process {first.pid} on"), lake.write(ASSET, MONTH):
        raise AssertionError("it must not be reached")
    first.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, first.pid, os.WEXITED | os.WNOWAIT)
    for _ in range(2):  # not waited for, it is a zombie; then it is gone
        with lake.write(ASSET, MONTH) as out:
            out.put("a.txt", b"second")
        first.wait(timeout=60)
    assert lake.read_bytes(ASSET, MONTH, "a.txt") == b"second"


@pytest.mark.parametrize("where", ["lake", "s3_lake"])
def test_a_lease_from_elsewhere_blocks_until_it_was_not_renewed_for_long(
    where: str, request: pytest.FixtureRequest
) -> None:
    lake: Lake = request.getfixturevalue(where)
    forge(lake, place="elsewhere", host="far", pid=4711, renewed=time.time() - EXPIRES + 60)
    with pytest.raises(LeaseError, match="process 4711 on far"), leased(lake, [(ASSET, MONTH)]):
        raise AssertionError("it must not be reached")
    path = f"{lake.root}/{leases.FOLDER}/features%2Fx@{MONTH}.json"
    objects.delete_if(lake, path, objects.get(lake, path) or b"")
    forge(lake, place="elsewhere", host="far", pid=4711, renewed=time.time() - EXPIRES - 1)
    with lake.write(ASSET, MONTH) as out:
        out.put("a.txt", b"mine")
    assert lake.read_bytes(ASSET, MONTH, "a.txt") == b"mine"
    assert objects.get(lake, path) is None


def test_another_process_of_the_same_number_is_not_taken_for_the_owner(lake: Lake) -> None:
    forge(lake, started=1.0)  # this process's number, but it began in 1970
    with leased(lake, [(ASSET, MONTH)]) as (lease,):
        lease.require()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": 1}'])
def test_a_lease_that_names_nobody_is_taken_over(lake: Lake, content: bytes) -> None:
    assert objects.put_if_absent(lake, f"{lake.root}/{leases.FOLDER}/features%2Fx@{MONTH}.json", content)
    with leased(lake, [(ASSET, MONTH)]) as (lease,):
        lease.require()


def test_who_lost_the_lease_replaces_nothing(lake: Lake) -> None:
    with lake.write(ASSET, MONTH) as out:
        out.put("a.txt", b"theirs")

    def write_silently() -> None:
        with lake.write(ASSET, MONTH) as out:
            out.put("a.txt", b"mine")
            other = replace(Owner(**json.loads(lease_of(lake).read_bytes())), run="other", pid=1)
            lease_of(lake).write_bytes(json.dumps(asdict(other)).encode())

    with pytest.raises(LeaseError, match="taken over"):
        write_silently()
    assert lake.read_bytes(ASSET, MONTH, "a.txt") == b"theirs"
    assert json.loads(lease_of(lake).read_bytes())["run"] == "other"


def test_a_lease_is_renewed_while_its_owner_works(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with leased(lake, [(ASSET, MONTH)]) as (lease,):
        before = json.loads(lease_of(lake).read_bytes())
        lease.renew()
        after = json.loads(lease_of(lake).read_bytes())
        lease.require()
    assert after.pop("renewed") > before.pop("renewed")
    assert after == before


def test_of_several_partitions_all_are_held_or_none(lake: Lake) -> None:
    forge(lake, place="elsewhere", host="far", renewed=time.time())
    with pytest.raises(LeaseError), leased(lake, [("features/a", MONTH), (ASSET, MONTH), ("features/z", MONTH)]):
        raise AssertionError("it must not be reached")
    assert lease_of(lake).name == f"features%2Fx@{MONTH}.json"
    assert os.getpid() not in {pid for pid, _ in leases._held}


@pytest.mark.parametrize("where", ["lake", "s3_lake"])
def test_of_many_that_replace_an_object_at_once_one_does(where: str, request: pytest.FixtureRequest) -> None:
    lake: Lake = request.getfixturevalue(where)
    path = f"{lake.root}/{leases.FOLDER}/x.json"
    assert objects.put_if_absent(lake, path, b"old")
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda i: objects.replace_if(lake, path, b"old", f"new {i}".encode()), range(8)))
    assert sum(done) == 1
    assert objects.get(lake, path) == f"new {done.index(True)}".encode()
