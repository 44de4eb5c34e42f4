"""Runs the units of a study in several processes. A run has the same figures in any of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool

from finai_resources.errors import FinaiError
from studies.teacher import runs
from studies.teacher.runs import Result, Runs, Unit
from studies.teacher.study import Study

_opened: list[Study] = []  # the study of this worker process


def run_side_by_side(
    open_study: Callable[[], Study],
    planned: Sequence[Unit],
    stored: Runs,
    workers: int,
    each: Callable[[Unit, Result], None],
) -> list[Result]:
    """Run the unfinished units in some processes, and return every result in the order of the plan.

    Each result is stored as soon as it is there, so that a stop loses only the units under way.

    Parameters
    ----------
    open_study
        Opens the study that the plan is of, once in each process; can be pickled.
    workers : int
        Processes. Each takes ``ablation.threads`` threads and the memory of one training.
    each
        Called after each run that was not stored before.

    Raises
    ------
    FinaiError
        A process died.
    """
    results = {unit.fingerprint: stored.find(unit) for unit in planned}
    todo = [unit for unit in planned if results[unit.fingerprint] is None]
    # Not forked: a forked process hangs in the first parallel region of a library that has threads already.
    pool = ProcessPoolExecutor(
        min(workers, len(todo)) or 1, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(open_study,)
    )
    with pool:
        waiting: dict[Future[Result], Unit] = {pool.submit(_run, unit, stored): unit for unit in todo}
        try:
            for done in as_completed(waiting):
                results[waiting[done].fingerprint] = done.result()
                each(waiting[done], done.result())
        except BrokenProcessPool as error:
            raise FinaiError(
                "a process of the ablation died, by a signal or for want of memory",
                where=str(stored.folder),
                fix="take fewer --workers or --customers; finished runs are kept, and the same command goes on",
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [found for unit in planned if (found := results[unit.fingerprint]) is not None]


def _begin(open_study: Callable[[], Study]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # the keyboard stops the group; the first process alone reports it
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _opened.append(open_study())


def _end_with_parent() -> None:
    """End this process when its parent is gone, even by SIGKILL: nothing would collect its results."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _run(unit: Unit, stored: Runs) -> Result:
    found = runs.run(_opened[0], unit.variant, unit.seed, checkpoints=stored.checkpoints(unit))
    stored.put(unit, found)
    return found
