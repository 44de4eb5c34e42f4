"""Shares the rows of a batch among the threads of the compiled kernels."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

# Fixed, and not a share of the threads: each block adds up its own gradient of the weights, and blocks are added in order, so
# that a gradient does not depend on how many threads there are.
ROWS = 128


def in_blocks(rows: int, work: Callable[[int, int, int], None]) -> None:
    """Call ``work(block, first row, end)`` for each block of rows, on as many threads as torch uses.

    The work must release the GIL and write to memory of its own.
    """
    bounds = [(block, first, min(first + ROWS, rows)) for block, first in enumerate(range(0, rows, ROWS))]
    threads = min(torch.get_num_threads(), len(bounds))
    if threads <= 1:
        for bound in bounds:
            work(*bound)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(lambda bound: work(*bound), bounds):
            pass


def count_blocks(rows: int) -> int:
    """Return the number of blocks."""
    return -(-rows // ROWS)


def compiled(x: Tensor) -> bool:
    """Return whether the kernels can compute this: float32 on a CPU, and not while a graph is being traced."""
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.compiler.is_compiling()
