"""The figures of a stage count the processes that worked for it."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from finai_cli.meter import Meter

BUSY = "import time; held = bytearray(80 * 2**20); held[::4096] = b'x' * len(held[::4096]); end = time.process_time() + {s}\n"
BUSY += "while time.process_time() < end: pass\nprint('done', flush=True); time.sleep(600)"


def started(seconds: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BUSY.format(s=seconds)], stdout=subprocess.PIPE)


def is_done(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline() == b"done\n"


def test_cpu_seconds_and_memory_of_a_worker_are_counted() -> None:
    with started(0.1) as idle:
        assert is_done(idle)
        with Meter() as meter:
            worker = started(0.7)
            assert is_done(worker)
            time.sleep(1.5)  # until the next sample
        worker.kill()
        idle.kill()
    figures = meter.figures()
    assert 0.7 <= figures["cpu_seconds"] < 5
    assert figures["peak_mib"] > 160  # both hold 80 MiB each


def test_a_process_that_ends_in_between_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finai_cli.meter._INTERVAL", 0.01)
    monkeypatch.setattr("finai_cli.meter._INTERVAL_SHARED", 0.01)
    with Meter() as meter:
        for _ in range(5):
            subprocess.run([sys.executable, "-c", ""], check=True)
    assert meter.figures()["peak_mib"] > 0
