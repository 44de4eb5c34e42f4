"""Logits to predictions. Robust and focal losses and early stopping leave logits that rank well and say the wrong number.

Fitted on validation rows: Platt scaling of a binary logit, one temperature for a multiclass task, a line for a regression, since
Huber's loss says less than the mean where the label has a long tail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, softmax

from finai_assets.asset_graph import label_asset
from finai_resources.errors import GateError

# Standard deviation of the normal prior on the log of the slope, centred at slope 1: a handful of positives cannot turn the
# ranking round or flatten it to nothing; from some dozens on it no longer shows.
_LOG_SLOPE_STD = 1.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Of one task: ``sigmoid(slope · logit + offset)``, ``softmax(slope · logits)``, or ``slope · logit + offset``.

    ``rows`` is the number of labelled validation rows that it was fitted on.
    """

    kind: str
    slope: float
    offset: float
    rows: int

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits float [n, outputs] into float32 probabilities [n] or [n, classes], or values [n]."""
        values = logits.astype(np.float64)
        if self.kind == "binary":
            return expit(self.slope * values[:, 0] + self.offset).astype(np.float32)
        if self.kind == "multiclass":
            return softmax(self.slope * values, axis=1).astype(np.float32)
        return (self.slope * values[:, 0] + self.offset).astype(np.float32)


def fit_calibration(task: str, kind: str, logits: np.ndarray, label: np.ndarray) -> Calibration:
    """Fit on validation rows.

    Parameters
    ----------
    logits : float [n, outputs]
    label : float [n]
        NaN where masked.

    Raises
    ------
    GateError
        No row is labelled, though the task needs probabilities; a regression stays as it is then.
    """
    known = np.isfinite(label)
    rows = int(known.sum())
    if kind == "regression" and not rows:
        return Calibration(kind, 1.0, 0.0, rows)
    if not rows:
        raise GateError(
            f"task {task!r} has no validation labels to calibrate on",
            where=label_asset(task),
            fix="widen splits.validation, or declare the task in dataset.unavailable_tasks with the reason",
        )
    values, truth = logits[known].astype(np.float64), label[known].astype(np.float64)
    if kind == "multiclass":
        return Calibration(kind, _temperature(values, truth.astype(np.int64)), 0.0, rows)
    slope, offset = _line(values[:, 0], truth) if kind == "regression" else _platt(values[:, 0], truth)
    return Calibration(kind, slope, offset, rows)


def _platt(logit: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Return slope > 0 and offset by maximum a posteriori, with Platt's smoothed targets (1999)."""
    ones = label.sum()
    target = np.where(label > 0.5, (ones + 1) / (ones + 2), 1 / (len(label) - ones + 2))

    def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(parameters[0])
        z = slope * logit + parameters[1]
        loss = np.logaddexp(0, z).sum() - (target * z).sum() + 0.5 * (parameters[0] / _LOG_SLOPE_STD) ** 2
        residual = expit(z) - target
        gradient = [slope * (residual * logit).sum() + parameters[0] / _LOG_SLOPE_STD**2, residual.sum()]
        return float(loss) / len(label), np.array(gradient) / len(label)

    rate = target.mean()
    begin = np.array([0.0, np.log(rate / (1 - rate)) - logit.mean()])
    found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=[(-6, 6), (-50, 50)], tol=1e-12).x
    return float(np.exp(found[0])), float(found[1])


def _line(value: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Return slope > 0 and offset of the least squares, with the same prior on the slope as :func:`_platt`."""
    x, y = value - value.mean(), label - label.mean()
    spread = max(float(y.var()), 1e-12)

    def cost(log_slope: float) -> float:
        return float(((y - np.exp(log_slope) * x) ** 2).sum() / spread + (log_slope / _LOG_SLOPE_STD) ** 2)

    slope = float(np.exp(minimize_scalar(cost, bounds=(-3, 3), method="bounded", options={"xatol": 1e-5}).x))
    return slope, float(label.mean() - slope * value.mean())


def _temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """Return the inverse temperature that minimises the log-loss (Guo et al., ICML 2017)."""
    rows = np.arange(len(label))

    def cost(log_slope: float) -> float:
        return float(-log_softmax(np.exp(log_slope) * logits, axis=1)[rows, label].mean())

    return float(np.exp(minimize_scalar(cost, bounds=(-3, 3), method="bounded", options={"xatol": 1e-5}).x))
