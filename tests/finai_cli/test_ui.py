"""``finai ui``: webserver, daemon and one code server, which end with Ctrl-C and leave nothing behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

from finai_cli import ui

SECONDS = 240
QUERY = """{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename } } } }
             instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } shouldShowNux }"""


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    finai = Path(sys.executable).with_name("finai")
    command = [str(finai), "ui", "--profile", "smoke", "--home", str(tmp_path / "home"), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    yield process, f"http://127.0.0.1:{port}/graphql"
    if process.poll() is None:
        process.terminate()
        process.wait(60)


def ask(process: subprocess.Popen[bytes], address: str) -> dict[str, object]:
    """Return what the UI answers as soon as it does and its daemon lives."""
    request = urllib.request.Request(
        address, json.dumps({"query": QUERY}).encode(), {"Content-Type": "application/json"}
    )
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, "the UI ended"
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                data = json.load(answer)["data"]
            if any(each["healthy"] for each in data["instance"]["daemonHealth"]["allDaemonStatuses"]):
                return data
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            pass
        time.sleep(0.5)
    pytest.fail("the UI does not answer")


@pytest.mark.slow
def test_the_ui_answers_with_its_daemon_and_ends_with_ctrl_c(
    started: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, address = started
    data = ask(process, address)
    assert data["shouldShowNux"] is False
    (entry,) = data["workspaceOrError"]["locationEntries"]  # type: ignore[index]
    assert entry["name"] == "finai_assets"
    assert entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
    children = psutil.Process(process.pid).children(recursive=True)
    assert len(children) >= 3
    process.send_signal(signal.SIGINT)
    assert process.wait(90) == 0
    gone, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert len(gone) == len(children)


def test_the_states_that_the_command_looks_for_are_those_of_dagster() -> None:
    assert set(ui._IN_PROGRESS) == {status.value for status in IN_PROGRESS_RUN_STATUSES}


def test_a_home_without_history_has_no_run_in_progress(tmp_path: Path) -> None:
    assert not ui._has_runs_in_progress(tmp_path)
