"""The processes of the UI: one code server, Dagster's webserver and its daemon, which ask it.

``dagster dev`` starts two more: itself, which keeps all of Dagster in memory to wait for the others, and a proxy that can load
changed code again. This module holds the standard library alone; the processes end together, with Ctrl-C or with the first
that ends.
"""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

MODULE, LOCATION = "finai_assets.definitions", "finai_assets"  # as in workspace.yaml
_START_SECONDS, _END_SECONDS = 120.0, 20.0
_LOOK_SECONDS = 0.2


def serve(host: str, port: int) -> int:
    """Serve the UI until Ctrl-C or until a process ends; return the exit code.

    The environment says which home and which data set: ``DAGSTER_HOME``, ``FINAI_*``.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    with tempfile.TemporaryDirectory(prefix="finai-ui-") as folder, suppress(KeyboardInterrupt), ExitStack() as running:
        door, workspace = Path(folder) / "code", Path(folder) / "workspace.yaml"
        entry = {"grpc_server": {"socket": str(door), "location_name": LOCATION}}
        workspace.write_text(json.dumps({"load_from": [entry]}), encoding="utf-8")  # JSON is YAML
        log = ["--log-level", "warning"]
        code = ["dagster", "api", "grpc", "--module-name", MODULE, "--location-name", LOCATION, "--socket", str(door)]
        # Lazily: it answers at once, and loads the definitions while the others start.
        processes = {"code server": running.enter_context(_process(*code, "--lazy-load-user-code", *log))}
        _wait_for(door, processes["code server"])
        daemon = ["dagster._daemon", "run", "--workspace", str(workspace), *log]
        web = ["finai_cli.webserver", "--workspace", str(workspace), "--host", host, "--port", str(port)]
        processes["daemon"] = running.enter_context(_process(*daemon))
        processes["webserver"] = running.enter_context(_process(*web, "--dagster-log-level", "warning"))
        print(f"http://{host}:{port} answers in a moment; Ctrl-C ends it", flush=True)  # noqa: T201 - a program's output
        while True:
            time.sleep(_LOOK_SECONDS)
            for name, process in processes.items():
                if process.poll() is not None:
                    print(f"the {name} ended with code {process.returncode}; so ends the UI", file=sys.stderr)  # noqa: T201
                    return 1
    return 0


@contextmanager
def _process(*module: str) -> Iterator[subprocess.Popen[bytes]]:
    """Start a module as a process, apart from the terminal's Ctrl-C, and end it with the block."""
    process = subprocess.Popen([sys.executable, "-m", *module], start_new_session=True)  # noqa: S603 - own arguments
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_for(door: Path, server: subprocess.Popen[bytes]) -> None:
    """Wait until the code server takes connections.

    Raises
    ------
    SystemExit
        It ended, which it has told itself, or stays silent.
    """
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and server.poll() is None:
        with socket.socket(socket.AF_UNIX) as tried:
            try:
                tried.connect(str(door))
            except OSError:
                time.sleep(_LOOK_SECONDS)
            else:
                return
    raise SystemExit(1)


def _interrupt(_number: int, _frame: object) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # once is enough: what follows ends the processes in order
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1], int(sys.argv[2])))
