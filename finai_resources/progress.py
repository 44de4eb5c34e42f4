"""How far a long computation is: computations tell it here, and whoever watches (the command line) shows it.

Without a watcher the calls do nothing. The watcher belongs to the current context, so that threads started elsewhere are not
mixed up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Watcher = Callable[[str, int, int], None]

_watcher: ContextVar[Watcher | None] = ContextVar("finai_progress", default=None)


def stages() -> Watcher:
    """Return a function that reports ``(label, done, total)``, for a computation that names its own stages."""
    watcher = _watcher.get()
    return watcher or (lambda _label, _done, _total: None)


def progress(label: str) -> Callable[[int, int], None]:
    """Return a function that reports ``(done, total)`` under a label."""
    watcher = _watcher.get()

    def report(done: int, total: int) -> None:
        if watcher is not None:
            watcher(label, done, total)

    return report


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Send what is reported inside the block to a watcher."""
    token = _watcher.set(watcher)
    try:
        yield
    finally:
        _watcher.reset(token)
