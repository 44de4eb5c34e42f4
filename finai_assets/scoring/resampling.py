"""The cluster bootstrap: customers are drawn with replacement, each with all of its rows, and a figure gets its interval.

One customer has several months, so rows are not independent, and are not drawn by themselves. A resample is a whole number of
copies of each customer; in the first one each is there once, so that a figure's own value stands before its resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finai_assets.settings.method import MetricSettings
from finai_resources.json_text import number

# Copies of customers held at once: 64 MiB of float64.
_COPIES_AT_ONCE = 1 << 23


def draw_copies(customers: int, samples: int, seed: int | Sequence[int]) -> Iterator[np.ndarray]:
    """Yield 1 + ``samples`` rows of copies per customer, float64 [resamples, customers], in chunks that fit into memory.

    The very first row, a chunk of its own, holds each customer once. The same number of customers and seed draw the same
    resamples, so that figures of the same customers can be combined resample by resample.
    """
    rng = np.random.default_rng(seed)
    yield np.ones((1, customers))
    at_once = max(1, _COPIES_AT_ONCE // customers)
    for begin in range(0, samples, at_once):
        size = min(at_once, samples - begin)
        drawn = [np.bincount(rng.integers(0, customers, customers), minlength=customers) for _ in range(size)]
        yield np.asarray(drawn, dtype=np.float64)


def all_copies(customers: int, samples: int, seed: int | Sequence[int]) -> np.ndarray:
    """Return what :func:`draw_copies` yields as one array, float64 [1 + samples, customers]."""
    return np.concatenate(list(draw_copies(customers, samples, seed)))


def percentile_interval(draws: np.ndarray, confidence: float, *, least: float = 0.5) -> tuple[float, float]:
    """Return the ends of the percentile interval of a figure's resamples, float [resamples].

    Parameters
    ----------
    least : float
        Share of the resamples in which the figure must be defined; NaN where it is not, or where it never is. The undefined
        ones take no part.
    """
    known = draws[np.isfinite(draws)]
    if not len(known) or len(known) < least * len(draws):
        return float("nan"), float("nan")
    tail = (1 - confidence) / 2
    low, high = np.quantile(known, [tail, 1 - tail])
    return float(low), float(high)


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its interval; NaN where it is not defined."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray, confidence: float) -> Interval:
        """Return the interval of a figure of all rows and of each resample, float64 [1 + resamples].

        Without the figure itself, or where most resamples lack it, there is no interval: it would stand on too few customers.
        """
        if not np.isfinite(values[0]):
            return cls(float(values[0]), float("nan"), float("nan"))
        return cls(float(values[0]), *percentile_interval(values[1:], confidence))

    def plain(self) -> dict[str, Any]:
        """Return plain values for JSON; None where not defined."""
        return {name: number(getattr(self, name)) for name in ("value", "low", "high")}


class CustomerMeans:
    """Means of several row values, on all rows and on each resample of customers.

    Parameters
    ----------
    values : float [n, figures]
        NaN takes no part.
    customer : int64 [n]
    settings : MetricSettings
    seed : int
    """

    def __init__(self, values: np.ndarray, customer: np.ndarray, settings: MetricSettings, seed: int) -> None:
        names, unit = np.unique(customer, return_inverse=True)
        known = np.isfinite(values)
        sums = np.zeros((len(names), values.shape[1]))
        counts = np.zeros_like(sums)
        np.add.at(sums, unit, np.where(known, values, 0.0))
        np.add.at(counts, unit, known)
        copies = all_copies(len(names), settings.bootstrap_samples, seed)
        weight = copies @ counts
        self.settings = settings
        self.means = np.divide(copies @ sums, weight, out=np.full(weight.shape, np.nan), where=weight > 0)

    def interval(self, figure: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """Return a figure, a function of the means float [resamples, figures], with its interval."""
        return Interval.of(np.asarray(figure(self.means), dtype=np.float64), self.settings.confidence)


def mean_interval(values: np.ndarray, customer: np.ndarray, settings: MetricSettings, seed: int) -> Interval:
    """Return the mean of row values float [n] with its interval."""
    return CustomerMeans(values[:, None], customer, settings, seed).interval(lambda means: means[:, 0])
