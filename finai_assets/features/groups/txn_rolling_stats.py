"""Amounts and activity in nested windows before the cutoff.

Amounts keep their sign, so that a sum is the net flow of the window: purchases count down, credits up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import AMOUNT, DAY_US, TS
from finai_assets.features.registry import Column, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings

STATISTICS = 5


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return five columns a window, windows ascending."""
    found: list[Column] = []
    for days in _windows(settings):
        span, ko = f"of the last {days} days", f"최근 {days}일"
        for name, kind, unit, text, korean, missing, low in (
            ("sum", "continuous", "KRW", f"Net flow {span}", f"{ko} 순입출금액", "never missing", None),
            ("mean", "continuous", "KRW", f"Mean signed amount {span}", f"{ko} 건당 평균 입출금액", "nan", None),
            (
                "std",
                "continuous",
                "KRW",
                f"Standard deviation of signed amounts {span}",
                f"{ko} 거래 금액 변동폭",
                "nan",
                0.0,
            ),
            ("count", "count", "1", f"Transactions {span}", f"{ko} 거래 건수", "never missing", 0.0),
            (
                "active_days",
                "count",
                "days",
                f"Days with a transaction {span}",
                f"{ko} 거래 일수",
                "never missing",
                0.0,
            ),
        ):
            inputs = (TS, AMOUNT) if unit == "KRW" else (TS,)
            found.append(
                Column(f"roll_{name}_{days}d", "txn_rolling_stats", kind, unit, text, korean, inputs, days, "none",  # type: ignore[arg-type]
                       missing, low=low)
            )  # fmt: skip
    return tuple(found)


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, 5 x windows]."""
    windows = _windows(settings)
    out = np.empty((len(block), STATISTICS * len(windows)), np.float32, order="F")
    bounds = np.array([block.month.cutoff_us - days * DAY_US for days in windows], np.int64)
    start, ts, amount, _, _ = block.events.arrays
    _roll(start, ts, amount, bounds, out)
    return out


def _windows(settings: Settings) -> tuple[int, ...]:
    return tuple(sorted(settings.feature_groups.txn_rolling_stats.windows_days))


@numba.njit(cache=True, nogil=True)
def _roll(start: Any, ts: Any, amount: Any, bounds: Any, out: Any) -> None:
    """Walk back from the newest event (Welford's recurrence) and write each window down when the walk leaves it."""
    windows = len(bounds)
    for i in range(len(start) - 1):
        total, mean, squares = 0.0, 0.0, 0.0
        count, days = 0, 0
        day = np.int64(1 << 62)
        e = start[i + 1] - 1
        for w in range(windows):
            while e >= start[i] and ts[e] >= bounds[w]:
                value = amount[e]
                count += 1
                total += value
                step = value - mean
                mean += step / count
                squares += step * (value - mean)
                today = ts[e] // DAY_US
                days += today != day
                day = today
                e -= 1
            at = STATISTICS * w
            out[i, at] = total
            out[i, at + 1] = mean if count else np.nan
            out[i, at + 2] = np.sqrt(squares / count) if count else np.nan
            out[i, at + 3] = count
            out[i, at + 4] = days
