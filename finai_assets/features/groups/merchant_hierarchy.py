"""Hyperbolic embedding of the MCC tree: where the customer spends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.features.inputs import AMOUNT, CATEGORIES, MCC, TS, look_back_days
from finai_assets.features.registry import Column

if TYPE_CHECKING:
    from finai_assets.settings import Settings

WIDTH = 16
L1_CATEGORIES = 10


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the weighted gyromidpoint of the spend, the shares of the top-level categories, and the dispersion."""
    days = look_back_days(settings)
    inputs = (TS, AMOUNT, MCC, f"{CATEGORIES}.l1", f"{CATEGORIES}.l2")
    midpoint = tuple(
        Column(f"merchant_ball_{k:02d}", "merchant_hierarchy", "continuous", "1",
               f"Component {k} of the spend- and recency-weighted gyromidpoint", f"소비 업종 위치 {k}", inputs, days, "train",
               "never missing", low=-1, high=1)
        for k in range(WIDTH)
    )  # fmt: skip
    shares = tuple(
        Column(f"merchant_l1_share_{k}", "merchant_hierarchy", "share", "1", f"Share of spend in top-level category {k}",
               f"대분류 업종 {k} 지출 비중", inputs[:4], days, "none", "nan", low=0, high=1)
        for k in range(L1_CATEGORIES)
    )  # fmt: skip
    return (
        *midpoint,
        *shares,
        Column("merchant_ball_dispersion", "merchant_hierarchy", "continuous", "1",
               "Weighted mean hyperbolic distance of the spend to the gyromidpoint", "소비 업종 다양성", inputs, days, "train",
               "never missing", low=0),
    )  # fmt: skip
