"""The stored part of persistence diagrams: eight statistics in each of the dimensions 0 and 1, and the longest bars.

A bar (birth, death) of ``rips`` has the persistence death - birth > 0. Where a dimension has no bar, its
statistics are 0. In dimension 0 every class is born at scale 0: a mean birth would not vary and a mean death would repeat the
mean, so the median persistence and the gap between the two greatest (how far the most separate cluster stands apart) take
their places.

An engine finds the bars, from float32 lengths that both engines have in common: the compiled kernel of ``rips``, or gudhi. Their
bars are bit-identical, and so are the stored statistics and diagrams.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numba
import numpy as np

from finai_assets.features.methods.gudhi_rips import GudhiRips
from finai_assets.features.methods.rips import rips, workspace
from finai_assets.features.registry import Column, Kind
from finai_assets.features.tensors import Tensor

if TYPE_CHECKING:
    from finai_assets.settings.features import PersistenceEngine

STATISTICS = 8
WIDTH = 2 * STATISTICS

_SHARED: tuple[tuple[str, Kind, str, str, str], ...] = (
    ("count", "count", "1", "number of classes", "개수"),
    ("total", "continuous", "sd", "total persistence", "지속성 합"),
    ("mean", "continuous", "sd", "mean persistence", "평균 지속성"),
    ("std", "continuous", "sd", "standard deviation of persistence", "지속성 변동"),
    ("max", "continuous", "sd", "greatest persistence", "최대 지속성"),
    ("entropy", "continuous", "nat", "entropy of persistence", "지속성 엔트로피"),
)
_OWN: tuple[tuple[tuple[str, Kind, str, str, str], ...], ...] = (
    (
        ("median", "continuous", "sd", "median persistence", "지속성 중앙값"),
        ("gap", "continuous", "sd", "greatest persistence less the second greatest", "최대 지속성 격차"),
    ),
    (
        ("mean_birth", "continuous", "sd", "mean birth", "평균 생성 시점"),
        ("mean_death", "continuous", "sd", "mean death", "평균 소멸 시점"),
    ),
)


def statistic_columns(
    group: str, text: str, korean: str, *, inputs: tuple[str, ...], window_days: int
) -> tuple[Column, ...]:
    """Return the columns of a group: eight statistics in dimension 0, then eight in dimension 1."""
    return tuple(
        Column(f"{group}_h{dimension}_{name}", group, kind, unit, f"{text}, H{dimension}: {meaning}",
               f"{korean} H{dimension} {meaning_ko}", inputs, window_days, "train", "never missing", low=0)
        for dimension in (0, 1)
        for name, kind, unit, meaning, meaning_ko in _SHARED + _OWN[dimension]
    )  # fmt: skip


def engine_note(times: int) -> str:
    """Return when to choose which engine, given how many times the kernel's CPU time gudhi took."""
    return (
        "Bars are found by `engine: kernel`, the default, or by `engine: gudhi`, the same ones to the bit: choose the kernel for"
        f" speed, and gudhi where they are to come from a library that others know, at about {times} times the CPU time (ratio of"
        " medians of 9, side by side in one process, 400 customers, by `python -m benchmarks.persistence`)."
    )


def diagram_tensor(points: int) -> Tensor:
    """Return the side tensor that holds so many bars a dimension."""
    return Tensor(
        "diagrams",
        (2, points, 2),
        f"dimension 0 and 1 x the {points} bars of greatest persistence, descending, ties by birth x (birth, death) in"
        " standard deviations; zeros where there is no bar",
    )


class Engine(Protocol):
    """Finds and describes the bars of a block's clouds; takes the arguments of ``describe_clouds``."""

    def __call__(self, clouds: Any, counts: Any, statistics: Any, diagrams: Any, /) -> None:
        """Write the statistics and diagrams of the clouds."""


