"""A reader sees the old content or the new one; a writer that is killed in between leaves the old one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from finai_resources.whole_file import create_file, remove_file, replace_file, replace_folder, replacing

# Runs in a process of its own, which dies where the new content would take the place of the old one.
KILLED = """
import os, signal, sys
from pathlib import Path
from finai_resources import whole_file

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

Path.replace = os.rename = os.link = die
{}
"""


def killed_before_the_new_content_appears(call: str) -> None:
    ended = subprocess.run([sys.executable, "-c", KILLED.format(call)], check=False, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr


def partials(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.endswith(".partial")]


def test_a_writer_that_is_killed_before_the_rename_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"old")
    killed_before_the_new_content_appears(f"whole_file.replace_file(Path({str(path)!r}), b'new')")
    assert path.read_bytes() == b"old"
    assert [left.read_bytes() for left in partials(tmp_path)] == [b"new"], "the writer died after it had written"
    assert not [found for found in tmp_path.glob("*") if found.name.startswith("state.json.")]


def test_the_next_writer_removes_what_a_killed_one_left(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    killed_before_the_new_content_appears(f"whole_file.replace_file(Path({str(path)!r}), b'new')")
    assert len(partials(tmp_path)) == 1
    replace_file(path, b"newer")
    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == {"state.json": b"newer"}


def test_a_file_that_is_removed_takes_along_what_a_killed_writer_left(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    replace_file(path, b"old")
    killed_before_the_new_content_appears(f"whole_file.replace_file(Path({str(path)!r}), b'new')")
    remove_file(path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_not_there_needs_no_removal(tmp_path: Path) -> None:
    remove_file(tmp_path / "state.json")
    remove_file(tmp_path / "absent" / "state.json")
    assert list(tmp_path.iterdir()) == []


def test_a_killed_creator_leaves_no_file_and_the_next_one_can_create_it(tmp_path: Path) -> None:
    path = tmp_path / "0.json"
    killed_before_the_new_content_appears(f"whole_file.create_file(Path({str(path)!r}), b'first')")
    assert not path.exists()
    assert create_file(path, b"second")
    assert not create_file(path, b"third")
    assert {found.name: found.read_bytes() for found in tmp_path.iterdir()} == {"0.json": b"second"}


def test_a_killed_writer_of_a_folder_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    call = f"whole_file.replace_folder(Path({str(path)!r}), {{'models/a': b'new'}})"
    replace_folder(path, {"models/a": b"old", "rules": b"r"})
    killed_before_the_new_content_appears(call)
    assert (path / "models/a").read_bytes() == b"old"
    replace_folder(path, {"models/a": b"newer"})
    assert {found.relative_to(tmp_path).as_posix() for found in tmp_path.rglob("*") if found.is_file()} == {
        "bundle/models/a"
    }


def test_a_writer_does_not_remove_what_another_one_is_writing(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    with replacing(path) as stream:
        stream.write(b"slow")
        replace_file(path, b"quick")
    assert path.read_bytes() == b"slow"
    assert partials(tmp_path) == []


def test_writers_side_by_side_leave_one_whole_content(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    contents = [bytes([letter]) * 100_000 for letter in range(8)]

    def write(content: bytes) -> None:
        for _ in range(20):
            replace_file(path, content, durable=False)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            seen.add(path.read_bytes())
    for thread in threads:
        thread.join()
    assert seen <= set(contents)
    assert path.read_bytes() in contents
    assert partials(tmp_path) == []


def test_an_error_in_between_leaves_the_old_content_and_no_partial_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "state.json"
    replace_file(path, b"old")
    with pytest.raises(TypeError), replacing(path) as stream:
        stream.write("no bytes")  # type: ignore[arg-type]
    assert {found.name: found.read_bytes() for found in path.parent.iterdir()} == {"state.json": b"old"}


def test_a_private_file_is_never_readable_by_others(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    modes = []
    with replacing(path, mode=0o600) as stream:
        modes += [found.stat().st_mode & 0o777 for found in partials(tmp_path)]
        stream.write(b"key")
    assert modes == [0o600]
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.access(path, os.R_OK)


def test_a_folder_that_holds_the_same_bytes_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bundle"
    replace_folder(path, {"a": b"1"})
    stamp = (path / "a").stat().st_mtime_ns
    replace_folder(path, {"a": b"1"})
    assert (path / "a").stat().st_mtime_ns == stamp
