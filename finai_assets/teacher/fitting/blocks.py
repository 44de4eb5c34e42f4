"""The order in which an epoch reads rows, and the thread that prepares batches ahead.

Rows are read in blocks: the blocks of an epoch are shuffled, and the rows of a window of blocks are mixed with each other.
One window is read at a time, which need not be the whole matrix. The order follows from seed and epoch alone.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from finai_assets.settings.method import LoopSettings
from finai_assets.teacher.data import TeacherData
from finai_assets.teacher.fitting.process_group import ProcessGroup
from finai_assets.teacher.normalise import Normaliser

T = TypeVar("T")


def epoch_order(rows: np.ndarray, seed: int, epoch: int, block_rows: int, window_blocks: int) -> np.ndarray:
    """Return the rows in the order of an epoch.

    Parameters
    ----------
    rows : int64 [n]
        Ascending.

    Returns
    -------
    int64 [n]
        Each row once.
    """
    random = np.random.default_rng([seed, epoch])
    blocks = [rows[start : start + block_rows] for start in range(0, len(rows), block_rows)]
    shuffled = random.permutation(len(blocks))
    windows = [shuffled[start : start + window_blocks] for start in range(0, len(blocks), window_blocks)]
    return np.concatenate([random.permutation(np.concatenate([blocks[i] for i in window])) for window in windows])


@dataclass(frozen=True, slots=True)
class Part:
    """Rows of a batch that are computed together.

    Parameters
    ----------
    x : float32 [n, width]
        Normalised.
    known : task -> int64 [k] or None
        Positions of the rows with a label; None where all have one. Tasks without a labelled row here are absent.
    labels : task -> float32 [k]
    share : float
        Share of the batch's rows.
    """

    x: Tensor
    known: dict[str, Tensor | None]
    labels: dict[str, Tensor]
    share: float


@dataclass(frozen=True, slots=True)
class Batch:
    """One step's rows: the parts that this process computes, and the labelled rows per task of all processes together."""

    number: int
    parts: tuple[Part, ...]
    labelled: dict[str, int]


class Feed:
    """Batches of the train rows.

    Parameters
    ----------
    batch_rows : int
        Over all processes; each takes its slice, cut into as many parts as are accumulated.
    """

    def __init__(
        self,
        data: TeacherData,
        normaliser: Normaliser,
        loop: LoopSettings,
        processes: ProcessGroup,
        *,
        batch_rows: int,
        seed: int,
    ) -> None:
        self.data, self.normaliser, self.loop, self.processes = data, normaliser, loop, processes
        self.batch_rows, self.seed = batch_rows, seed
        self.batches = -(-len(data.train) // batch_rows)

    def epoch(self, number: int, first: int = 0) -> Generator[Batch, None, None]:
        """Yield the batches of an epoch from the ``first`` on; close the iterator where it is not read to its end."""
        loop = self.loop
        order = epoch_order(self.data.train, self.seed, number, loop.block_rows, loop.window_blocks)

        def make(batch: int) -> Batch:
            # ascending within the batch: a memory map is read forwards
            return self.batch(batch, np.sort(order[batch * self.batch_rows : (batch + 1) * self.batch_rows]))

        return ahead(make, range(first, self.batches), loop.prefetch)

    def batch(self, number: int, at: np.ndarray) -> Batch:
        """Normalise this process's slice of a batch, and bring it to the device."""
        labelled = {task.name: int(np.isfinite(self.data.labels[task.name][at]).sum()) for task in self.data.tasks}
        own = np.array_split(at, self.processes.size)[self.processes.rank]
        parts = (part for part in np.array_split(own, self.loop.accumulation) if len(part))
        return Batch(
            number,
            tuple(self._part(part, len(part) / len(at)) for part in parts),
            {name: count for name, count in labelled.items() if count},
        )

    def _part(self, at: np.ndarray, share: float) -> Part:
        known: dict[str, Tensor | None] = {}
        labels: dict[str, Tensor] = {}
        for task in self.data.tasks:
            label = self.data.labels[task.name][at]
            there = np.flatnonzero(np.isfinite(label))
            if len(there):
                whole = len(there) == len(at)
                known[task.name] = None if whole else self._moved(torch.from_numpy(there))
                labels[task.name] = self._moved(torch.from_numpy(label if whole else label[there]))
        x = self._moved(torch.from_numpy(self.normaliser.transform(self.data.X[at], self.data.side_of(at))))
        return Part(x, known, labels, share)

    def _moved(self, tensor: Tensor) -> Tensor:
        device = self.processes.device
        return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def ahead(make: Callable[[int], T], numbers: range, depth: int) -> Generator[T, None, None]:
    """Yield ``make(number)`` for each number, in order; a worker thread is up to ``depth`` ahead (0: no thread).

    An error of the worker is raised where its result would be yielded.
    """
    if not depth:
        yield from map(make, numbers)
        return
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
        waiting: deque[Future[T]] = deque()
        try:
            for number in numbers:
                waiting.append(worker.submit(make, number))
                if len(waiting) > depth:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