def describe_clouds(
    clouds: np.ndarray, counts: np.ndarray, engine: PersistenceEngine, statistics: np.ndarray, diagrams: np.ndarray
) -> None:
    """Write the statistics and diagrams of the clouds of a block.

    Parameters
    ----------
    clouds : float64 [n, dimension, at least the greatest count]
        Coordinates of each customer's points, a row for each axis.
    counts : int64 [n]
        Number of points of each customer.
    engine
        Finds the bars.
    statistics : float32 [n, 16]
    diagrams : float32 [n, 2, points, 2]
        Zeros.
    """
    _ENGINES[engine](clouds, counts, statistics, diagrams)


@numba.njit(cache=True, nogil=True)
def _by_kernel(clouds: Any, counts: Any, statistics: Any, diagrams: Any) -> None:
    work = workspace()
    for i in range(len(counts)):
        describe(work, rips(clouds[i], counts[i], work), statistics[i], diagrams[i])


def _by_gudhi(clouds: Any, counts: Any, statistics: Any, diagrams: Any) -> None:
    bars_of, work = GudhiRips(), workspace()
    for i, count in enumerate(counts):
        describe(work, bars_of(clouds[i], count, work), statistics[i], diagrams[i])


_ENGINES: dict[PersistenceEngine, Engine] = {"kernel": _by_kernel, "gudhi": _by_gudhi}


@numba.njit(cache=True, nogil=True)
def describe(work: Any, counts: Any, statistics: Any, diagram: Any) -> None:
    """Write the statistics and the diagram of one cloud.

    Parameters
    ----------
    work, counts
        The workspace and what ``rips`` returned; the bars are put in the order of the diagram.
    statistics : float32 [16]
    diagram : float32 [2, points, 2]
        Zeros.
    """
    _, _, _, _, bars0, bars1 = work
    for dimension in range(2):
        bars = bars0 if dimension == 0 else bars1
        count = counts[dimension]
        _order(bars, count)
        _summarise(bars, count, dimension, statistics[STATISTICS * dimension : STATISTICS * (dimension + 1)])
        kept = min(count, diagram.shape[1])
        diagram[dimension, :kept] = bars[:kept]


@numba.njit(cache=True, nogil=True)
def _persistence(bars: Any, k: int) -> float:
    return np.float64(bars[k, 1]) - np.float64(bars[k, 0])


@numba.njit(cache=True, nogil=True)
def _order(bars: Any, count: int) -> None:
    """Sort bars by descending persistence, ties by birth: by insertion, as those of dimension 0 come ascending."""
    for k in range(count // 2):
        for side in range(2):
            bars[k, side], bars[count - 1 - k, side] = bars[count - 1 - k, side], bars[k, side]
    for k in range(1, count):
        birth, death, length = bars[k, 0], bars[k, 1], _persistence(bars, k)
        at = k
        while at > 0:
            before = _persistence(bars, at - 1)
            if before > length or (before == length and bars[at - 1, 0] <= birth):
                break
            bars[at, 0], bars[at, 1] = bars[at - 1, 0], bars[at - 1, 1]
            at -= 1
        bars[at, 0], bars[at, 1] = birth, death


@numba.njit(cache=True, nogil=True)
def _summarise(bars: Any, count: int, dimension: int, statistics: Any) -> None:
    """Write the eight statistics of ordered bars; sums follow that order, so the order of points plays no part."""
    statistics[:] = 0
    if not count:
        return
    total, births = 0.0, 0.0
    for k in range(count):
        total += _persistence(bars, k)
        births += bars[k, 0]
    mean = total / count
    squares, entropy = 0.0, 0.0
    for k in range(count):
        length = _persistence(bars, k)
        squares += (length - mean) ** 2
        entropy -= length / total * np.log(length / total)
    longest = _persistence(bars, 0)
    statistics[0] = count
    statistics[1] = total
    statistics[2] = mean
    statistics[3] = np.sqrt(squares / count)
    statistics[4] = longest
    statistics[5] = max(entropy, 0.0)
    if dimension == 0:
        statistics[6] = (_persistence(bars, (count - 1) // 2) + _persistence(bars, count // 2)) / 2
        statistics[7] = longest - (_persistence(bars, 1) if count > 1 else 0.0)
    else:
        statistics[6] = births / count
        statistics[7] = births / count + mean
