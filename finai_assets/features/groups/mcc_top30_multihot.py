"""Which of the most frequent merchant categories the customer used lately.

Column ``mcc_seen_<rank>`` stands for the category of that rank in train; the fitted state says which code that is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import DAY_US, MCC, TS
from finai_assets.features.mcc_vocabulary import codes_by_frequency, hash_table, rank_of
from finai_assets.features.registry import Column, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return one column a rank, and one for every other category."""
    top, days = _top(settings), _window(settings)
    ranks = [
        (f"mcc_seen_{rank:02d}", f"Used the train's number {rank} merchant category in the last {days} days",
         f"최근 {days}일 이용 상위 {rank}위 업종 이용")
        for rank in range(1, top + 1)
    ]  # fmt: skip
    other = (
        "mcc_seen_other",
        f"Used any other merchant category in the last {days} days",
        f"최근 {days}일 기타 업종 이용",
    )
    return tuple(
        Column(name, "mcc_top30_multihot", "binary", "1", text, korean, (TS, MCC), days, "train", "never missing",
               low=0, high=1)
        for name, text, korean in [*ranks, other]
    )  # fmt: skip


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Return ``mcc_codes`` int32 [at most top]: the most frequent MCCs of train events, ties by the smaller code."""
    return {"mcc_codes": codes_by_frequency(blocks)[: _top(settings)]}


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, top + 1] of 0 and 1."""
    out = np.zeros((len(block), _top(settings) + 1), np.float32, order="F")
    keys, ranks = hash_table(params["mcc_codes"])
    start, ts, _, mcc, _ = block.events.arrays
    _seen(start, ts, mcc, keys, ranks, block.month.cutoff_us - _window(settings) * DAY_US, out)
    return out


def _top(settings: Settings) -> int:
    return settings.feature_groups.mcc_top30_multihot.top


def _window(settings: Settings) -> int:
    return settings.feature_groups.mcc_top30_multihot.window_days


@numba.njit(cache=True, nogil=True)
def _seen(start: Any, ts: Any, mcc: Any, keys: Any, ranks: Any, since: int, out: Any) -> None:
    other = out.shape[1] - 1
    for i in range(len(start) - 1):
        e = start[i + 1] - 1
        while e >= start[i] and ts[e] >= since:
            rank = rank_of(keys, ranks, mcc[e])
            out[i, rank - 1 if rank else other] = 1
            e -= 1
