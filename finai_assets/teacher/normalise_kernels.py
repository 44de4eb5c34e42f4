"""Compiled passes of the normaliser over rows; ``normalise.py`` explains them."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

AS_IS, SCALED, CODE = 0, 1, 2  # what happens to a column


@numba.njit(cache=True, nogil=True)
def first_pass(chunk: Any, is_code: Any, count: Any, total: Any, top: Any, wrong: Any) -> None:
    """Add a chunk's values to count and sum per column; find the largest, and count those that are infinite or no code."""
    for i in range(chunk.shape[0]):
        for j in range(chunk.shape[1]):
            value = np.float64(chunk[i, j])
            if np.isnan(value):
                continue
            if np.isinf(value) or (is_code[j] and (value < 0 or value != np.floor(value))):
                wrong[j] += 1
                continue
            count[j] += 1
            total[j] += value
            top[j] = max(top[j], value)


@numba.njit(cache=True, nogil=True)
def second_pass(chunk: Any, mean: Any, powers: Any) -> None:
    """Add a chunk's 2nd, 3rd and 4th powers of the distance from the mean, per column."""
    for i in range(chunk.shape[0]):
        for j in range(chunk.shape[1]):
            if not np.isnan(chunk[i, j]):
                gap = np.float64(chunk[i, j]) - mean[j]
                square = gap * gap
                powers[0, j] += square
                powers[1, j] += square * gap
                powers[2, j] += square * square


@numba.njit(cache=True, nogil=True)
def transform(source: Any, mode: Any, affine: Any, codes: Any, log_of: Any, log_mean: Any, clip: Any, out: Any) -> None:
    """Write the normalised columns and log copies of some rows."""
    zero = np.float32(0)
    for i in range(source.shape[0]):
        for j in range(source.shape[1]):
            value = source[i, j]
            if np.isnan(value):
                value = zero
            elif mode[j] == SCALED:
                value = min(max(value * affine[0, j] - affine[1, j], -clip), clip)
            elif mode[j] == CODE:
                # a code beyond train's largest, or a negative one, is unseen
                value = value + np.float32(1) if -1 < value < codes[j] - 1 else zero
            out[i, j] = value
        for k in range(len(log_of)):
            value = source[i, log_of[k]]
            out[i, source.shape[1] + k] = (
                zero if np.isnan(value) else np.sign(value) * np.log1p(abs(value)) - log_mean[k]
            )


@numba.njit(cache=True, nogil=True)
def lengths(source: Any, positions: Any, out: Any) -> None:
    """Write how many steps each row's sequence has: up to the oldest step at which a channel has a value."""
    for i in range(source.shape[0]):
        length = 0
        for step in range(positions.shape[1] - 1, -1, -1):
            for channel in range(positions.shape[0]):
                if not np.isnan(source[i, positions[channel, step]]):
                    length = step + 1
                    break
            if length:
                break
        out[i] = length
