"""The lake keeps its promises: whole or not at all, what is read is what was written, provenance is measured."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession, is_current
from finai_resources.stored_bytes import every_fault


def table(rows: int, *, first: int = 0) -> pa.Table:
    ids = np.arange(first, first + rows, dtype=np.int64)
    return pa.table({"customer_id": ids, "value": ids * 0.5})


def write(lake: Lake, asset: str, month: str | None, content: pa.Table) -> None:
    with lake.write(asset, month, code_version="1") as out:
        out.write(content)


def test_what_is_read_is_what_was_written(lake: Lake) -> None:
    write(lake, "raw/snapshots", "2015-01", table(10))
    assert lake.read("raw/snapshots", "2015-01").equals(table(10))
    assert lake.partitions("raw/snapshots") == ["2015-01"]
    assert lake.manifest("raw/snapshots", "2015-01").rows == 10


def test_a_partition_that_was_never_written_is_an_error_that_says_what_to_do(lake: Lake) -> None:
    with pytest.raises(LakeError, match=r"raw/snapshots@2015-01.*not been written"):
        lake.read("raw/snapshots", "2015-01")


def test_a_write_that_raises_leaves_the_old_partition_as_it_was(lake: Lake) -> None:
    write(lake, "a/b", "2015-01", table(3))

    def interrupted() -> None:
        with lake.write("a/b", "2015-01") as out:
            out.write(table(99))
            raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        interrupted()
    assert lake.read("a/b", "2015-01").num_rows == 3
    assert not list((Path(lake.root) / "_staging").iterdir())


def test_a_writer_killed_in_the_middle_leaves_no_partition_behind(lake: Lake) -> None:
    program = textwrap.dedent(
        f"""
        import numpy as np, os, pyarrow as pa, signal
        from finai_resources.lake import Lake
        lake = Lake.on_disk({lake.root!r})
        with lake.write("a/b", "2015-01") as out:
            out.write(pa.table({{"customer_id": np.arange(1000)}}))
            out.put("half.json", b"{{}}")
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, env={**os.environ})
    assert ended.returncode == -signal.SIGKILL
    assert lake.find("a/b", "2015-01") is None
    write(lake, "a/b", "2015-01", table(2))
    assert lake.read("a/b", "2015-01").num_rows == 2


def test_a_rewritten_partition_drops_its_old_files(lake: Lake) -> None:
    write(lake, "a/b", "2015-01", table(3))
    write(lake, "a/b", "2015-01", table(4))
    files = [path.name for path in Path(lake.folder("a/b", "2015-01")).iterdir()]
    assert len(files) == 2
    assert lake.read("a/b", "2015-01").num_rows == 4


@pytest.mark.parametrize("damage", ["truncated", "gone"])
def test_a_damaged_parquet_file_is_named(lake: Lake, damage: str) -> None:
    write(lake, "a/b", "2015-01", table(1000))
    file = next(Path(lake.folder("a/b", "2015-01")).glob("*.parquet"))
    if damage == "truncated":
        file.write_bytes(file.read_bytes()[:100])
    else:
        file.unlink()
    with pytest.raises(LakeError, match=file.name):
        lake.read("a/b", "2015-01")


def test_a_flipped_bit_is_found_by_verify_and_by_reading_a_stored_file(lake: Lake) -> None:
    with lake.write("models/m") as out:
        out.put("weights.bin", b"\x00" * 64)
    file = next(path for path in Path(lake.folder("models/m", None)).iterdir() if path.suffix == ".bin")
    content = bytearray(file.read_bytes())
    content[5] ^= 1
    file.write_bytes(content)
    faults = [what for _, what in every_fault(lake, lake.manifest("models/m"))]
    assert faults == ["the content's hash is not the one in its manifest"]
    with pytest.raises(LakeError, match="hash is not the one in its manifest"):
        lake.read_bytes("models/m", None, "weights.bin")


def test_equal_data_have_equal_hashes_and_other_data_do_not(lake: Lake) -> None:
    write(lake, "a/one", None, table(5))
    write(lake, "a/two", None, table(5))
    write(lake, "a/three", None, table(5, first=1))
    hashes = [lake.manifest(f"a/{name}").content_hash for name in ("one", "two", "three")]
    assert hashes[0] == hashes[1] != hashes[2]


@settings(max_examples=25, deadline=None)
@given(low=st.integers(-5, 130), length=st.integers(0, 80))
def test_a_range_of_customers_is_the_same_as_filtering_the_whole(
    tmp_path_factory: pytest.TempPathFactory, low: int, length: int
) -> None:
    lake = Lake.on_disk(tmp_path_factory.mktemp("lake"))
    with lake.write("raw/t", "2015-01") as out:
        for start in range(0, 120, 30):
            out.write(table(30, first=start), row_group_size=7)
    found = lake.read_customers("raw/t", "2015-01", low, low + length, columns=["customer_id"])
    expected = [i for i in range(120) if low <= i <= low + length]
    assert found["customer_id"].to_pylist() == expected


def test_a_session_writes_down_what_was_read_through_it(lake: Lake) -> None:
    write(lake, "raw/a", "2015-01", table(3))
    write(lake, "raw/b", None, table(3))
    session = LakeSession(lake)
    session.read("raw/a", "2015-01")
    with session.write("derived/c", "2015-01", code_version="1") as out:
        out.write(session.read("raw/b"))
    upstream = lake.manifest("derived/c", "2015-01").upstream
    assert set(upstream) == {"raw/a@2015-01", "raw/b"}


def test_a_partition_is_current_until_its_upstream_code_or_config_changes(lake: Lake) -> None:
    write(lake, "raw/a", "2015-01", table(3))
    session = LakeSession(lake)
    session.read("raw/a", "2015-01")
    with session.write("derived/c", "2015-01", code_version="1", config_hash="x") as out:
        out.write(table(1))

    def current(code: str = "1", config: str = "x") -> bool:
        return is_current(lake, "derived/c", "2015-01", code_version=code, config_hash=config)

    assert current()
    assert not current(code="2")
    assert not current(config="y")
    write(lake, "raw/a", "2015-01", table(4))
    assert not current()


def test_rewriting_the_same_upstream_bytes_changes_nothing(lake: Lake) -> None:
    write(lake, "raw/a", "2015-01", table(3))
    session = LakeSession(lake)
    session.read("raw/a", "2015-01")
    with session.write("derived/c", code_version="1") as out:
        out.write(table(1))
    write(lake, "raw/a", "2015-01", table(3))
    assert is_current(lake, "derived/c", None, code_version="1", config_hash="")
