"""The figures of fidelity: how far a student's predictions agree with its teacher's, each with an interval.

The student is taken as it is deployed. Measures that compare two predictions are taken on every row, measures that need a label
on the labelled ones. Divergences are in nats, per row, then averaged. Customers are resampled, not rows.

Some measures are passed by whoever says nothing: a constant is close to the teacher of a rare event. So there are measures that a
constant, a shuffled copy and a copy of another task fail: ``kl_share``, ``explained_variance``, ``pair_order``,
``decile_overlap``.

A teacher that was trained with another seed orders customers whom it hardly distinguishes in another way. So measures of place
and order judge those customers alone whom the teacher tells apart (:attr:`Compared.apart`): who is not told apart from a border
(operating threshold, quartile, decile) is no miss, and a pair that is not told apart is not judged. What ends in ``_exact``
counts them too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import entr, logit, rel_entr

from finai_assets.scoring.metrics import PROBABILITY_FLOOR, evaluate, expected_calibration_error
from finai_assets.scoring.rank_kernels import midranks_correlation, pair_order, top_overlap
from finai_assets.scoring.resampling import CustomerMeans, Interval, all_copies
from finai_assets.settings.method import MetricSettings

Decile = Literal["highest", "lowest"]

# Bins of a regression's predictions: equally likely under the Gaussian of the teacher's.
_BINS = 20
_TENTH = 0.1
# A teacher's probability of 1e-6 and of 1e-9 mean the same to everybody who decides; a logit is clipped here.
LOGIT_EDGE = 1e-6
_POINT = MetricSettings(bootstrap_samples=1, confidence=0.95)


@dataclass(frozen=True)
class Compared:
    """The predictions of a teacher and of its student for the same rows.

    Parameters
    ----------
    kind : str
        ``binary``, ``multiclass`` or ``regression``.
    teacher, student : float64 [n] or [n, K]
        Probabilities, or values of a regression.
    label : float64 [n]
        NaN where masked.
    customer : int64 [n]
        The unit that is resampled.
    threshold : float or None
        Operating threshold of a binary task, on the deployed probability.
    decile : str
        Which tenth of the customers a decision is about.
    noise : float
        Standard deviation of the teacher's output (:func:`output_of`) between trainings of another seed; 0 where it was not
        measured.
    """

    kind: str
    teacher: np.ndarray
    student: np.ndarray
    label: np.ndarray
    customer: np.ndarray
    threshold: float | None = None
    decile: Decile = "highest"
    noise: float = 0.0

    @property
    def apart(self) -> float:
        """Return how far two outputs must be apart to be told apart: as far as another seed moves a difference, on average."""
        return float(np.sqrt(2) * self.noise)


def output_of(kind: str, prediction: np.ndarray) -> np.ndarray:
    """Return predictions on the scale on which a copy is fitted and compared, float64 of the same shape.

    The logit of a probability, the value of a regression; class probabilities stay probabilities.
    """
    values = np.asarray(prediction, dtype=np.float64)
    return np.asarray(logit(np.clip(values, LOGIT_EDGE, 1 - LOGIT_EDGE))) if kind == "binary" else values


def figures_of(compared: Compared, settings: MetricSettings, seed: int) -> dict[str, Interval]:
    """Return every figure of the kind of task, NaN where it is not defined, with its interval where it has one."""
    if not len(compared.teacher):
        return {}
    draws = _Draws(compared, settings, seed)
    figures = {"binary": _binary, "multiclass": _multiclass, "regression": _regression}[compared.kind](compared, draws)
    return {"explained_variance": draws.explained_variance(), **figures}


class _Draws:
    """The resamples of customers that all figures of one comparison share."""

    def __init__(self, compared: Compared, settings: MetricSettings, seed: int) -> None:
        self.compared, self.settings, self.seed = compared, settings, seed
        names, unit = np.unique(compared.customer, return_inverse=True)
        self.unit = np.ascontiguousarray(unit, dtype=np.int64)
        self.copies = all_copies(len(names), settings.bootstrap_samples, seed)

    def interval(self, values: np.ndarray) -> Interval:
        return Interval.of(values, self.settings.confidence)

    def means(self, *values: np.ndarray) -> CustomerMeans:
        return CustomerMeans(np.column_stack(values), self.compared.customer, self.settings, self.seed)

    def mean(self, values: np.ndarray) -> Interval:
        return self.means(values).interval(lambda means: means[:, 0])

    def ratio(self, over: np.ndarray, under: np.ndarray, figure: Callable[[np.ndarray], np.ndarray]) -> Interval:
        """Return ``figure`` of the ratio of two means; NaN where the second one is zero."""

        def divided(means: np.ndarray) -> np.ndarray:
            zero = means[:, 1] <= 0
            return figure(np.divide(means[:, 0], means[:, 1], out=np.full(len(means), np.nan), where=~zero))

        return self.means(over, under).interval(divided)

    def explained_variance(self) -> Interval:
        """Return the share of the variance of the teacher's output that the student's output explains."""
        t, s = (
            output_of(self.compared.kind, p).reshape(len(p), -1) for p in (self.compared.teacher, self.compared.student)
        )
        missed, spread = ((t - s) ** 2).sum(axis=1), ((t - t.mean(axis=0)) ** 2).sum(axis=1)
        return self.ratio(missed, spread, lambda share: 1 - share)

    def binned_divergence(self, t: np.ndarray, s: np.ndarray) -> Interval:
        """Return the KL of both distributions of predictions, over bins that are equally likely under the teacher's Gaussian."""
        from scipy.stats import norm

        if len(t) < 2 or t.std() == 0:
            return _bare(float("nan"))
        edges = norm.ppf(np.arange(1, _BINS) / _BINS, loc=t.mean(), scale=t.std())
        shares = []
        for values in (t, s):
            counts = np.zeros((self.copies.shape[1], _BINS))
            np.add.at(counts, (self.unit, np.searchsorted(edges, values)), 1.0)
            drawn = self.copies @ counts + 0.5
            shares.append(drawn / drawn.sum(axis=1, keepdims=True))
        return self.interval(rel_entr(*shares).sum(axis=1))

    def rank_correlation(self, t: np.ndarray, s: np.ndarray) -> Interval:
        first, second = (_ascending(values) for values in (t, s))
        return self.interval(midranks_correlation(self.copies, self.unit, first, second))

    def pair_order(self, t: np.ndarray, s: np.ndarray, gap: float) -> Interval:
        from scipy.stats import rankdata

        order = np.argsort(t, kind="stable")
        place = rankdata(s, method="dense").astype(np.int64) - 1
        return self.interval(pair_order(self.copies, self.unit[order], t[order], place[order], gap))

    def decile_overlap(self, t: np.ndarray, s: np.ndarray, tolerance: float) -> Interval:
        """Ties of the student are broken against it, so that a constant finds nobody."""
        first = np.argsort(-t, kind="stable")
        second = np.lexsort((t, -s))
        return self.interval(top_overlap(self.copies, self.unit, t, first, second, _TENTH, tolerance))


