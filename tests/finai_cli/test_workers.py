"""Workers do each task once and in order, and end with the command, however that ends."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from finai_cli.workers import Workers, working
from finai_resources.errors import FinaiError, GateError, PromotionError

ROOT = Path(__file__).resolve().parent.parent.parent
# A program of its own: a process of the tests has threads, which must not be forked.
PROGRAM = """
import os, signal, sys, time
from contextlib import contextmanager
from pathlib import Path
from finai_cli.workers import working
from finai_resources.errors import GateError
from finai_resources.progress import report_progress

log = Path(sys.argv[1])

def tell(*words):
    with log.open("a") as file:
        print(*words, file=file)

@contextmanager
def opened():
    tell("opened", os.getpid())
    try:
        yield do
    finally:
        tell("closed", os.getpid())

def do(task):
    kind, value = task
    tell("begin", kind, value)
    if kind == "sleep":
        time.sleep(value)
    if kind == "until":  # another task is as far as these words say
        while value not in log.read_text().splitlines():
            time.sleep(0.02)
    if kind == "fail":
        raise GateError(f"number {value} failed", where="labels/x", fix="mend it")
    if kind == "bug":
        raise ZeroDivisionError("a bug")
    if kind == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "report":
        report_progress("rounds", 3, value)
    tell("end", kind, value)
    return value * 10

def run(tasks, **more):
    with working(2, opened) as pool:
        assert len(pool) == 2
        pool.run(tasks, **more)
"""


def started(tmp_path: Path, body: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PROGRAM + body, str(tmp_path / "log")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)


def ended(tmp_path: Path, body: str) -> tuple[int, str, str, list[str]]:
    process = started(tmp_path, body)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err, lines(tmp_path)


def lines(tmp_path: Path) -> list[str]:
    log = tmp_path / "log"
    return log.read_text().splitlines() if log.exists() else []


def until(condition, seconds: float = 120.0) -> None:
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < seconds, "it did not happen"
        time.sleep(0.05)


def test_each_task_is_done_once_and_its_result_is_told(tmp_path: Path) -> None:
    body = (
        "run([('report', n) for n in range(9)], done=lambda n, r: print(n, r), note=lambda n, t: print('note', n, t))"
    )
    code, out, err, log = ended(tmp_path, body)
    assert code == 0, err
    told = sorted(line for line in out.splitlines() if not line.startswith("note"))
    assert told == [f"{n} {n * 10}" for n in range(9)]
    assert "note 0 rounds 3/0" in out
    assert sum(line.startswith("begin") for line in log) == 9
    opened = {line.split()[1] for line in log if line.startswith("opened")}
    assert opened == {line.split()[1] for line in log if line.startswith("closed")}
    assert 1 <= len(opened) <= 2


def test_a_task_waits_for_those_that_it_names_and_the_others_do_not(tmp_path: Path) -> None:
    # 0 ends only after 3 has; 1 waits for 0; 2 and 3 wait for nobody
    body = "run([('until', 'end wait 3'), ('wait', 1), ('wait', 2), ('wait', 3)], after=lambda n: {1: [0]}.get(n, ()))"
    code, _, err, log = ended(tmp_path, body)
    assert code == 0, err
    ends = [line for line in log if line.startswith("end")]
    assert ends == ["end wait 2", "end wait 3", "end until end wait 3", "end wait 1"]
    assert log.index("end until end wait 3") < log.index("begin wait 1")


def test_the_first_failure_is_raised_whole_and_nothing_more_is_begun(tmp_path: Path) -> None:
    body = """
try:
    run([('until', 'begin fail 1'), ('fail', 1), ('wait', 2), ('wait', 3)])
except GateError as error:
    print(error.what, error.where, error.fix, sep="|")
"""
    code, out, err, log = ended(tmp_path, body)
    assert code == 0, err
    assert out == "number 1 failed|labels/x|mend it\n"
    assert "end until begin fail 1" in log  # what was under way has ended
    # two processes write the log: which of them is first is not said
    assert {line for line in log if line.startswith("begin")} == {"begin until begin fail 1", "begin fail 1"}


def test_a_fault_of_the_program_shows_where_it_happened(tmp_path: Path) -> None:
    code, _, err, _ = ended(tmp_path, "run([('bug', 1), ('wait', 2)])")
    assert code == 1
    assert "in a worker process" in err
    assert "ZeroDivisionError: a bug" in err


def test_a_killed_worker_ends_the_run_with_the_way_out(tmp_path: Path) -> None:
    body = """
from finai_resources.errors import FinaiError
try:
    run([('die', 1), ('sleep', 0.5)])
except FinaiError as error:
    print(error)
"""
    code, out, err, _ = ended(tmp_path, body)
    assert code == 0, err
    assert "a worker process ended by signal SIGKILL in the middle of its work" in out
    assert "--workers 1" in out


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_end_with_a_command_that_was_killed(tmp_path: Path, how: signal.Signals) -> None:
    process = started(tmp_path, "run([('sleep', 600), ('sleep', 601)])")
    until(lambda: sum(line.startswith("begin") for line in lines(tmp_path)) == 2)
    workers = [int(line.split()[1]) for line in lines(tmp_path) if line.startswith("opened")]
    assert len(workers) == 2
    process.send_signal(how)
    process.communicate(timeout=60)
    until(lambda: not any(psutil.pid_exists(pid) for pid in workers))


def test_an_interrupt_lets_workers_put_down_what_they_hold(tmp_path: Path) -> None:
    process = started(tmp_path, "run([('sleep', 600), ('sleep', 601)])")
    until(lambda: sum(line.startswith("begin") for line in lines(tmp_path)) == 2)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert sum(line.startswith("closed") for line in lines(tmp_path)) == 2


def test_there_are_no_workers_where_one_is_asked_for_or_where_threads_are() -> None:
    with working(1, lambda: pytest.fail("nobody works")) as pool:
        assert len(pool) == 0
    code = "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    code += "from finai_cli.workers import working\nwith working(2, None) as pool: print(len(pool))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout == "0\n"
    assert Workers(()).run([]) is None


@pytest.mark.parametrize(
    "error", [FinaiError("a", where="b", fix="c"), GateError("a"), PromotionError("OWN", "a", where="b", fix="c")]
)
def test_an_error_is_the_same_in_another_process(error: FinaiError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert (str(again), vars(again)) == (str(error), vars(error))
