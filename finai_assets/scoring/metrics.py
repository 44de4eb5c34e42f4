"""Metrics of a prediction, each with an interval from resampled customers; every published figure comes from here.

Customers are resampled, not rows (``resampling.py``), so every metric here takes copies of customers as weights, and the point
estimate is the one where each customer counts once. Rows whose label is NaN are masked: no metric reads them.

Sums over rows are first added up per customer and then multiplied with the matrix of copies; metrics that depend on order
(AUC, average precision, Spearman) sort once and walk the sorted rows per resample in compiled code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import sparse

from finai_assets.scoring.rank_kernels import auc, average_precision, midranks_correlation
from finai_assets.scoring.resampling import Interval, draw_copies
from finai_assets.settings.method import MetricSettings
from finai_resources.errors import GateError

Kind = Literal["binary", "multiclass", "regression"]

NAMES: dict[str, tuple[str, ...]] = {
    "binary": ("auc", "average_precision", "log_loss", "brier", "prevalence"),
    "multiclass": ("log_loss", "macro_f1", "accuracy", "auc_ovr"),
    "regression": ("r2", "mae", "rmse", "spearman"),
}
PRIMARY: dict[str, str] = {"binary": "auc", "multiclass": "log_loss", "regression": "r2"}
LOWER_IS_BETTER = frozenset({"log_loss", "brier", "mae", "rmse"})

# Probabilities are clipped here before their logarithm: float32 cannot distinguish 1 - 1e-8 from 1.
PROBABILITY_FLOOR = 1e-7

Scorer = Callable[[np.ndarray], np.ndarray]  # weights [resamples, customers] -> metric [resamples]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric with its interval.

    Parameters
    ----------
    value, low, high : float
        NaN where the metric is not defined on these rows (``note`` then says why).
    n : int
        Rows with a label.
    note : str
        Empty where all is well.
    """

    value: float
    low: float
    high: float
    n: int
    note: str = ""

    @property
    def defined(self) -> bool:
        """Whether the metric has a value."""
        return self.value == self.value


def evaluate(
    kind: str,
    label: np.ndarray,
    prediction: np.ndarray,
    customer: np.ndarray,
    *,
    classes: int = 1,
    settings: MetricSettings,
    seed: int,
) -> dict[str, Estimate]:
    """Compute every metric of a kind of task.

    Parameters
    ----------
    kind
        ``binary``, ``multiclass`` or ``regression``.
    label : float [n]
        0/1, class index, or value; NaN where masked.
    prediction : float [n] or [n, classes]
        Probability, value, or class probabilities.
    customer : int64 [n]
        The unit that is resampled.
    classes
        Number of classes of a multiclass task.

    Raises
    ------
    GateError
        Shapes disagree, a prediction is not finite, a label is no class, or class probabilities do not add up to one.
    """
    rows = _Rows.of(kind, label, prediction, customer, classes)
    return {name: rows.estimate([rows], name, settings, seed) for name in NAMES[kind]}


def paired_difference(  # noqa: PLR0913 # the arguments of `evaluate`, with two predictions
    kind: str,
    label: np.ndarray,
    prediction_a: np.ndarray,
    prediction_b: np.ndarray,
    customer: np.ndarray,
    *,
    classes: int = 1,
    settings: MetricSettings,
    seed: int,
    metric: str | None = None,
) -> Estimate:
    """Return the difference a - b of a metric (the primary one by default) of two predictions of the same rows.

    Both are scored on the same resamples, so what they share cancels. Of a metric in :data:`LOWER_IS_BETTER` a negative
    difference favours ``a``; :func:`verdict` reads either.
    """
    first = _Rows.of(kind, label, prediction_a, customer, classes)
    second = _Rows.of(kind, label, prediction_b, customer, classes)
    return first.estimate([first, second], metric or PRIMARY[kind], settings, seed)