def _binary(compared: Compared, draws: _Draws) -> dict[str, Interval]:
    t, s, label = compared.teacher, compared.student, compared.label
    pair_t, pair_s = np.column_stack([1 - t, t]), np.column_stack([1 - s, s])
    known = np.isfinite(label)
    mine, theirs = (_metrics("binary", label[known], p[known], 1) for p in (s, t))
    return {
        **_divergences(pair_t, pair_s, draws),
        **_agreement(compared, draws),
        **_order(output_of("binary", t), output_of("binary", s), compared, draws),
        "auc_gap": _bare(abs(theirs["auc"] - mine["auc"])),
        "calibration_gap": _bare(abs(expected_calibration_error(label, t) - expected_calibration_error(label, s))),
    }


def _multiclass(compared: Compared, draws: _Draws) -> dict[str, Interval]:
    t, s, label = compared.teacher, compared.student, compared.label
    known = np.isfinite(label)
    mine, theirs = (_metrics("multiclass", label[known], p[known], t.shape[1]) for p in (s, t))
    return {
        **_divergences(t, s, draws),
        "agreement": draws.mean((t.argmax(axis=1) == s.argmax(axis=1)).astype(np.float64)),
        "macro_f1_gap": _bare(abs(theirs["macro_f1"] - mine["macro_f1"])),
    }


