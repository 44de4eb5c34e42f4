"""Labels of spending: merchant categories of the transactions in the window, and in the equally long one before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.labels.formulas.arrow import floats

if TYPE_CHECKING:
    from finai_assets.labels.windows import LabelBlock, WindowEvents


def next_mcc(block: LabelBlock, _parameters: None) -> pa.Array:
    """Return the MCC of the earliest transaction.

    Of those at the same instant the smallest code is taken, so that the order in a file plays no part.
    """
    window = block.window
    order = np.lexsort((window.mcc, window.ts, window.row))
    return _first_of_each(window.row[order], window.mcc[order], len(block))


def mcc_diversity_trend(block: LabelBlock, _parameters: None) -> pa.Array:
    """Return by how much the number of distinct MCCs grows, as a share of the number before (of 1 where that is 0)."""
    earlier, later = (np.bincount(_pairs(events)[0], minlength=len(block)) for events in (block.before, block.window))
    return floats((later - earlier) / np.maximum(1, earlier))


def top_mcc_shift(block: LabelBlock, _parameters: None) -> pa.Array:
    """Return whether the most frequent MCC differs between the two windows."""
    before, window = (_top_mcc(events, len(block)) for events in (block.before, block.window))
    return pc.cast(pc.cast(pc.not_equal(before, window), pa.int8()), pa.float32())


def _first_of_each(row: np.ndarray, mcc: np.ndarray, n: int) -> pa.Array:
    owner, begin = np.unique(row, return_index=True)
    value, none = np.zeros(n, dtype=np.int32), np.ones(n, dtype=bool)
    value[owner], none[owner] = mcc[begin], False
    return pa.array(value, pa.int32(), mask=none)


def _pairs(events: WindowEvents) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return customer, MCC and count of each distinct pair, ordered by customer and MCC."""
    order = np.lexsort((events.mcc, events.row))
    row, mcc = events.row[order], events.mcc[order]
    begin = np.flatnonzero(np.append(True, (row[1:] != row[:-1]) | (mcc[1:] != mcc[:-1]))) if len(row) else order
    return row[begin], mcc[begin], np.diff(np.append(begin, len(row)))


def _top_mcc(events: WindowEvents, n: int) -> pa.Array:
    """Return the most frequent MCC; of equally frequent ones the smallest code."""
    row, mcc, count = _pairs(events)
    order = np.lexsort((mcc, -count, row))
    return _first_of_each(row[order], mcc[order], n)
