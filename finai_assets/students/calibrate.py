"""Calibration of a student's probabilities on validation, stored as plain numbers and applied by a few lines of arithmetic.

A calibrator is a JSON object with a ``type`` (``docs/student-format.md``). All kinds keep the order of predictions: isotonic
steps are joined by lines through their centres (Oron and Flournoy 2017, "Centered isotonic regression"), because a stair would
merge customers that the model tells apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax
from sklearn.isotonic import IsotonicRegression

EDGE = 1e-7  # probabilities are clipped here before their logit
NONE: dict[str, Any] = {"type": "none"}

Method = Literal["isotonic", "platt", "none"]
Transform = Literal["sigmoid", "softmax", "identity"]


def fit_calibrator(kind: str, method: Method, raw: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Fit a calibrator on held-out rows.

    Parameters
    ----------
    kind
        ``binary``: isotonic or Platt, as asked. ``multiclass``: one temperature. ``regression``: none.
    raw : float [n] or [n, K]
        Raw scores, before the sigmoid or softmax.
    label : float [n]
        Class index; without two classes there is nothing to calibrate on and the result is ``none``.
    """
    if kind == "regression" or method == "none" or not len(label) or np.ptp(label) == 0:
        return NONE
    if kind == "multiclass":
        return _temperature(raw, label.astype(np.int64))
    return _platt(raw, label) if method == "platt" else _isotonic(expit(raw), label)


def finish(raw: np.ndarray, transform: Transform, calibrator: Mapping[str, Any]) -> np.ndarray:
    """Turn raw scores (initial scores included) into calibrated probabilities or values, float64.

    The order is that of serving: temperature, transform, then the map of probabilities.
    """
    if calibrator["type"] == "temperature":
        raw = raw / calibrator["temperature"]
    if transform == "softmax":
        return softmax(raw, axis=1)
    if transform == "identity":
        return raw
    probability = expit(raw)
    if calibrator["type"] == "isotonic":
        return np.interp(probability, calibrator["x"], calibrator["y"])
    if calibrator["type"] == "platt":
        bounded = np.clip(probability, EDGE, 1 - EDGE)
        return expit(calibrator["a"] * logit(bounded) + calibrator["b"])
    return probability


def _isotonic(probability: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Pool adjacent violators, shrink each step by one row at the base rate, and join the steps' centres."""
    order = np.argsort(probability, kind="stable")
    p, y = probability[order], label[order]
    stair = IsotonicRegression(out_of_bounds="clip").fit_transform(p, y)
    begin = np.flatnonzero(np.append(True, stair[1:] != stair[:-1]))
    size = np.diff(np.append(begin, len(p)))
    centre = np.add.reduceat(p, begin) / size
    # A step without a positive is not a promise of zero: one row of the base rate keeps the logarithm finite.
    shrunk = (np.add.reduceat(y, begin) + y.mean()) / (size + 1)
    level = IsotonicRegression().fit_transform(centre, shrunk, sample_weight=size + 1)
    # Probability 0 stays 0 and 1 stays 1, so that the order is kept beyond the outermost steps too.
    x, level = np.concatenate([[0.0], centre, [1.0]]), np.concatenate([[0.0], level, [1.0]])
    kept = np.append(True, np.diff(x) > 0)
    return {"type": "isotonic", "x": x[kept].tolist(), "y": level[kept].tolist()}


def _platt(raw: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Fit ``sigmoid(a * logit + b)`` by maximum likelihood with a slope that keeps the order."""
    score = logit(np.clip(expit(raw), EDGE, 1 - EDGE))

    def loss(parameters: np.ndarray) -> float:
        value = parameters[0] * score + parameters[1]
        return float((np.logaddexp(0, value) - label * value).mean())

    start = np.array([1.0, float(logit(label.mean()) - score.mean())])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(0.01, 100), (-50, 50)])
    return {"type": "platt", "a": float(found.x[0]), "b": float(found.x[1])}


def _temperature(raw: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Fit one temperature by maximum likelihood (Guo et al., ICML 2017)."""
    rows = np.arange(len(label))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(raw / np.exp(log_temperature), axis=1)[rows, label].mean())

    found = minimize_scalar(loss, bounds=(-2.0, 2.0), method="bounded", options={"xatol": 1e-4})
    return {"type": "temperature", "temperature": float(np.exp(found.x))}
