"""Which products the customer acquired in the months just before the cutoff.

Nothing of the label window takes part: an acquisition is seen in two consecutive snapshots, the last of which is the snapshot
month's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finai_assets.features.inputs import HELD, SNAPSHOT_MONTH
from finai_assets.features.registry import Column, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return one column a product, in the order of the catalogue."""
    months = _months(settings)
    return tuple(
        Column(f"acquired_{months}m_{product.code}", "nba_history_multihot", "binary", "1",
               f"Acquired {product.name} in the {months} months before the cutoff",
               f"최근 {months}개월 {product.name_ko} 가입", (HELD, SNAPSHOT_MONTH), 31 * months, "none", "never missing",
               low=0, high=1)
        for product in settings.products
    )  # fmt: skip


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, products] of 0 and 1."""
    return np.asfortranarray(block.acquisitions(last=_months(settings)).any(axis=1), dtype=np.float32)


def _months(settings: Settings) -> int:
    return settings.feature_groups.nba_history_multihot.months
