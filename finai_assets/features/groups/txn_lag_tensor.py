"""The customer's last transactions, newest first, as four channels: log amount, MCC index, days before the cutoff, hour.

Channels follow each other, so ``values.reshape(n, 4, length)`` is the tensor. Places beyond the customer's first transaction
are NaN in all four channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import AMOUNT, DAY_US, HOUR_US, MCC, TS, look_back_days
from finai_assets.features.mcc_vocabulary import codes_by_frequency, hash_table, rank_of
from finai_assets.features.registry import Column, Kind, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings

CHANNELS = 4
# Rows are gathered in a scratch that fits the second-level cache and then written column by column: writing single values
# into columns that lie a power of two apart would evict each line before it is full.
_TILE = 32


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return ``length`` columns a channel."""
    days, length = look_back_days(settings), _length(settings)
    channels: tuple[tuple[str, Kind, str, str, str, tuple[str, ...], float | None, float | None], ...] = (
        (
            "amount",
            "continuous",
            "1",
            "sign(a) log(1 + |a|) of the amount",
            "거래 금액(로그)",
            (TS, AMOUNT),
            None,
            None,
        ),
        (
            "mcc",
            "code",
            "1",
            "train frequency rank of the MCC, 0 = unseen in train,",
            "거래 업종",
            (TS, AMOUNT, MCC),  # transactions of the same instant are ordered by their amounts
            0.0,
            None,
        ),
        ("days", "continuous", "days", "days before the cutoff", "거래 후 경과 일수", (TS,), 0.0, None),
        ("hour", "continuous", "hours", "hour of the day", "거래 시각", (TS,), 0.0, 23.0),
    )
    return tuple(
        Column(f"lag_{name}_{k:03d}", "txn_lag_tensor", kind, unit, f"Transaction {k + 1} from the newest: {text}",
               f"최근 {k + 1}번째 {korean}", inputs, days, "train" if name == "mcc" else "none", "nan", low, high)
        for name, kind, unit, text, korean, inputs, low, high in channels
        for k in range(length)
    )  # fmt: skip


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Rank the MCCs of train events: ``mcc_codes`` int32, most frequent first, ties by the smaller code."""
    return {"mcc_codes": codes_by_frequency(blocks)}


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, 4 x length], column-major."""
    out = np.empty((len(block), CHANNELS * _length(settings)), np.float32, order="F")
    keys, ranks = hash_table(params["mcc_codes"])
    _lag(block.events.arrays, keys, ranks, block.month.cutoff_us, out)
    return out


def _length(settings: Settings) -> int:
    return settings.feature_groups.txn_lag_tensor.transactions


@numba.njit(cache=True, nogil=True)
def _lag(events: Any, keys: Any, ranks: Any, cutoff: int, out: Any) -> None:
    start, ts, amount, mcc, _ = events
    width = out.shape[1]
    length = width // CHANNELS
    scratch = np.empty((_TILE, width), np.float32)
    customers = len(start) - 1
    for base in range(0, customers, _TILE):
        rows = min(_TILE, customers - base)
        for r in range(rows):
            end = start[base + r + 1]
            count = min(length, end - start[base + r])
            row = scratch[r]
            for k in range(count):
                e = end - 1 - k
                value = amount[e]
                row[k] = np.log1p(value) if value >= 0 else -np.log1p(-value)
                row[length + k] = rank_of(keys, ranks, mcc[e])
                row[2 * length + k] = (cutoff - ts[e]) / DAY_US
                row[3 * length + k] = (ts[e] % DAY_US) // HOUR_US
            for channel in range(CHANNELS):
                for k in range(count, length):
                    row[channel * length + k] = np.nan
        for c in range(width):
            for r in range(rows):
                out[base + r, c] = scratch[r, c]
