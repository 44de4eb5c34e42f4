"""Reads some columns of a memory-mapped matrix, a block of rows at a time: a row lies together, so whole rows are read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

BLOCK_ROWS = 8192


def take_columns(X: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Copy some rows and columns, float32 [rows, columns], without a copy of the rows' other columns."""
    out = np.empty((len(rows), len(columns)), dtype=np.float32)
    for start in range(0, len(rows), BLOCK_ROWS):
        out[start : start + BLOCK_ROWS] = X[rows[start : start + BLOCK_ROWS]][:, columns]
    return out


def row_chunks(X: np.ndarray, columns: np.ndarray, rows: slice) -> Iterator[np.ndarray]:
    """Yield some columns of a slice of rows, float32 [at most BLOCK_ROWS, columns], one part after the other."""
    for start in range(rows.start, rows.stop, BLOCK_ROWS):
        yield np.ascontiguousarray(X[start : min(rows.stop, start + BLOCK_ROWS)][:, columns])
