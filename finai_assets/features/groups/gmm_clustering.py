"""Gaussian mixture over the continuous columns of demographics, behaviour and holdings history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.features.inputs import AGE, AMOUNT, HELD, INCOME, MCC, MERCHANT, TENURE, TS, look_back_days
from finai_assets.features.registry import Column

if TYPE_CHECKING:
    from finai_assets.settings import Settings

COMPONENTS = 20


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the responsibilities, the most likely component, and the entropy."""
    inputs = (AGE, INCOME, TENURE, HELD, TS, AMOUNT, MCC, MERCHANT)
    days = look_back_days(settings)
    responsibilities = tuple(
        Column(f"gmm_responsibility_{k:02d}", "gmm_clustering", "share", "1", f"Responsibility of component {k}",
               f"고객 군집 {k} 소속 확률", inputs, days, "train", "never missing", low=0, high=1)
        for k in range(COMPONENTS)
    )  # fmt: skip
    return (
        *responsibilities,
        Column("gmm_component", "gmm_clustering", "code", "1", "Most likely component", "고객 군집", inputs, days, "train",
               "never missing", low=0, high=COMPONENTS - 1),
        Column("gmm_entropy", "gmm_clustering", "continuous", "nat", "Entropy of the responsibilities",
               "고객 군집 불확실성", inputs, days, "train", "never missing", low=0),
    )  # fmt: skip