def _regression(compared: Compared, draws: _Draws) -> dict[str, Interval]:
    t, s, label = compared.teacher, compared.student, compared.label
    known = np.isfinite(label)
    y = label[known]
    spread = y.std() if len(y) else 0.0
    gap = {"mae_gap": float("nan"), "rmse_gap": float("nan")}
    if spread > 0:
        mine, theirs = (_metrics("regression", y, p[known], 1) for p in (s, t))
        gap = {f"{name}_gap": abs(theirs[name] - mine[name]) / spread for name in ("mae", "rmse")}
    return {
        "kl": draws.binned_divergence(t, s),
        **_order(t, s, compared, draws),
        **_quartile_agreement(compared, draws),
        **{name: _bare(value) for name, value in gap.items()},
    }


def _agreement(compared: Compared, draws: _Draws) -> dict[str, Interval]:
    """Return the share of customers on the same side of the operating threshold."""
    if compared.threshold is None or not np.isfinite(compared.threshold):
        return {}
    t, s, cut = (output_of("binary", np.asarray(p)) for p in (compared.teacher, compared.student, compared.threshold))
    same, near = (t >= cut) == (s >= cut), np.abs(t - cut) <= compared.apart
    return {
        "agreement": draws.mean((same | near).astype(np.float64)),
        "agreement_exact": draws.mean(same.astype(np.float64)),
    }


def _quartile_agreement(compared: Compared, draws: _Draws) -> dict[str, Interval]:
    """Return the share of customers whom both put into the same quarter of all customers."""
    from scipy.stats import rankdata

    t, s = compared.teacher, compared.student
    borders = np.quantile(t, [0.25, 0.5, 0.75])
    own = np.ceil(4 * rankdata(s) / len(s)) - 1
    low, high = (np.searchsorted(borders, t + sign * compared.apart, side="right") for sign in (-1, 1))
    exact = np.ceil(4 * rankdata(t) / len(t)) - 1
    return {
        "quartile_agreement": draws.mean(((low <= own) & (own <= high) | (own == exact)).astype(np.float64)),
        "quartile_agreement_exact": draws.mean((own == exact).astype(np.float64)),
    }


def _order(t: np.ndarray, s: np.ndarray, compared: Compared, draws: _Draws) -> dict[str, Interval]:
    """Return what the order of the customers is judged by."""
    sign = 1.0 if compared.decile == "highest" else -1.0
    return {
        "rank_correlation": draws.rank_correlation(t, s),
        "pair_order": draws.pair_order(t, s, compared.apart),
        "decile_overlap": draws.decile_overlap(sign * t, sign * s, compared.apart),
        "decile_overlap_exact": draws.decile_overlap(sign * t, sign * s, 0.0),
    }


def _divergences(t: np.ndarray, s: np.ndarray, draws: _Draws) -> dict[str, Interval]:
    """Return KL(teacher || student), as it is and as a share of a constant's, and the Jensen-Shannon divergence; [n, K]."""
    t, s, constant = (np.clip(p, PROBABILITY_FLOOR, 1) for p in (t, s, np.broadcast_to(t.mean(axis=0), t.shape)))
    t, s, constant = (p / p.sum(axis=1, keepdims=True) for p in (t, s, constant))
    middle = (t + s) / 2
    jsd = entr(middle).sum(axis=1) - (entr(t).sum(axis=1) + entr(s).sum(axis=1)) / 2
    kl, of_constant = (rel_entr(t, p).sum(axis=1) for p in (s, constant))
    return {"kl": draws.mean(kl), "kl_share": draws.ratio(kl, of_constant, lambda share: share), "jsd": draws.mean(jsd)}


def _metrics(kind: str, label: np.ndarray, prediction: np.ndarray, classes: int) -> dict[str, float]:
    found = evaluate(kind, label, prediction, np.arange(len(label)), classes=classes, settings=_POINT, seed=0)
    return {name: estimate.value for name, estimate in found.items()}


def _ascending(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of values, ascending, and whether each is the last of its tie."""
    order = np.argsort(values, kind="stable")
    last = np.empty(len(order), dtype=np.bool_)
    last[order] = np.append(values[order][1:] != values[order][:-1], True)
    return order, last


def _bare(value: float) -> Interval:
    """Return a figure without an interval."""
    return Interval(float(value), float("nan"), float("nan"))
