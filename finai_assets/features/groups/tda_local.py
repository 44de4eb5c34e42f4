"""Persistent homology of the delay embedding of daily spend.

With s(t) = log(1 + outflows of day t), over its standard deviation in train, the points are (s(t), s(t + lag), s(t + 2 lag), ..)
for every t within the window (Takens: Detecting strange attractors in turbulence, 1981); a spending rhythm is a loop. The
complex is built on landmarks chosen farthest first, which cover the cloud (Gonzalez: Clustering to minimize the maximum
intercluster distance, 1985).

A customer without outflows in the window has all points in one place: no bar, and every statistic is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import AMOUNT, DAY_US, TS
from finai_assets.features.methods.persistence import (
    WIDTH,
    describe_clouds,
    diagram_tensor,
    engine_note,
    statistic_columns,
)
from finai_assets.features.registry import Column, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.features.tensors import Tensor
    from finai_assets.settings import Settings
    from finai_assets.settings.features import TdaLocalSettings

NOTE = engine_note(11)


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return eight statistics of the diagrams in each of the dimensions 0 and 1."""
    return statistic_columns(
        "tda_local", "Persistence of the delay embedding of daily spend", "일별 지출 형태", inputs=(TS, AMOUNT),
        window_days=_own(settings).days,
    )  # fmt: skip


def tensors(settings: Settings) -> tuple[Tensor, ...]:
    """Return the diagrams."""
    return (diagram_tensor(_own(settings).points),)


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Return ``weight`` float64 [1]: one over the standard deviation of log daily spend over train days, or 0."""
    spend = np.concatenate([daily_spend(block, settings) for block in blocks])
    varies = spend.size and spend.min() < spend.max()
    return {"weight": np.array([1 / spend.std(dtype=np.float64) if varies else 0.0])}


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, 16]."""
    return transform_with_tensors(block, params, settings)[0]


def transform_with_tensors(
    block: Block, params: Params, settings: Settings
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return float32 [n, 16] and the diagrams, float32 [n, 2, points, 2]."""
    own = _own(settings)
    out = np.empty((len(block), WIDTH), np.float32, order="F")
    diagrams = np.zeros((len(block), *tensors(settings)[0].shape), np.float32)
    landmarks = np.empty((len(block), own.dimension, own.landmarks))
    counts = np.empty(len(block), np.int64)
    scale = own.days, own.lag_days, params["weight"][0]
    _clouds(block.events.arrays, _since(block, settings), scale, landmarks, counts)
    describe_clouds(landmarks, counts, own.engine, out, diagrams)
    return out, {"diagrams": diagrams}


def daily_spend(block: Block, settings: Settings) -> np.ndarray:
    """Return log(1 + outflows) of each day before it is scaled, float32 [n, days], oldest first."""
    spend = np.empty((len(block), _own(settings).days), np.float32)
    _all_daily(block.events.arrays, _since(block, settings), spend)
    return spend


def _own(settings: Settings) -> TdaLocalSettings:
    return settings.feature_groups.tda_local


def _since(block: Block, settings: Settings) -> int:
    return block.month.cutoff_us - _own(settings).days * DAY_US


@numba.njit(cache=True, nogil=True)
def _all_daily(events: Any, since: int, spend: Any) -> None:
    row = np.empty(spend.shape[1])
    for i in range(len(spend)):
        _daily(events, i, since, row)
        spend[i] = row


@numba.njit(cache=True, nogil=True)
def _clouds(events: Any, since: int, scale: Any, landmarks: Any, counts: Any) -> None:
    """Write each customer's landmarks, float64 [n, dimension, at least as many], and how many there are, int64 [n]."""
    days, lag, weight = scale
    dimension = landmarks.shape[1]
    spend = np.empty(days)
    points = np.empty((dimension, days - (dimension - 1) * lag))
    for i in range(len(landmarks)):
        _daily(events, i, since, spend)
        for axis in range(dimension):
            for t in range(points.shape[1]):
                points[axis, t] = weight * spend[t + axis * lag]
        counts[i] = farthest_points(points, landmarks[i])


@numba.njit(cache=True, nogil=True)
def _daily(events: Any, i: int, since: int, spend: Any) -> None:
    """Write log(1 + outflows) of one customer's days, float64 [days]; what is dated after them is not theirs."""
    start, ts, amount, _, _ = events
    spend[:] = 0
    e = start[i + 1] - 1
    while e >= start[i] and ts[e] >= since + len(spend) * DAY_US:
        e -= 1
    while e >= start[i] and ts[e] >= since:
        if amount[e] < 0:
            spend[(ts[e] - since) // DAY_US] -= amount[e]
        e -= 1
    for day in range(len(spend)):
        spend[day] = np.log1p(spend[day])


@numba.njit(cache=True, nogil=True)
def farthest_points(points: Any, landmarks: Any) -> int:
    """Choose landmarks: the first point, then always the one farthest from those chosen, ties by the lower index.

    Parameters
    ----------
    points : float64 [dimension, count]
    landmarks : float64 [dimension, limit]
        Receives the chosen points.

    Returns
    -------
    int
        Number of landmarks: at most the limit, and at most the number of distinct points.
    """
    dimension, count = points.shape
    distance = np.full(count, np.inf)
    chosen = 0
    at = 0
    while chosen < landmarks.shape[1] and distance[at] > 0:
        landmarks[:, chosen] = points[:, at]
        for t in range(count):
            squared = 0.0
            for axis in range(dimension):
                squared += (points[axis, t] - landmarks[axis, chosen]) ** 2
            distance[t] = min(distance[t], squared)
        chosen += 1
        at = int(np.argmax(distance))
    return chosen
