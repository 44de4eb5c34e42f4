"""The tutorial's commands run word for word, its edits fit the draft, and what it shows is what is printed."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from pages import Block, blocks_of, edited, shows

ROOT = Path(__file__).resolve().parents[2]
ENGLISH, KOREAN = ROOT / "docs" / "tutorial.md", ROOT / "docs" / "tutorial.ko.md"
EDITED = Path("bank/config/datasets/mybank.yaml")
SECONDS = 180  # in which the UI answers


def test_the_korean_page_has_the_same_blocks() -> None:
    assert [(block.kind, block.text) for block in blocks_of(KOREAN)] == [
        (block.kind, block.text) for block in blocks_of(ENGLISH)
    ]


def test_what_a_page_shows_is_compared_with_what_varies_left_out() -> None:
    assert shows("done: ... rows\n", "done: 12 \n│ rows ")
    assert not shows("done: ... rows\n", "done: 12 rows and more\n")
    assert edited("a: 1\nb: 2\n", " a: 1\n-b: 2\n+b: 3\n") == "a: 1\nb: 3\n"
    with pytest.raises(AssertionError, match="0 times"):
        edited("a: 1\n", "-b: 2\n+b: 3\n")


@pytest.mark.slow
def test_a_reader_comes_from_two_files_to_recommendations_word_for_word(tmp_path: Path) -> None:
    reader = _Reader(tmp_path)
    blocks = blocks_of(ENGLISH)
    for block, following in zip(blocks, [*blocks[1:], None], strict=True):
        if block.kind == "diff":
            file = tmp_path / EDITED
            file.write_text(edited(file.read_text(encoding="utf-8"), block.text), encoding="utf-8")
        elif block.text.startswith("finai ui"):
            reader.open_ui(block)
        elif block.kind == "sh":
            output = reader.run(block)
            if following is not None and following.kind == "text":
                assert shows(following.text, output), f"line {following.line} of the page is not shown:\n{output}"
        else:
            assert block.kind == "text", f"line {block.line}: nobody runs {block.kind!r}"


class _Reader:
    """Runs blocks in one folder; variables that a block exports hold for the next, as in one shell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "docs").symlink_to(ROOT / "docs")
        programs = folder / "programs"
        programs.mkdir()
        python = f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'
        finai = f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -P -m finai_cli.main "$@"\n'
        for name, text in (("python", python), ("finai", finai)):
            (programs / name).write_text(text, encoding="utf-8")
            (programs / name).chmod(0o755)
        own = {name: value for name, value in os.environ.items() if not name.startswith("FINAI_")}
        anchors = os.environ["FINAI_ANCHORS"]  # those of the tests, not the user's
        own.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # who waits takes no core from what else runs here
        self.environment = {**own, "FINAI_ANCHORS": anchors, "PATH": f"{programs}:{os.environ['PATH']}"}

    def run(self, block: Block) -> str:
        """Run a block and return what it prints; a command fails only where the page says so, by ``||``."""
        kept = self.folder / "environment"
        script = f'set -e\n{block.text}\nenv -0 > "{kept}"\n'
        ended = subprocess.run(
            ["bash", "-c", script], cwd=self.folder, env=self.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, f"line {block.line} of the page:\n{block.text}\n{ended.stdout}"
        self.environment = dict(entry.split("=", 1) for entry in kept.read_text(encoding="utf-8").split("\0") if entry)
        return ended.stdout

    def open_ui(self, block: Block) -> None:
        """Start the UI, on a port that is free on this machine, until it answers."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        server = subprocess.Popen(
            ["bash", "-c", f"exec {block.text.strip()} --port {port}"],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert b"dagster" in _answer(f"http://127.0.0.1:{port}/server_info", server)
        finally:
            server.send_signal(signal.SIGINT)  # as Ctrl-C does
            server.wait(SECONDS)


def _answer(address: str, server: subprocess.Popen[bytes]) -> bytes:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert server.poll() is None, "the UI ended"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bytes(answer.read())
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(1)
    raise AssertionError(f"nothing answers at {address}")
