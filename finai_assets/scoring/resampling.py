"""Means over rows with intervals from resampled customers: the cluster bootstrap of ``metrics.py`` for what is no metric."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from finai_assets.settings.method import MetricSettings
from finai_resources.json_text import number


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval; all NaN where it is not defined."""

    value: float
    low: float
    high: float

    def plain(self) -> dict[str, Any]:
        """Return plain values for JSON; None where not defined."""
        return {name: number(getattr(self, name)) for name in ("value", "low", "high")}


class CustomerMeans:
    """Means of several row values, as they are and in each resample of customers.

    Parameters
    ----------
    values : float [n, figures]
        NaN takes no part.
    customer : int64 [n]
    settings : MetricSettings
    seed : int
        The same seed and customers draw the same resamples, so that figures of one set of rows can be combined.
    """

    def __init__(self, values: np.ndarray, customer: np.ndarray, settings: MetricSettings, seed: int) -> None:
        names, unit = np.unique(customer, return_inverse=True)
        known = np.isfinite(values)
        sums = np.zeros((len(names), values.shape[1]))
        counts = np.zeros_like(sums)
        np.add.at(sums, unit, np.where(known, values, 0.0))
        np.add.at(counts, unit, known)
        copies = np.ones((settings.bootstrap_samples + 1, len(names)))
        rng = np.random.default_rng(seed)
        for row in copies[1:]:
            row[:] = np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
        weight = copies @ counts
        self.settings = settings
        self.means = np.divide(copies @ sums, weight, out=np.full(weight.shape, np.nan), where=weight > 0)

    def interval(self, figure: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """Return a figure, a function of the means float [resamples, figures], with its interval."""
        return interval_of(np.asarray(figure(self.means), dtype=np.float64), self.settings)


def interval_of(drawn: np.ndarray, settings: MetricSettings) -> Interval:
    """Return the interval of a figure of all rows and of each resample, float64 [1 + resamples]."""
    known = drawn[1:][np.isfinite(drawn[1:])]
    if not np.isfinite(drawn[0]) or len(known) < len(drawn[1:]) / 2:
        return Interval(float(drawn[0]), float("nan"), float("nan"))
    tail = (1 - settings.confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return Interval(float(drawn[0]), float(low), float(high))


def mean_interval(values: np.ndarray, customer: np.ndarray, settings: MetricSettings, seed: int) -> Interval:
    """Return the mean of row values float [n] with its interval."""
    return CustomerMeans(values[:, None], customer, settings, seed).interval(lambda means: means[:, 0])
