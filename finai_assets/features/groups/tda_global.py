"""Persistent homology of the customer's weekly vectors (log spend, count, distinct MCC, night share).

The weeks before the cutoff are points with four coordinates: log(1 + outflows), log(1 + transactions), log(1 + distinct MCCs)
and the share of transactions before six o'clock; a week without transactions is the origin. Each coordinate is standardised by
train weeks; as taking off a mean moves no distance, that is to divide by the standard deviation. A coordinate that is the same
in all train weeks with transactions (the night share of data without a time of day) is 0.

A customer without transactions has all weeks in one point: no bar, and every statistic is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import AMOUNT, DAY_US, HOUR_US, MCC, TS
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
    from finai_assets.settings.features import TdaGlobalSettings

NOTE = engine_note(6)
COORDINATES = 4
_WEEK_US = 7 * DAY_US
_NIGHT_US = 6 * HOUR_US


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return eight statistics of the diagrams in each of the dimensions 0 and 1."""
    return statistic_columns(
        "tda_global",
        "Weekly Rips persistence",
        "주간 거래 형태",
        inputs=(TS, AMOUNT, MCC),
        window_days=7 * _weeks(settings),
    )


def tensors(settings: Settings) -> tuple[Tensor, ...]:
    """Return the diagrams."""
    return (diagram_tensor(_own(settings).points),)


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Return ``weights`` float64 [4]: one over the standard deviation of each coordinate over train weeks, or 0."""
    weeks = np.concatenate([weekly_vectors(block, settings).reshape(-1, COORDINATES) for block in blocks])
    with_transactions = weeks[weeks[:, 1] > 0]
    weights = np.zeros(COORDINATES)
    for axis in range(COORDINATES):
        found = with_transactions[:, axis]
        if len(found) and found.min() < found.max():
            weights[axis] = 1 / weeks[:, axis].std(dtype=np.float64)
    return {"weights": weights}


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, 16]."""
    return transform_with_tensors(block, params, settings)[0]


def transform_with_tensors(
    block: Block, params: Params, settings: Settings
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return float32 [n, 16] and the diagrams, float32 [n, 2, points, 2]."""
    out = np.empty((len(block), WIDTH), np.float32, order="F")
    diagrams = np.zeros((len(block), *tensors(settings)[0].shape), np.float32)
    weeks = np.empty((len(block), COORDINATES, _weeks(settings)))
    _clouds(block.events.arrays, _since(block, settings), params["weights"], weeks)
    describe_clouds(weeks, np.full(len(block), _weeks(settings)), _own(settings).engine, out, diagrams)
    return out, {"diagrams": diagrams}


def weekly_vectors(block: Block, settings: Settings) -> np.ndarray:
    """Return the coordinates of each week before they are scaled, float32 [n, weeks, 4], oldest first."""
    vectors = np.empty((len(block), _weeks(settings), COORDINATES), np.float32)
    _vectors(block.events.arrays, _since(block, settings), vectors)
    return vectors


def _own(settings: Settings) -> TdaGlobalSettings:
    return settings.feature_groups.tda_global


def _weeks(settings: Settings) -> int:
    return _own(settings).weeks


def _since(block: Block, settings: Settings) -> int:
    return block.month.cutoff_us - _weeks(settings) * _WEEK_US


@numba.njit(cache=True, nogil=True)
def _vectors(events: Any, since: int, vectors: Any) -> None:
    points = np.empty((COORDINATES, vectors.shape[1]))
    for i in range(len(vectors)):
        _weekly(events, i, since, points)
        vectors[i] = points.T


@numba.njit(cache=True, nogil=True)
def _clouds(events: Any, since: int, weights: Any, clouds: Any) -> None:
    """Write the coordinates of each customer's weeks, scaled, float64 [n, 4, weeks]."""
    for i in range(len(clouds)):
        _weekly(events, i, since, clouds[i])
        for axis in range(COORDINATES):
            clouds[i, axis] *= weights[axis]


@numba.njit(cache=True, nogil=True)
def _weekly(events: Any, i: int, since: int, points: Any) -> None:
    """Write the coordinates of one customer's weeks, float64 [4, weeks]; what is dated after them is not theirs."""
    start, ts, amount, mcc, _ = events
    points[:] = 0
    cutoff = since + points.shape[1] * _WEEK_US
    e, end = start[i], start[i + 1]
    while end > e and ts[end - 1] >= cutoff:
        end -= 1
    while e < end and ts[e] < since:
        e += 1
    while e < end:
        week = (ts[e] - since) // _WEEK_US
        closes = since + (week + 1) * _WEEK_US
        first, spend, night = e, 0.0, 0
        while e < end and ts[e] < closes:
            if amount[e] < 0:
                spend -= amount[e]
            night += ts[e] % DAY_US < _NIGHT_US
            e += 1
        points[0, week] = np.log1p(spend)
        points[1, week] = np.log1p(e - first)
        points[2, week] = np.log1p(_distinct(mcc[first:e]))
        points[3, week] = night / (e - first)


@numba.njit(cache=True, nogil=True)
def _distinct(codes: Any) -> int:
    ordered = np.sort(codes)
    found = 1
    for k in range(1, len(ordered)):
        found += ordered[k] != ordered[k - 1]
    return found
