"""How long a fresh process takes until it has verified and loaded a bundle.

What is judged is CPU time, from the start of the interpreter to the loaded bundle, the least of some processes: whatever else the
machine does at the time must not fail a check that blocks. On one core of the deployed function the wall time is about the same;
it is recorded beside it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import serving_lambda

PATIENCE_SECONDS = 60
_SCRIPT = """
import time
started = time.perf_counter()
import json, sys
from serving_lambda.errors import ServingError
from serving_lambda.handler import HOLDER
try:
    HOLDER.get()
except ServingError as error:
    sys.exit(f"{error.code}: {error.message}")
print(json.dumps({"cpu": time.process_time() * 1e3, "wall": (time.perf_counter() - started) * 1e3}))
"""


class ColdStart(NamedTuple):
    """Milliseconds until a bundle is loaded, the least of some fresh processes; ``fault`` says why none loaded it."""

    cpu_ms: float
    wall_ms: float
    processes: int
    fault: str = ""


def measure_cold_start(files: Mapping[str, bytes], key: bytes, *, processes: int) -> ColdStart:
    """Load a bundle in fresh processes, one after the other.

    Parameters
    ----------
    files
        The bundle's files by name.
    key
        Its signing key; the processes get it in their environment, where a deployed function finds it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        for name, content in files.items():
            path = Path(temporary) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        environment = {
            **os.environ,
            "FINAI_BUNDLE": temporary,
            "FINAI_SIGNING_KEY": key.hex(),
            "PYTHONPATH": str(Path(serving_lambda.__file__).parents[1]),
        }
        found = []
        for _ in range(processes):
            try:
                done = subprocess.run(  # noqa: S603 -- this interpreter and a script of this module
                    [sys.executable, "-c", _SCRIPT],
                    env=environment, capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS,
                )  # fmt: skip
            except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
                return ColdStart(0.0, 0.0, 0, _told(error))
            found.append(json.loads(done.stdout.splitlines()[-1]))
    return ColdStart(min(one["cpu"] for one in found), min(one["wall"] for one in found), processes)


def _told(error: subprocess.CalledProcessError | subprocess.TimeoutExpired) -> str:
    if isinstance(error, subprocess.TimeoutExpired):
        return f"not within {PATIENCE_SECONDS} seconds"
    lines = error.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit status {error.returncode}"
