"""What was read once: found again by its content in no time, never half written, and in bounded memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from finai_assets.ingest.tables.reading import digests, files
from finai_assets.ingest.tables.reading.digests import file_digest
from finai_resources.errors import ContractError

ROOT = Path(__file__).resolve().parents[5]


def old(path: Path, text: str) -> Path:
    """Write a file that was last changed a minute ago."""
    path.write_text(text)
    then = time.time_ns() - 60_000_000_000
    os.utime(path, ns=(then, then))
    return path


def test_a_second_look_reads_no_byte_of_the_source(tmp_path, read, monkeypatch):
    old(tmp_path / "trans.csv", "id,w\n1,a\n")
    first = read(path="trans.csv")
    monkeypatch.setattr(digests.hashlib, "file_digest", lambda *_: pytest.fail("the file was hashed again"))
    monkeypatch.setattr(files, "read_delimited", lambda *_: pytest.fail("the file was parsed again"))
    assert read(path="trans.csv") == first


def test_a_changed_file_is_seen_even_with_the_same_size_and_time(tmp_path, read, values):
    path = old(tmp_path / "trans.csv", "id,w\n1,a\n")
    stamp = path.stat().st_mtime_ns
    assert values(read(path="trans.csv")) == [("1", "a")]
    path.write_text("id,w\n1,b\n")
    os.utime(path, ns=(stamp, stamp))
    assert values(read(path="trans.csv")) == [("1", "b")]


def test_a_file_that_was_written_just_now_is_hashed_again(tmp_path):
    path = tmp_path / "trans.csv"
    path.write_text("a")
    file_digest(path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_other_options_are_another_entry_and_the_same_options_are_not(tmp_path, read, values):
    old(tmp_path / "trans.csv", "id,w\n1,a\n")
    plain = read(path="trans.csv")
    assert read(path="trans.csv", encoding="UTF8", missing=["x"]).parquet == plain.parquet
    assert values(read(path="trans.csv", header=False, columns=["a", "b"])) == [("id", "w"), ("1", "a")]


def test_an_entry_whose_rows_are_gone_cut_or_altered_is_made_again(tmp_path, read, values):
    old(tmp_path / "trans.csv", "id,w\n1,a\n")
    (parquet,) = read(path="trans.csv").parquet
    content = parquet.read_bytes()
    flipped = bytes([*content[:9], content[9] ^ 1, *content[10:]])
    for harm in (parquet.unlink, lambda: parquet.write_bytes(content[:-10]), lambda: parquet.write_bytes(flipped)):
        harm()
        assert values(read(path="trans.csv")) == [("1", "a")]


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path, read):
    path = old(tmp_path / "trans.csv", "id,w\n" + "1,a\n" * 10)
    grown: list[int] = []

    def grow(label: str, done: int, total: int) -> None:
        if not grown:
            grown.append(done)
            with path.open("a") as stream:
                stream.write("2,b\n")

    with pytest.raises(ContractError, match=r"trans.csv: the file changed while it was read"):
        read(path="trans.csv", progress=grow)
    assert not list((tmp_path / "cache").glob("*.json"))


def test_an_unreadable_file_is_told(tmp_path, read):
    (tmp_path / "trans.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ContractError, match=r"trans.csv: the file cannot be read \(No such file"):
        read(path="trans.csv")


def test_progress_tells_bytes_of_the_file(tmp_path, read):
    path = old(tmp_path / "trans.csv", "id,w\n" + "1,a\n" * 10)
    told: list[tuple[str, int, int]] = []
    read(path="trans.csv", progress=lambda *step: told.append(step))
    assert told[-1] == (str(path), path.stat().st_size, path.stat().st_size)


PROGRAM = """
import resource, sys
from pathlib import Path
from finai_assets.ingest.tables.reading import read_source
from finai_assets.settings.tables import SourceSettings
folder = Path(sys.argv[1])
def read(name):
    source = SourceSettings(static="a test", path=name, delimiter=";")
    return read_source("trans", source, folder, folder / "cache", lambda *told: None)
read("small.csv")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = read("large.csv")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, sum(rows.counts.values()))
"""


def run(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)], stdout=subprocess.PIPE, text=True, env=environment, cwd=folder
    )


def large(folder: Path, rows: int) -> Path:
    shape = "{};9000000000000000001;1993-01-05;{}.25;some words that fill a line\n"
    line = "".join(shape.format(i, i * 7919 % 100_003) for i in range(1000))
    path = folder / "large.csv"
    with path.open("w") as stream:
        stream.write("id;account;date;amount;word\n")
        for _ in range(rows // 1000):
            stream.write(line)
    (folder / "small.csv").write_text("id;account;date;amount;word\n" + line)
    return path


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path):
    path = large(tmp_path, 2_000_000)
    program = run(tmp_path)
    grown, rows = (int(word) for word in program.communicate()[0].split())
    assert rows == 2_000_000
    assert grown * 1024 < path.stat().st_size
    assert grown < 200 * 1024  # KiB


@pytest.mark.slow
def test_a_reader_that_is_killed_leaves_nothing_that_is_taken_for_whole(tmp_path, read):
    large(tmp_path, 2_000_000)
    program = run(tmp_path)
    cache = tmp_path / "cache"
    # The small file is read, and its description written; the large one is not.
    while not (list(cache.glob("*.json")) and list(cache.glob(".*.parquet.*.partial"))):
        assert program.poll() is None
    program.send_signal(signal.SIGKILL)
    program.wait()
    assert len(list(cache.glob("*.parquet"))) == 1
    rows = read(path="large.csv", delimiter=";")
    assert sum(pq.ParquetFile(path).metadata.num_rows for path in rows.parquet) == 2_000_000
    assert not list(cache.glob(".*.partial"))
