"""Intervals and tests of paired differences: over seeds alone, and over seeds and customers together.

A seed gives both sides of a difference the same rows in the same order, so differences are taken seed by seed. The interval over
seeds (Student's t) holds what another training would change on these test customers; the hierarchical one also what other
customers would change. Neither holds what another panel, or other train customers, would change.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from scipy.optimize import brentq
from scipy.stats import nct, norm, ttest_1samp
from scipy.stats import t as student_t

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Paired:
    """The mean of paired differences, its interval, and the p-value of no difference; NaN where one seed cannot tell."""

    mean: float
    low: float
    high: float
    p: float
    deviation: float


def paired_t(differences: np.ndarray, confidence: float) -> Paired:
    """Judge differences float [seeds] by Student's t.

    Where all are equal the interval has no width, and p is 1 for zeros and 0 for anything else.
    """
    mean = float(np.mean(differences))
    if len(differences) < 2:
        return Paired(mean, math.nan, math.nan, math.nan, math.nan)
    deviation = float(np.std(differences, ddof=1))
    if deviation == 0:
        return Paired(mean, mean, mean, 1.0 if mean == 0 else 0.0, deviation)
    test = ttest_1samp(differences, 0.0)
    low, high = test.confidence_interval(confidence)
    return Paired(mean, float(low), float(high), float(test.pvalue), deviation)


def few_seeds(count: int) -> float:
    """Return by how much resampled seeds are to be spread out.

    Resamples of so few vary too little by ``sqrt((n - 1) / n)``, and their spread is itself uncertain: Student's t against the
    normal, at 95 %.
    """
    return float(np.sqrt(count / (count - 1)) * student_t.ppf(0.975, count - 1) / norm.ppf(0.975))


def hierarchical(paired: np.ndarray) -> np.ndarray:
    """Return the mean difference under resampled customers and seeds.

    Parameters
    ----------
    paired : float64 [..., seeds, resamples]
        Differences of each seed under each resample of the customers, the same resamples for all.

    Returns
    -------
    float64 [..., resamples]
        Each takes one resample of the customers and one of the seeds; the seeds of a draw are the same along the other axes.
    """
    count, draws = paired.shape[-2:]
    centre = paired.mean(axis=-2)
    if count == 1:
        return np.asarray(centre)
    drawn = np.random.default_rng(count).integers(0, count, (count, draws))
    moved = np.take_along_axis(paired, np.broadcast_to(drawn, paired.shape), axis=-2).mean(axis=-2)
    return np.asarray(centre + few_seeds(count) * (moved - centre))


def holm(p: Mapping[Name, float]) -> dict[Name, float]:
    """Return p-values adjusted for their number (Holm: A simple sequentially rejective multiple test procedure, 1979).

    Examples
    --------
    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    adjusted: dict[Name, float] = {}
    least = 0.0
    for rank, (name, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        least = max(least, min(1.0, (len(p) - rank) * value))
        adjusted[name] = least
    return {name: adjusted[name] for name in p}


def detectable(deviation: float, count: int, *, alpha: float, power: float) -> float:
    """Return the smallest true difference that a paired t-test of so many seeds shows with this power; NaN below two seeds.

    Parameters
    ----------
    deviation : float
        Of the paired differences.
    alpha : float
        Two-sided; divide it by the number of comparisons.
    """
    if count < 2 or not math.isfinite(deviation):
        return math.nan
    limit = float(student_t.ppf(1 - alpha / 2, count - 1))

    def missing(shift: float) -> float:
        """Return by how much the power falls short; the other tail is left out, as it is next to nothing there."""
        return power - float(nct.sf(limit, count - 1, shift))

    upper = 1.0
    while missing(upper) > 0:
        upper *= 2
    return float(brentq(missing, 0.0, upper)) * deviation / math.sqrt(count)
