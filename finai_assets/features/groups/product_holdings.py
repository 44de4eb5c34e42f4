"""Which products the customer holds at the snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from finai_assets.features.inputs import HELD
from finai_assets.features.registry import Column, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return one column a product, in the order of the catalogue."""
    return tuple(
        Column(f"held_{product.code}", "product_holdings", "binary", "1", f"Holds {product.name}",
               f"{product.name_ko} 보유", (HELD,), None, "none", "never missing", low=0, high=1)
        for product in settings.products
    )  # fmt: skip


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, products] of 0 and 1."""
    return np.asfortranarray(block.held[:, -1], dtype=np.float32)
