"""Calibration on validation rows, without a change of the order of predictions.

Of the teacher, by a :class:`Calibration` of its logits: robust and focal losses and early stopping leave logits that rank
well and are miscalibrated. Platt scaling of a binary logit, one temperature for a multiclass task, a line for a regression,
since Huber's loss says less than the mean where the label has a long tail.

Of a student, by a calibrator: a JSON object with a ``type`` (``docs/student-format.md``), which serving applies by a few lines of
arithmetic. Isotonic steps are joined by lines through their centres (Oron and Flournoy 2017, "Centered isotonic regression"),
because a stair would merge customers that the model distinguishes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy.special import expit, log_softmax, logit

from finai_assets.asset_graph import label_asset
from finai_assets.scoring.links import LINK_OF_KIND, Link, apply_link
from finai_resources.errors import GateError

EDGE = 1e-7  # probabilities are clipped here before their logit
NO_CALIBRATOR: dict[str, Any] = {"type": "none"}

Method = Literal["isotonic", "platt", "none"]

# Standard deviation of the normal prior on the log of the slope, centred at slope 1: a handful of positives cannot turn the
# ranking round or flatten it to nothing; from some dozens on it no longer shows.
_LOG_SLOPE_STD = 1.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Calibration of one task: ``sigmoid(slope · logit + offset)``, ``softmax(slope · logits)``, or ``slope · logit + offset``.

    ``rows`` is the number of labelled validation rows that it was fitted on.
    """

    kind: str
    slope: float
    offset: float
    rows: int

    def apply(self, logits: np.ndarray) -> np.ndarray:
        """Turn logits float [n, outputs] into float32 probabilities [n] or [n, classes], or values [n]."""
        values = logits.astype(np.float64) if self.kind == "multiclass" else logits[:, 0].astype(np.float64)
        return apply_link(LINK_OF_KIND[self.kind], self.slope * values + self.offset).astype(np.float32)


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
        classes = truth.astype(np.int64)
        slope = _scale(lambda log_slope: _class_log_loss(np.exp(log_slope) * values, classes), bound=3.0, within=1e-5)
        return Calibration(kind, slope, 0.0, rows)
    slope, offset = _line(values[:, 0], truth) if kind == "regression" else _platt_with_prior(values[:, 0], truth)
    return Calibration(kind, slope, offset, rows)


def fit_calibrator(kind: str, method: Method, raw: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Fit a student's calibrator on held-out rows.

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
        return NO_CALIBRATOR
    if kind == "multiclass":
        classes = label.astype(np.int64)
        temperature = _scale(lambda log: _class_log_loss(raw / np.exp(log), classes), bound=2.0, within=1e-4)
        return {"type": "temperature", "temperature": temperature}
    return _platt(raw, label) if method == "platt" else _isotonic(expit(raw), label)


def apply_calibrator(raw: np.ndarray, link: Link, calibrator: Mapping[str, Any]) -> np.ndarray:
    """Turn a student's raw scores (initial scores included) into calibrated probabilities or values, float64.

    The order is that of serving: temperature, link, then the map of probabilities.
    """
    if calibrator["type"] == "temperature":
        raw = raw / calibrator["temperature"]
    answer = apply_link(link, raw)
    if link != "sigmoid":
        return answer
    if calibrator["type"] == "isotonic":
        return np.interp(answer, calibrator["x"], calibrator["y"])
    if calibrator["type"] == "platt":
        return np.asarray(expit(calibrator["a"] * _bounded_logit(answer) + calibrator["b"]))
    return answer


def _platt_with_prior(score: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Return slope > 0 and offset by maximum a posteriori, with Platt's smoothed targets (1999)."""
    from scipy.optimize import minimize

    ones = label.sum()
    target = np.where(label > 0.5, (ones + 1) / (ones + 2), 1 / (len(label) - ones + 2))

    def cost(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope = np.exp(parameters[0])
        z = slope * score + parameters[1]
        loss = np.logaddexp(0, z).sum() - (target * z).sum() + 0.5 * (parameters[0] / _LOG_SLOPE_STD) ** 2
        residual = expit(z) - target
        gradient = [slope * (residual * score).sum() + parameters[0] / _LOG_SLOPE_STD**2, residual.sum()]
        return float(loss) / len(label), np.array(gradient) / len(label)

    rate = target.mean()
    begin = np.array([0.0, np.log(rate / (1 - rate)) - score.mean()])
    found = minimize(cost, begin, jac=True, method="L-BFGS-B", bounds=[(-6, 6), (-50, 50)], tol=1e-12).x
    return float(np.exp(found[0])), float(found[1])


def _platt(raw: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Fit ``sigmoid(a * logit + b)`` by maximum likelihood with a slope that keeps the order."""
    from scipy.optimize import minimize

    score = _bounded_logit(expit(raw))

    def loss(parameters: np.ndarray) -> float:
        value = parameters[0] * score + parameters[1]
        return float((np.logaddexp(0, value) - label * value).mean())

    start = np.array([1.0, float(logit(label.mean()) - score.mean())])
    found = minimize(loss, start, method="L-BFGS-B", bounds=[(0.01, 100), (-50, 50)])
    return {"type": "platt", "a": float(found.x[0]), "b": float(found.x[1])}


def _bounded_logit(probability: np.ndarray) -> np.ndarray:
    return np.asarray(logit(np.clip(probability, EDGE, 1 - EDGE)))


def _line(value: np.ndarray, label: np.ndarray) -> tuple[float, float]:
    """Return slope > 0 and offset of the least squares, with the same prior on the slope as :func:`_platt_with_prior`."""
    x, y = value - value.mean(), label - label.mean()
    spread = max(float(y.var()), 1e-12)

    def cost(log_slope: float) -> float:
        return float(((y - np.exp(log_slope) * x) ** 2).sum() / spread + (log_slope / _LOG_SLOPE_STD) ** 2)

    slope = _scale(cost, bound=3.0, within=1e-5)
    return slope, float(label.mean() - slope * value.mean())


def _isotonic(probability: np.ndarray, label: np.ndarray) -> dict[str, Any]:
    """Pool adjacent violators, shrink each step by one row at the base rate, and join the steps' centres."""
    from sklearn.isotonic import IsotonicRegression

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


def _scale(cost: Callable[[float], float], *, bound: float, within: float) -> float:
    """Return the positive factor whose logarithm, between ``-bound`` and ``bound``, has the least cost."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(cost, bounds=(-bound, bound), method="bounded", options={"xatol": within})
    return float(np.exp(found.x))


def _class_log_loss(logits: np.ndarray, label: np.ndarray) -> float:
    """Return the mean log-loss of classes int64 [n], which a temperature makes smallest (Guo et al., ICML 2017)."""
    return float(-log_softmax(logits, axis=1)[np.arange(len(label)), label].mean())
