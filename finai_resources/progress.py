"""Progress of long computations: a computation reports it here, and a watcher (the command line) shows it.

Without a watcher a report does nothing. The watcher belongs to the current context: what another thread or process reports is
not seen, so report from the thread that hands out the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, int, int], None]  # what is under way, how many steps of it are done, and how many there are

_watcher: ContextVar[Watcher | None] = ContextVar("finai_progress", default=None)


def report_progress(label: str, done: int, total: int) -> None:
    """Report the progress of a computation to the watcher, if there is one.

    Parameters
    ----------
    label
        What the steps are.
    done, total
        The number of finished steps, and of all steps.
    """
    watcher = _watcher.get()
    if watcher is not None:
        watcher(label, done, total)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Send the progress that is reported inside the block to a watcher."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def part_of(label: str) -> Iterator[None]:
    """Put a label before the labels that are reported inside the block, whose steps are part of a larger computation.

    >>> with watched(lambda *reported: print(*reported)), part_of("fit hmm_states"):
    ...     report_progress("iterations", 3, 50)
    fit hmm_states, iterations 3 50
    """
    outer = _watcher.get()
    if outer is None:
        yield
        return
    with watched(lambda inner, done, total: outer(f"{label}, {inner}", done, total)):
        yield
