"""What the operating system refuses is one sentence with the path and a way out, and leaves nothing half written."""

from __future__ import annotations

import errno
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finai_resources import objects, partition_writer
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import FinaiError, GateError, StorageError
from finai_resources.lake import Lake
from finai_resources.leases import FOLDER
from finai_resources.partition_writer import PartitionWriter
from finai_resources.storage_errors import storage_error, told_by, told_with

ASSET, MONTH = "features/x", "2015-01"
REFUSALS = {
    errno.ENOSPC: ("the disk is full", "free space"),
    errno.EDQUOT: ("the quota of this user is used up", "raise the quota"),
    errno.EROFS: ("the file system is read-only", "mount it writable"),
    errno.EACCES: ("this user may not read or write there", "give this user the right"),
    errno.EPERM: ("this user may not read or write there", "give this user the right"),
    errno.EMFILE: ("too many files are open", "ulimit -n"),
    errno.ENFILE: ("too many files are open", "ulimit -n"),
    errno.EFBIG: ("a file may not become that large", "ulimit -f"),
    errno.EIO: ("the disk does not answer", "finai doctor --deep"),
}
STEPS = {
    "staging": (PartitionWriter, "__init__"),
    "table": (pq.ParquetWriter, "write_table"),
    "file": (PartitionWriter, "put"),
    "placing": (PartitionWriter, "_place"),
    "manifest": (partition_writer, "replace_file"),
}


def write(lake: Lake, content: bytes = b"first") -> None:
    with lake.write(ASSET, MONTH) as out:
        out.write(pa.table({"customer_id": np.arange(50)}))
        out.put("a.txt", content)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("number", REFUSALS)
def test_a_refused_write_is_told_and_the_old_partition_stays(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, number: int, step: str
) -> None:
    write(lake)
    before = lake.manifest(ASSET, MONTH)
    what, fix = REFUSALS[number]

    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/somewhere/full")

    with monkeypatch.context() as patch:
        patch.setattr(*STEPS[step], refuse)
        with pytest.raises(StorageError) as caught:
            write(lake, b"second")
    assert str(caught.value).startswith(f"/somewhere/full: {what} ([Errno {number}]")
    assert fix in str(caught.value).partition("What to do: ")[2]
    assert lake.manifest(ASSET, MONTH) == before
    assert lake.read_bytes(ASSET, MONTH, "a.txt") == b"first"
    left = [*(Path(lake.root) / "_staging").rglob("*"), *(Path(lake.root) / FOLDER).glob("*.json")]
    assert [path for path in left if path.is_file() and path.name != ".lock"] == []
    write(lake, b"second")
    assert lake.read_bytes(ASSET, MONTH, "a.txt") == b"second"


def test_an_error_that_names_no_file_is_told_with_the_partition(lake: Lake) -> None:
    with pytest.raises(StorageError, match=rf"^{lake.root}/features/x/month=2015-01: the disk is full"):  # noqa: SIM117
        with lake.write(ASSET, MONTH):
            raise OSError(errno.ENOSPC, "Error writing bytes to file")


def test_other_errors_within_a_write_pass_through_as_they_are(lake: Lake) -> None:
    with pytest.raises(FileNotFoundError), lake.write(ASSET, MONTH):
        raise FileNotFoundError(errno.ENOENT, "gone", "/a/source")
    with pytest.raises(ZeroDivisionError), lake.write(ASSET, MONTH):
        raise ZeroDivisionError


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            OSError(errno.EIO, os.strerror(errno.EIO), "/a/evidence/1.json"),
            "features/x@2015-01: /a/evidence/1.json: the disk does not answer",
        ),
        (
            StorageError("the disk is full", where="/a/b", fix="free"),
            "features/x@2015-01: /a/b: the disk is full\nWhat",
        ),
        (
            StorageError("the disk is full", where="/a of features/x@2015-01"),
            "/a of features/x@2015-01: the disk is full",
        ),
        (GateError("1 check failed: disk I/O error"), "1 check failed: disk I/O error"),
    ],
)
def test_a_refusal_names_what_was_being_made_once(error: Exception, said: str) -> None:
    with pytest.raises(type(error) if isinstance(error, FinaiError) else StorageError) as caught, told_with(made()):
        raise error
    assert str(caught.value).startswith(said)
    assert str(caught.value).count("features/x") == (not isinstance(error, GateError))


