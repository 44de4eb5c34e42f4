"""The expected calibration error of a model's probabilities, with an interval from resampled customers."""

from __future__ import annotations

import numpy as np

from finai_assets.scoring.metrics import Estimate
from finai_assets.scoring.resampling import CustomerMeans, Interval
from finai_assets.settings.method import MetricSettings

BINS = 10


def calibration_error(
    label: np.ndarray, prediction: np.ndarray, customer: np.ndarray, *, settings: MetricSettings, seed: int
) -> Estimate:
    """Return the mean gap between predicted and observed frequency over equally filled bins, weighted by rows.

    The value is that of :func:`finai_assets.scoring.metrics.expected_calibration_error`, with the bins of all rows in every
    resample. A resample adds its own noise to each gap, which can only widen it on average: that shift, from the value to the
    median of the resamples, is taken off the interval, which ends at zero.

    Parameters
    ----------
    label : float [n]
        0/1, or a class index; NaN where masked.
    prediction : float [n] or [n, classes]
        Of several classes the likeliest one's probability is compared with how often it is right (Guo et al., ICML 2017).
    customer : int64 [n]
        The unit that is resampled.

    Returns
    -------
    Estimate
        Undefined, with a note, where no row has a label.
    """
    known = np.isfinite(label)
    if not known.any():
        nothing = float("nan")
        return Estimate(nothing, nothing, nothing, 0, "no labelled rows")
    y, p = _as_events(label, prediction, known)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, BINS + 1)[1:-1]))
    in_bin = np.eye(BINS)[np.searchsorted(edges, p, side="right")]
    gaps = CustomerMeans(in_bin * (p - y)[:, None], customer[known], settings, seed).means
    value, *drawn = np.abs(gaps).sum(axis=1)
    centred = np.maximum(np.array(drawn) - (np.median(drawn) - value), 0.0)
    found = Interval.of(np.append(value, centred), settings.confidence)
    return Estimate(found.value, found.low, found.high, len(y))


def positives(label: np.ndarray, prediction: np.ndarray) -> tuple[float, int]:
    """Return how many labelled rows a model expects to come true, and how many did; of several classes, to be named rightly.

    Parameters
    ----------
    label : float [n]
        0/1, or a class index; NaN where masked.
    prediction : float [n] or [n, classes]
    """
    y, p = _as_events(label, prediction, np.isfinite(label))
    return float(p.sum()), int(y.sum())


def _as_events(label: np.ndarray, prediction: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return whether the likeliest thing came true, and its probability, of the labelled rows, float64 each."""
    y, p = np.asarray(label[known], dtype=np.float64), np.asarray(prediction[known], dtype=np.float64)
    return ((p.argmax(axis=1) == y).astype(np.float64), p.max(axis=1)) if p.ndim == 2 else (y, p)