def resampled(  # noqa: PLR0913 # the arguments of `evaluate`, and who is drawn
    kind: str,
    label: np.ndarray,
    prediction: np.ndarray,
    customer: np.ndarray,
    *,
    among: np.ndarray,
    classes: int = 1,
    settings: MetricSettings,
    seed: int,
    metric: str | None = None,
) -> np.ndarray:
    """Return a metric (the primary one by default) on all rows and on each resample of customers.

    Calls with the same ``among`` and seed see the same resamples, whatever their rows: so figures of several tasks can be
    combined resample by resample.

    Parameters
    ----------
    among : int64 [customers]
        Every customer that is drawn, ascending, those without a labelled row of this task included.

    Returns
    -------
    float64 [1 + resamples]
        First the value on all rows; NaN where it is not defined.
    """
    score = _score_among(kind, label, prediction, customer, among, classes, metric)
    return np.concatenate([score(copies) for copies in draw_copies(len(among), settings.bootstrap_samples, seed)])


def scores_under(
    kind: str,
    label: np.ndarray,
    prediction: np.ndarray,
    customer: np.ndarray,
    copies: np.ndarray,
    *,
    classes: int = 1,
    metric: str | None = None,
) -> np.ndarray:
    """Return a metric (the primary one by default) under given resamples, float64 [resamples]; NaN where undefined.

    Parameters
    ----------
    customer : int64 [n]
        Of every row, masked or not.
    copies : float64 [resamples, customers]
        Of the customers in ascending order, from :func:`finai_assets.scoring.resampling.all_copies`.
    """
    return _score_among(kind, label, prediction, customer, np.unique(customer), classes, metric)(copies)


def _score_among(  # what `resampled` and `scores_under` take
    kind: str,
    label: np.ndarray,
    prediction: np.ndarray,
    customer: np.ndarray,
    among: np.ndarray,
    classes: int,
    metric: str | None,
) -> Scorer:
    """Return a metric as a function of copies of all customers that are drawn, ``among``."""
    rows = _Rows.of(kind, label, prediction, customer, classes)
    if rows.without_contrast:
        return lambda copies: np.full(len(copies), np.nan)
    at = np.searchsorted(among, np.unique(np.asarray(customer)[np.isfinite(label)]))
    score = rows.scorer(metric or PRIMARY[kind])
    return lambda copies: score(np.ascontiguousarray(copies[:, at]))


def verdict(difference: Estimate, metric: str) -> Literal["better", "worse", "unclear"]:
    """Return whether ``a`` is better or worse by a difference a - b; unclear if its interval includes zero or does not exist."""
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    low, high = sorted((sign * difference.low, sign * difference.high))
    if low > 0:
        return "better"
    return "worse" if high < 0 else "unclear"


def expected_calibration_error(label: np.ndarray, probability: np.ndarray, *, bins: int = 10) -> float:
    """Return the mean gap between predicted and observed frequency over equally filled bins, weighted by rows.

    Rows with one probability share a bin, so a constant prediction has a single bin. NaN without labelled rows.
    """
    known = np.isfinite(label)
    if not known.any():
        return float("nan")
    y, p = label[known].astype(np.float64), probability[known].astype(np.float64)
    edges = np.unique(np.quantile(p, np.linspace(0, 1, bins + 1)[1:-1]))
    position = np.searchsorted(edges, p, side="right")
    count = np.bincount(position, minlength=bins)
    gap = np.abs(np.bincount(position, p, minlength=bins) - np.bincount(position, y, minlength=bins))
    return float(gap.sum() / count.sum())


