"""Columns are read block by block, and nothing is lost where a block ends."""

from __future__ import annotations

import numpy as np
import pytest

from finai_assets.evaluation import column_blocks
from finai_assets.evaluation.column_blocks import row_chunks, take_columns


@pytest.fixture(autouse=True)
def blocks_of_four(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_blocks, "BLOCK_ROWS", 4)


@pytest.mark.parametrize("rows", [0, 1, 4, 9])
def test_taken_columns_are_those_of_the_rows_in_their_order(rows: int) -> None:
    X = np.arange(60, dtype=np.float32).reshape(12, 5)
    at, columns = np.random.default_rng(0).permutation(12)[:rows], np.array([4, 0, 2])
    assert np.array_equal(take_columns(X, at, columns), X[np.ix_(at, columns)])


@pytest.mark.parametrize("span", [slice(0, 0), slice(2, 6), slice(1, 12)])
def test_chunks_put_together_are_the_slice(span: slice) -> None:
    X = np.arange(60, dtype=np.float32).reshape(12, 5)
    parts = list(row_chunks(X, np.array([3, 1]), span))
    assert [len(part) for part in parts[:-1]] == [4] * max(len(parts) - 1, 0)
    assert all(part.flags.c_contiguous for part in parts)
    together = np.concatenate(parts) if parts else np.zeros((0, 2))
    assert np.array_equal(together, X[span][:, [3, 1]])
