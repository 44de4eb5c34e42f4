"""Seconds and peak memory of a stage, sampled from outside the computation."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import psutil

_INTERVAL = 0.2
_MIB = 2**20


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
        self._started, self._cpu = time.perf_counter(), time.process_time()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self.seconds, self.cpu = time.perf_counter() - self._started, time.process_time() - self._cpu

    def _sample(self) -> None:
        while True:
            self.peak = max(self.peak, self._resident())
            if self._stop.wait(_INTERVAL):
                return

    def _resident(self) -> int:
        total = 0
        for process in [self._process, *self._process.children(recursive=True)]:
            try:
                total += process.memory_info().rss
            except psutil.NoSuchProcess:  # a child that ended between the listing and the question holds nothing
                continue
        return total

    def figures(self) -> dict[str, float]:
        """Return the measured figures, rounded for a summary."""
        return {
            "seconds": round(self.seconds, 2),
            "cpu_seconds": round(self.cpu, 2),
            "peak_mib": round(self.peak / _MIB),
        }