@dataclass(frozen=True)
class _Rows:
    """Labelled rows, ready to be scored under weights. Rows stay in their order; ``unit`` numbers the customers."""

    kind: str
    y: np.ndarray
    p: np.ndarray
    unit: np.ndarray
    units: int
    classes: int

    @classmethod
    def of(cls, kind: str, label: np.ndarray, prediction: np.ndarray, customer: np.ndarray, classes: int) -> _Rows:
        y, p = np.asarray(label, dtype=np.float64), np.asarray(prediction)
        expected = (len(y), classes) if kind == "multiclass" else (len(y),)
        if p.shape != expected or len(customer) != len(y):
            raise GateError(
                f"{len(y)} labels, {len(customer)} customers and predictions of shape {p.shape} do not belong together",
                where=f"metrics of a {kind} task",
                fix=f"pass predictions of shape {expected}",
            )
        known = np.isfinite(y)
        y, p = y[known], p[known].astype(np.float64)
        if not np.isfinite(p).all():
            raise GateError(
                f"{int((~np.isfinite(p)).sum())} predictions are not finite",
                where=f"metrics of a {kind} task",
                fix="look for NaN in the model's inputs and for a diverged training",
            )
        _check_range(kind, y, p, classes)
        names, unit = np.unique(np.asarray(customer)[known], return_inverse=True)
        return cls(kind, y, p, unit.astype(np.int64), len(names), classes)

    def estimate(self, sides: list[_Rows], name: str, settings: MetricSettings, seed: int) -> Estimate:
        """Score one side, or the first less the second, on the same resamples."""
        n = len(self.y)
        if n == 0:
            return _undefined(0, "no labelled rows")
        if name != "prevalence" and self.without_contrast:
            return _undefined(n, self.why_undefined(name))
        scorers = [side.scorer(name) for side in sides]
        drawn = [[scorer(w) for scorer in scorers] for w in draw_copies(self.units, settings.bootstrap_samples, seed)]
        values = [np.concatenate([chunk[i] for chunk in drawn]) for i in range(len(scorers))]
        found = Interval.of(values[0] - values[1] if len(values) == 2 else values[0], settings.confidence)
        if not np.isfinite(found.value):
            return _undefined(n, self.why_undefined(name))
        note = "" if np.isfinite(found.low) else "too few customers of one class for an interval"
        return Estimate(found.value, found.low, found.high, n, note)

    @property
    def without_contrast(self) -> bool:
        """Whether no metric can measure skill here: no row has a label, or all have the same class."""
        return not len(self.y) or (self.kind != "regression" and bool(np.ptp(self.y) == 0))

    def why_undefined(self, name: str) -> str:
        """Return the reason why a metric has no value on these rows."""
        if self.kind == "regression":
            constant = "the label" if np.ptp(self.y) == 0 else "the prediction"
            return f"{name} is not defined: {constant} is constant"
        if self.kind == "binary":
            return f"{name} is not defined: {int(self.y.sum())} positives among {len(self.y)} rows"
        return f"{name} is not defined: {len(np.unique(self.y))} class among {len(self.y)} rows"

    def scorer(self, name: str) -> Scorer:
        """Return the metric as a function of weights."""
        special: dict[str, Callable[[], Scorer]] = {
            "auc": lambda: self._ordered(auc, self.y == 1, self.p),
            "average_precision": lambda: self._ordered(average_precision, self.y == 1, -self.p),
            "auc_ovr": lambda: self._auc_ovr,
            "spearman": lambda: self._spearman,
            "macro_f1": self._macro_f1,
            "r2": self._r2,
        }
        return special[name]() if name in special else self._mean(name)

    def _mean(self, name: str) -> Scorer:
        """Return the scorer of a metric that is a mean of row values."""
        if name == "log_loss":
            hit = (
                self.p[np.arange(len(self.y)), self.y.astype(np.int64)]
                if self.kind == "multiclass"
                else np.where(self.y == 1, self.p, 1 - self.p)
            )
            each = -np.log(np.clip(hit, PROBABILITY_FLOOR, 1))
        elif name == "accuracy":
            each = (self.p.argmax(axis=1) == self.y).astype(np.float64)
        elif name == "prevalence":
            each = self.y
        elif name == "mae":
            each = np.abs(self.y - self.p)
        else:  # brier, rmse
            each = (self.y - self.p) ** 2
        sums = self._per_unit(each, np.ones_like(each))

        def score(weights: np.ndarray) -> np.ndarray:
            total = weights @ sums
            mean = _ratio(total[:, 0], total[:, 1])
            return np.sqrt(mean) if name == "rmse" else mean

        return score

    def _r2(self) -> Scorer:
        centred = self.y - self.y.mean()  # against cancellation in the variance
        sums = self._per_unit(np.ones_like(centred), centred, centred**2, (self.y - self.p) ** 2)

        def score(weights: np.ndarray) -> np.ndarray:
            count, first, second, residual = (weights @ sums).T
            spread = second - _ratio(first**2, count)
            spread[spread <= 1e-12 * np.maximum(second, 1e-300)] = 0
            return 1 - _ratio(residual, spread)

        return score

    def _macro_f1(self) -> Scorer:
        """F1 per class, averaged over the classes that occur among labels or predictions of the resample."""
        predicted, true = self.p.argmax(axis=1), self.y.astype(np.int64)
        hit = predicted == true
        one = np.ones(len(true))
        shape = (self.units, self.classes)
        truth = sparse.csr_array((one, (self.unit, true)), shape=shape)
        guess = sparse.csr_array((one, (self.unit, predicted)), shape=shape)
        both = sparse.csr_array((one[hit], (self.unit[hit], true[hit])), shape=shape)

        def score(weights: np.ndarray) -> np.ndarray:
            size = weights @ truth + weights @ guess
            f1 = 2 * (weights @ both) / np.maximum(size, 1)
            return _ratio(f1.sum(axis=1), (size > 0).sum(axis=1).astype(np.float64))

        return score

    def _auc_ovr(self, weights: np.ndarray) -> np.ndarray:
        total, count = np.zeros(len(weights)), np.zeros(len(weights))
        for index in np.unique(self.y).astype(np.int64):
            one = self._ordered(auc, self.y == index, self.p[:, index])(weights)
            defined = np.isfinite(one)
            total[defined] += one[defined]
            count += defined
        return _ratio(total, count)

    def _spearman(self, weights: np.ndarray) -> np.ndarray:
        return midranks_correlation(weights, self.unit, _Order.of(self.y).parts, _Order.of(self.p).parts)

    def _ordered(self, kernel: Callable[..., np.ndarray], positive: np.ndarray, score: np.ndarray) -> Scorer:
        order, last = _Order.of(score).parts
        mark, unit = positive[order], self.unit[order]
        return lambda weights: kernel(weights, unit, mark, last[order])

    def _per_unit(self, *columns: np.ndarray) -> np.ndarray:
        """Add up row values per customer: [customers, columns]."""
        return np.column_stack([np.bincount(self.unit, column, minlength=self.units) for column in columns])


