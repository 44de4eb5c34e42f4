"""Hyperbolic embedding of the product tree: where the held products lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.features.inputs import HELD
from finai_assets.features.registry import Column

if TYPE_CHECKING:
    from finai_assets.settings import Settings

WIDTH = 32
FAMILY = "raw/products.family"


def columns(settings: Settings) -> tuple[Column, ...]:  # the embedding's width is fixed
    """Return the gyromidpoint of the held products, its norm, and the mean distance to it."""
    inputs = (HELD, FAMILY)
    midpoint = tuple(
        Column(f"product_ball_{k:02d}", "product_hierarchy", "continuous", "1",
               f"Component {k} of the gyromidpoint of the held products", f"보유 상품 위치 {k}", inputs, None, "train",
               "never missing", low=-1, high=1)
        for k in range(WIDTH)
    )  # fmt: skip
    return (
        *midpoint,
        Column("product_ball_depth", "product_hierarchy", "continuous", "1", "Norm of the gyromidpoint (depth in the tree)",
               "보유 상품 전문화 정도", inputs, None, "train", "never missing", low=0, high=1),
        Column("product_ball_spread", "product_hierarchy", "continuous", "1",
               "Mean hyperbolic distance of the held products to the gyromidpoint", "보유 상품 다양성", inputs, None, "train",
               "never missing", low=0),
    )  # fmt: skip
