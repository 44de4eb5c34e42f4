"""The chained log: whole entries whoever writes and whoever is killed, and every later change shows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from finai_resources import objects
from finai_resources.chained_log import ChainedLog, Head
from finai_resources.errors import LakeError
from finai_resources.lake import Lake

_WRITER = """
import sys
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake
log = ChainedLog(Lake.on_disk(sys.argv[1]), "evidence")
for k in range(int(sys.argv[3])):
    log.append({"writer": sys.argv[2], "k": k})
"""


def filled(lake: Lake, count: int = 6) -> ChainedLog:
    log = ChainedLog(lake, "evidence")
    for k in range(count):
        log.append({"k": k})
    return log


def entry_file(lake: Lake, sequence: int) -> Path:
    return Path(lake.root, "evidence", f"{sequence:09d}.json")


def test_what_was_appended_comes_back_in_order_and_verifies(lake: Lake) -> None:
    log = filled(lake)
    assert [entry.record["k"] for entry in log.entries()] == list(range(6))
    assert log.verify() == []
    assert log.verify(anchor=log.head()) == []


def test_an_empty_log_verifies_and_has_no_entries(lake: Lake) -> None:
    log = ChainedLog(lake, "evidence")
    assert log.verify() == []
    assert list(log.entries()) == []
    assert log.head().count == 0


def test_an_edited_entry_shows_at_its_successor(lake: Lake) -> None:
    log = filled(lake)
    file = entry_file(lake, 2)
    file.write_text(file.read_text().replace('"k": 2', '"k": 9'))
    assert [(fault.sequence, fault.what) for fault in log.verify()] == [
        (3, "the entry before it is not the one it was chained to")
    ]


def test_an_edited_last_entry_shows_against_the_head(lake: Lake) -> None:
    log = filled(lake)
    file = entry_file(lake, 5)
    file.write_text(file.read_text().replace('"k": 5', '"k": 9'))
    assert [fault.sequence for fault in log.verify()] == [5]


def test_a_dropped_entry_shows(lake: Lake) -> None:
    log = filled(lake)
    entry_file(lake, 3).unlink()
    assert [(fault.sequence, fault.what) for fault in log.verify()] == [(3, "the entry is gone")]
    with pytest.raises(LakeError, match="gone or damaged"):
        list(log.entries())


def test_a_cut_tail_shows_against_the_head(lake: Lake) -> None:
    log = filled(lake)
    entry_file(lake, 5).unlink()
    entry_file(lake, 4).unlink()
    faults = ChainedLog(lake, "evidence").verify()
    assert [fault.what for fault in faults] == ["2 entries are cut off: head.json counts 6"]
    assert log.verify(anchor=Head(6, "f" * 64))[-1].what.endswith("the anchor counts 6")


def test_reordered_entries_show(lake: Lake) -> None:
    log = filled(lake)
    a, b = entry_file(lake, 1), entry_file(lake, 2)
    one, two = a.read_bytes(), b.read_bytes()
    a.write_bytes(two)
    b.write_bytes(one)
    assert {fault.sequence for fault in log.verify()} >= {1, 2}


def test_a_log_rewritten_as_a_whole_shows_against_an_anchor_kept_elsewhere(lake: Lake, tmp_path: Path) -> None:
    anchor = filled(lake).head()
    other = Lake.on_disk(tmp_path / "other")
    log = ChainedLog(other, "evidence")
    for k in range(6):
        log.append({"k": k or "forged"})
    assert log.verify() == []
    assert [fault.what for fault in log.verify(anchor=anchor)] == ["the entry is not the one that the anchor names"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.integers(0, 10_000), flip=st.integers(1, 255))
def test_any_single_changed_byte_shows(tmp_path_factory: pytest.TempPathFactory, position: int, flip: int) -> None:
    lake = Lake.on_disk(tmp_path_factory.mktemp("byte") / "lake")
    log = filled(lake, 4)
    file = entry_file(lake, position % 4)
    content = bytearray(file.read_bytes())
    content[position % len(content)] ^= flip
    file.write_bytes(bytes(content))
    assert log.verify()


def test_an_entry_after_a_head_is_written_only_while_it_is_the_head(lake: Lake) -> None:
    log = filled(lake, 2)
    head = log.head()
    written = log.append_after(head, {"k": "mine"})
    assert written is not None
    assert written.sequence == 2
    assert ChainedLog(lake, "evidence").append_after(head, {"k": "too late"}) is None
    assert [entry.record["k"] for entry in log.entries()] == [0, 1, "mine"]
    assert log.entry(2) == written
    assert log.entry(3) is None
    assert log.verify() == []
    assert log.append_after(log.head(), {"k": 3}) is not None


def test_writers_side_by_side_lose_nothing_and_keep_the_chain(lake: Lake) -> None:
    writers = [subprocess.Popen([sys.executable, "-c", _WRITER, lake.root, name, "15"]) for name in ("a", "b", "c")]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    log = ChainedLog(lake, "evidence")
    assert log.verify() == []
    found = [(entry.record["writer"], entry.record["k"]) for entry in log.entries()]
    assert len(found) == 45
    for name in ("a", "b", "c"):
        assert [k for writer, k in found if writer == name] == list(range(15))


@pytest.mark.parametrize("others", [1, 3])
def test_the_slower_of_writers_does_not_set_the_head_back(
    lake: Lake, monkeypatch: pytest.MonkeyPatch, others: int
) -> None:
    slower, faster, put = ChainedLog(lake, "evidence"), ChainedLog(lake, "evidence"), objects.put
    slower.append({"k": 0})
    waiting = [others]

    def overtaken(where: Lake, path: str, content: bytes) -> None:
        if waiting:  # the slower one has its entry, and the faster ones come between this and its head
            for k in range(waiting.pop()):
                faster.append({"k": 2 + k})
        put(where, path, content)

    monkeypatch.setattr(objects, "put", overtaken)
    slower.append({"k": 1})
    head = faster.head()
    assert head.count == 2 + others
    assert json.loads(Path(lake.root, "evidence", "head.json").read_bytes()) == {
        "count": head.count,
        "digest": head.digest,
    }
    assert ChainedLog(lake, "evidence").verify(anchor=head) == []


def test_a_first_writer_that_gets_no_further_than_its_entry_leaves_a_log_that_verifies(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = ChainedLog(lake, "evidence")
    monkeypatch.setattr(log, "_put_head", lambda _: None)  # killed before it
    log.append({"first": True})
    assert ChainedLog(lake, "evidence").verify() == []
    assert ChainedLog(lake, "evidence").head().count == 1
    Path(lake.root, "evidence", "head.json").unlink()
    assert [fault.what for fault in ChainedLog(lake, "evidence").verify()] == ["head.json is gone"]


def test_a_writer_killed_at_any_moment_leaves_a_log_that_verifies_and_goes_on(lake: Lake) -> None:
    for wait in (0.0, 0.01, 0.05):
        before = ChainedLog(lake, "evidence").head().count
        writer = subprocess.Popen([sys.executable, "-c", _WRITER, lake.root, "victim", "100000"])
        deadline = time.monotonic() + 60
        while ChainedLog(lake, "evidence").head().count <= before and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(wait)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        log = ChainedLog(lake, "evidence")
        assert log.verify() == []
        log.append({"after": wait})
        assert log.verify() == []
        assert json.loads(Path(lake.root, "evidence", "head.json").read_text())["count"] == log.head().count > before