@dataclass(frozen=True)
class _Order:
    """An ascending order of rows, and which rows are the last of their tie."""

    parts: tuple[np.ndarray, np.ndarray]

    @classmethod
    def of(cls, values: np.ndarray) -> _Order:
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        last = np.empty(len(values), dtype=np.bool_)
        last[order] = np.append(ranked[1:] != ranked[:-1], True)
        return cls((order, last))


def _check_range(kind: str, y: np.ndarray, p: np.ndarray, classes: int) -> None:
    where = f"metrics of a {kind} task"
    if kind == "regression" or not len(y):
        return
    allowed = 2 if kind == "binary" else classes
    if ((y != np.floor(y)) | (y < 0) | (y >= allowed)).any():
        raise GateError(
            f"a label lies outside 0..{allowed - 1}", where=where, fix="derive the labels and the matrix again"
        )
    if p.min() < 0 or p.max() > 1 + 1e-6:
        raise GateError(
            f"predictions span {p.min():.4g}..{p.max():.4g}", where=where, fix="pass probabilities, not scores"
        )
    if kind == "multiclass" and (gap := np.abs(p.sum(axis=1) - 1).max()) > 1e-3:
        raise GateError(
            f"class probabilities miss 1 by up to {gap:.4g}", where=where, fix="normalise over the classes (softmax)"
        )


def _ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    return np.divide(top, bottom, out=np.full(len(top), np.nan), where=bottom > 0)


def _undefined(n: int, note: str) -> Estimate:
    return Estimate(float("nan"), float("nan"), float("nan"), n, note)
