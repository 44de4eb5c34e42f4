"""Figures of the explanations as words: rounded, with their interval."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NOTHING = "–"


def low(found: Mapping[str, Any]) -> float:
    """Return the lower end of an interval; minus infinity where there is none."""
    return float("-inf") if found["low"] is None else float(found["low"])


def digits(value: float | None, places: int) -> str:
    """Return a number with a true minus sign."""
    if value is None:
        return NOTHING
    text = f"{value:.{places}f}"
    return text.lstrip("-") if not float(text) else text.replace("-", "−")


def interval(found: Mapping[str, Any], places: int) -> str:
    """Return a figure with its interval."""
    if found["value"] is None:
        return NOTHING
    value = digits(found["value"], places)
    if found["low"] is None:
        return f"{value} (no interval)"
    return f"{value} ({digits(found['low'], places)} to {digits(found['high'], places)})"
