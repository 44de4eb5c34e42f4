"""The label of the customer's segment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from finai_assets.labels.windows import LabelBlock


def segment_prediction(block: LabelBlock, _segments: int) -> pa.Array:
    """Return the index of the segment at the end of the window."""
    return pa.array(block.segment_next, pa.int8(), mask=block.segment_next < 0)
