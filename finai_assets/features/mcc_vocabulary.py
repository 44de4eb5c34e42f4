"""The vocabulary of merchant categories: ranks by train frequency, and their look-up inside kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

if TYPE_CHECKING:
    from finai_assets.features.block import Block

_EMPTY = -(1 << 62)


def codes_by_frequency(blocks: Sequence[Block]) -> np.ndarray:
    """Return the MCCs of all events as int32, most frequent first, ties by the smaller code."""
    counted: dict[int, int] = {}
    for block in blocks:
        codes, counts = np.unique(block.events.mcc, return_counts=True)
        for code, count in zip(codes.tolist(), counts.tolist(), strict=True):
            counted[code] = counted.get(code, 0) + count
    ordered = sorted(counted, key=lambda code: (-counted[code], code))
    return np.array(ordered, dtype=np.int32)


def hash_table(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return an open-addressed table (keys int64, ranks int32) from a code to 1 + its position in ``codes``."""
    size = 1 << max(6, int(4 * len(codes)).bit_length())
    keys = np.full(size, _EMPTY, np.int64)
    ranks = np.zeros(size, np.int32)
    for rank, code in enumerate(codes.tolist(), start=1):
        slot = code & (size - 1)
        while keys[slot] != _EMPTY:
            slot = (slot + 1) & (size - 1)
        keys[slot], ranks[slot] = code, rank
    return keys, ranks


@numba.njit(cache=True, nogil=True)
def rank_of(keys: Any, ranks: Any, code: int) -> int:
    """Return the rank of a code in a table of :func:`hash_table`, 0 where it is not there."""
    mask = len(keys) - 1
    slot = code & mask
    while keys[slot] != code:
        if keys[slot] == _EMPTY:
            return 0
        slot = (slot + 1) & mask
    return ranks[slot]
