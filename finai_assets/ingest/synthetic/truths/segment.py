"""Truth of the segment: one step of the transition law, for customers who stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finai_assets.ingest.synthetic.truth import Truth

if TYPE_CHECKING:
    from finai_assets.ingest.synthetic.cutoff import Cutoff, NextMonth


def _next(state: Cutoff, segments: int) -> np.ndarray:
    rows, month, record = state.rows, state.month, state.record
    law = np.zeros((len(rows), segments + 2))  # one more on either side, never reached
    place, up, down = record.segment[rows, month] + 1, record.up[rows, month], record.down[rows, month]
    index = np.arange(len(rows))
    law[index, place] = 1.0 - up - down
    law[index, place + 1] += up
    law[index, place - 1] += down
    return law[:, 1:-1]


def _reached(next_month: NextMonth, _segments: int) -> np.ndarray:
    segment = next_month.record.segment[next_month.rows, next_month.month + 1]
    return np.where(next_month.stays, segment, np.nan)


SEGMENT_PREDICTION = Truth(_next, _reached)
