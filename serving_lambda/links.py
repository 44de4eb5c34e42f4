"""Links and calibrators, as plain arithmetic on Python floats."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from math import exp, fsum, log
from typing import Any

_EDGE = 1e-7  # keeps a probability's logit finite


def sigmoid(value: float) -> float:
    """Return 1 / (1 + e^-value) without overflow."""
    if value >= 0:
        return 1.0 / (1.0 + exp(-value))
    power = exp(value)
    return power / (1.0 + power)


def softmax(values: Sequence[float]) -> list[float]:
    """Return e^value over their sum, without overflow."""
    top = max(values)
    powers = [exp(value - top) for value in values]
    total = fsum(powers)  # exact, hence the same in every version of Python
    return [power / total for power in powers]


def calibrate(calibrator: Mapping[str, Any], probability: float) -> float:
    """Map a model's probability to a calibrated one.

    ``platt`` is a logistic function of the logit (``a * logit + b``); ``isotonic`` a piecewise linear function through the
    points (``x``, ``y``), flat outside them.
    """
    kind = calibrator["type"]
    if kind == "platt":
        bounded = min(max(probability, _EDGE), 1.0 - _EDGE)
        return sigmoid(calibrator["a"] * log(bounded / (1.0 - bounded)) + calibrator["b"])
    if kind == "isotonic":
        return interpolate(calibrator["x"], calibrator["y"], probability)
    return probability


def interpolate(x: Sequence[float], y: Sequence[float], at: float) -> float:
    """Return the piecewise linear function through ascending points, flat outside them."""
    right = bisect_right(x, at)
    if right == 0:
        return float(y[0])
    if right == len(x):
        return float(y[-1])
    slope = (y[right] - y[right - 1]) / (x[right] - x[right - 1])
    return float(slope * (at - x[right - 1]) + y[right - 1])
