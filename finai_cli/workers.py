"""Processes that do tasks side by side: months of the main job, and parts of a run that do not read each other.

They are forked from the command before it opens a lake, a database or a thread, so that they share its imports and its
definitions and start in no time; each opens the home for itself once it has something to do.
"""

from __future__ import annotations

import multiprocessing as mp
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from finai_resources.errors import FinaiError
from finai_resources.progress import watched

Work = Callable[[Any], Any]  # what a worker calls with each task
_TOLD_EVERY = 0.5  # seconds from one report of a worker's progress to the next, at least
_ENDING = 10.0  # seconds that a worker has to put down its work


@dataclass(slots=True, eq=False)
class _Worker:
    process: BaseProcess
    line: Connection
    task: int | None = None


class Workers:
    """Processes that wait for tasks. There may be none: then the caller does the work itself."""

    def __init__(self, workers: Sequence[_Worker]) -> None:
        self._workers = list(workers)

    def __len__(self) -> int:
        return len(self._workers)

    def run(
        self,
        tasks: Sequence[Any],
        *,
        after: Callable[[int], Collection[int]] = lambda _: (),
        done: Callable[[int, Any], None] = lambda *_: None,
        note: Callable[[int, str], None] = lambda *_: None,
    ) -> None:
        """Do tasks, each on the first worker that is free, in their order as far as what they wait for allows.

        Parameters
        ----------
        after
            Returns the numbers of the tasks that a task waits for.
        done
            Is given the number and the result of each task when it has ended.
        note
            Is given the number of a task and its progress in words.

        Raises
        ------
        FinaiError
            That of the first task that failed. What was under way has ended by then, and nothing else was begun.
        """
        waiting, ended = list(range(len(tasks))), set[int]()
        failures: dict[int, BaseException] = {}
        while True:
            if not failures:
                self._hand_out(tasks, waiting, lambda number: ended.issuperset(after(number)))
            if not (busy := [worker for worker in self._workers if worker.task is not None]):
                break
            lines = wait([worker.line for worker in busy])
            for worker in busy:
                if worker.line not in lines:
                    continue
                number, (kind, content) = worker.task, self._receive(worker)
                assert number is not None  # noqa: S101 - of a busy worker
                if kind == "progress":
                    note(number, content)
                    continue
                worker.task = None
                if kind == "failed":
                    failures[number] = content
                else:
                    ended.add(number)
                    done(number, content)
        if failures:
            raise failures[min(failures)]

    def _hand_out(self, tasks: Sequence[Any], waiting: list[int], is_ready: Callable[[int], bool]) -> None:
        for worker in self._workers:
            if worker.task is None and (ready := next(filter(is_ready, waiting), None)) is not None:
                waiting.remove(ready)
                worker.task = ready
                worker.line.send(tasks[ready])

    def _receive(self, worker: _Worker) -> tuple[str, Any]:
        try:
            kind, content = worker.line.recv()
        except EOFError:
            self._workers.remove(worker)
            worker.process.join(_ENDING)
            return "failed", _lost(worker.process.exitcode)
        return kind, content

    def stop(self) -> None:
        """End every worker: one that works is interrupted first, so that it puts down what it holds."""
        for worker in self._workers:
            if worker.task is not None and worker.process.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.process.pid, signal.SIGINT)
            worker.line.close()
        for worker in self._workers:
            worker.process.join(_ENDING)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()


@contextmanager
def working(number: int, opened: Callable[[], AbstractContextManager[Work]]) -> Iterator[Workers]:
    """Start some workers, which end with the block.

    There are none where fewer than two are asked for, and where a fork would not be safe: on systems other than Linux, and in a
    process that has threads already.

    Parameters
    ----------
    number
        Of processes.
    opened
        Opens what a worker works with, before its first task.
    """
    if number < 2 or not is_forkable():
        yield Workers(())
        return
    context = mp.get_context("fork")
    workers: list[_Worker] = []
    for _ in range(number):
        ours, theirs = context.Pipe()
        lines = [*(worker.line for worker in workers), ours]  # the command's ends, which a worker must not keep open
        process = context.Process(target=_serve, args=(theirs, lines, opened))
        process.start()
        theirs.close()
        workers.append(_Worker(process, ours))
    pool = Workers(workers)
    try:
        yield pool
    finally:
        pool.stop()


def is_forkable() -> bool:
    """Return whether this process can be forked: its threads would be missing in the child, with what they had locked."""
    return os.uname().sysname == "Linux" and threading.active_count() == 1


def _serve(line: Connection, others: Sequence[Connection], opened: Callable[[], AbstractContextManager[Work]]) -> None:
    """Do the tasks that come down the line until it is closed, or the command is gone."""
    os.setpgrp()  # the terminal's interrupt is for the command, which hands it on once
    for other in others:
        other.close()
    threading.Thread(target=_end_with_the_command, daemon=True).start()
    with suppress(EOFError, BrokenPipeError, KeyboardInterrupt), ExitStack() as stack:
        work: Work | None = None
        while True:
            task = line.recv()
            with watched(_teller(line)):
                try:
                    work = work or stack.enter_context(opened())
                    answer = "done", work(task)
                except FinaiError as error:
                    answer = "failed", error
                except Exception:  # told by the command as if it had happened there
                    answer = "failed", RuntimeError(f"in a worker process:\n{traceback.format_exc()}")
            line.send(answer)


def _teller(line: Connection) -> Callable[[str, int, int], None]:
    """Return what sends reported progress down the line, not too often."""
    told = 0.0

    def tell(label: str, done: int, total: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= _TOLD_EVERY:
            told = now
            line.send(("progress", f"{label} {done}/{total}"))

    return tell


def _end_with_the_command() -> None:
    """End this process when the command is gone, even if it was killed."""
    parent = mp.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _lost(code: int | None) -> FinaiError:
    how = f"signal {signal.Signals(-code).name}" if code is not None and code < 0 else f"exit code {code}"
    return FinaiError(
        f"a worker process ended by {how} in the middle of its work; what had been finished is kept",
        where="workers",
        fix="run the same command again; where memory was short, with `--workers 1`",
    )