def made() -> str:
    return f"{ASSET}@{MONTH}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(sqlite3.OperationalError) database or disk is full\n[SQL: INSERT]", "the disk is full"),
        ("(sqlite3.OperationalError) attempt to write a readonly database", "the file system is read-only"),
        ("IO Error: Could not write file '/a/b.duckdb': No space left on device", "/a/b.duckdb: the disk is full"),
        ("RuntimeError: [enforce fail] open file failed: Read-only file system", "the file system is read-only"),
    ],
)
def test_a_library_that_hands_on_the_systems_words_is_understood(text: str, said: str) -> None:
    assert said in str(told_by(text, "here"))
    assert told_by("ValueError: an age is 200", "here") is None


def test_the_cause_behind_another_error_is_found() -> None:
    wrapped = RuntimeError("the batch failed")
    wrapped.__cause__ = sqlite3.OperationalError("disk I/O error")
    assert "the disk does not answer" in str(storage_error(wrapped))
    assert storage_error(RuntimeError("the batch failed")) is None


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Return a function that mounts a small file system, or changes how it is mounted."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this machine lets the tests mount nothing")
        return place

    yield mount
    subprocess.run(["umount", "-l", str(place)], capture_output=True, check=False)


def test_on_a_real_full_disk_each_way_of_writing_is_told_and_what_was_there_stays(
    mounted: Callable[..., Path],
) -> None:
    lake = Lake.on_disk(mounted("size=1m") / "lake")
    write(lake)
    noise = np.random.default_rng(0).integers(0, 256, 1 << 21, dtype=np.uint8)
    with pytest.raises(StorageError, match="the disk is full"), lake.write(ASSET, MONTH) as out:
        out.write(pa.table({"customer_id": noise.view(np.int64)}))
    with pytest.raises(StorageError, match="the disk is full"), lake.write(ASSET, MONTH) as out:
        out.put("large.bin", noise.tobytes())
    with pytest.raises(StorageError, match="the disk is full"), lake.write(ASSET, MONTH) as out:
        out.new_array("X.npy", (1 << 10, 1 << 10))
    with pytest.raises(StorageError, match="the disk is full"):
        objects.put(lake, f"{lake.root}/checks/x.json", noise.tobytes())
    assert lake.read_bytes(ASSET, MONTH, "a.txt") == b"first"
    ChainedLog(lake, "evidence").append({"n": 1})  # the failed writes have given back what they took


def test_on_a_real_read_only_disk_reading_goes_on_and_writing_is_told(mounted: Callable[..., Path]) -> None:
    place = mounted("size=1m")
    write(Lake.on_disk(place / "lake"))
    mounted("remount", "ro")
    lake = Lake.on_disk(place / "lake")
    assert lake.read(ASSET, MONTH).num_rows == 50
    assert lake.read_bytes(ASSET, MONTH, "a.txt") == b"first"
    with pytest.raises(StorageError, match="the file system is read-only"):
        write(lake)
    with pytest.raises(StorageError, match="the file system is read-only"):
        ChainedLog(lake, "evidence").append({"n": 1})


@pytest.mark.skipif(os.geteuid() == 0, reason="a folder's permissions do not bind root")
def test_in_a_folder_without_permission_writing_is_told(lake: Lake) -> None:
    write(lake)
    for path in (Path(lake.root), *Path(lake.root).rglob("*")):
        if path.is_dir():
            path.chmod(0o555)
    with pytest.raises(StorageError, match="this user may not read or write there"):
        write(lake)
