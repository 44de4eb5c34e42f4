"""How far a long computation is: computations report it here, and whoever watches (the command line) shows it.

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
    """Tell whoever watches how far a computation is.

    Parameters
    ----------
    label
        What is under way.
    done, total
        Steps of it that are done, and all of them.
    """
    watcher = _watcher.get()
    if watcher is not None:
        watcher(label, done, total)


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Send what is reported inside the block to a watcher."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)


@contextmanager
def part_of(label: str) -> Iterator[None]:
    """Put a label before what is reported inside the block: the steps there are part of something larger.

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
