"""Seconds and peak memory of a stage, sampled from outside the computation: of this process and of its workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any, Self

import psutil

_INTERVAL, _INTERVAL_SHARED = 0.2, 1.0  # seconds; to share out the pages of several processes takes the system longer
_MIB = 2**20
_NOTHING = SimpleNamespace(rss=0, pss=0)


class Meter:
    """Measures wall seconds, CPU seconds, and the peak resident memory of this process and its children.

    >>> with Meter() as meter:
    ...     total = sum(range(10_000))
    >>> meter.figures()["peak_mib"] > 0
    True
    """

    def __init__(self) -> None:
        self.peak = 0
        self._stop = threading.Event()
        self._process = psutil.Process()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Self:
        self._started, self._cpu = time.perf_counter(), self._cpu_seconds()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.seconds, self.cpu = time.perf_counter() - self._started, self._cpu_seconds() - self._cpu

    def _sample(self) -> None:
        while True:
            processes = self._all()
            self.peak = max(self.peak, sum(_memory(process, shared=len(processes) > 1) for process in processes))
            if self._stop.wait(_INTERVAL if len(processes) == 1 else _INTERVAL_SHARED):
                return

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def _cpu_seconds(self) -> float:
        """Return the CPU seconds of this process and of those that it started and that are alive, threads and all."""
        return sum(sum(_asked(process.cpu_times, (0.0, 0.0))[:2]) for process in self._all())

    def figures(self) -> dict[str, float]:
        """Return the measured figures, rounded for a summary."""
        return {
            "seconds": round(self.seconds, 2),
            "cpu_seconds": round(self.cpu, 2),
            "peak_mib": round(self.peak / _MIB),
        }


def _memory(process: psutil.Process, *, shared: bool) -> int:
    """Return the resident bytes of a process; where several share pages, its share of them."""
    if shared and psutil.LINUX:
        return int(_asked(process.memory_full_info, _NOTHING).pss)
    return int(_asked(process.memory_info, _NOTHING).rss)


def _asked(question: Callable[[], Any], gone: Any) -> Any:
    """Return the answer, or what holds of a process that ended between the listing and the question."""
    try:
        return question()
    except psutil.NoSuchProcess:
        return gone
