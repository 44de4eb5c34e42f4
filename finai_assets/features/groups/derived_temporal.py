"""How the customer's product holdings moved over the look-back.

An acquisition is a product held at a month's end and not at the end of the month before, in which the customer was there; a
closure is the reverse, and a customer who is gone holds nothing. The labels count in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finai_assets.features.inputs import HELD, SNAPSHOT_MONTH, look_back_days, look_back_ko
from finai_assets.features.registry import Column, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the four columns."""
    span, ko = f"over the last {settings.look_back_months} snapshots", look_back_ko(settings)
    described = (
        ("acquisitions_total", f"Product acquisitions {span}", f"{ko} 상품 가입 수", (HELD, SNAPSHOT_MONTH)),
        ("closures_total", f"Product closures {span}", f"{ko} 상품 해지 수", (HELD,)),
        ("months_observed", f"Months with a snapshot {span}", f"{ko} 중 거래 개월 수", (SNAPSHOT_MONTH,)),
        ("distinct_products_held", f"Distinct products ever held {span}", f"{ko} 보유한 상품 종류 수", (HELD,)),
    )
    return tuple(
        Column(name, "derived_temporal", "count", "1", text, korean, inputs, look_back_days(settings), "none",
               "never missing", low=0)
        for name, text, korean, inputs in described
    )  # fmt: skip


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, 4]."""
    out = np.empty((len(block), 4), np.float32, order="F")
    out[:, 0] = block.acquisitions().sum(axis=(1, 2))
    out[:, 1] = block.closures().sum(axis=(1, 2))
    out[:, 2] = block.observed.sum(axis=1)
    out[:, 3] = block.held.any(axis=1).sum(axis=1)
    return out
