"""Selective state-space encoding of the last transactions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.features.inputs import AMOUNT, MCC, TS, look_back_days
from finai_assets.features.registry import Column

if TYPE_CHECKING:
    from finai_assets.settings import Settings

WIDTH = 50


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the last state of the encoder."""
    return tuple(
        Column(f"mamba_{k:02d}", "mamba_temporal", "continuous", "1", f"Component {k} of the sequence encoder's last state",
               f"거래 흐름 특성 {k}", (TS, AMOUNT, MCC), look_back_days(settings), "train", "never missing")
        for k in range(WIDTH)
    )  # fmt: skip
