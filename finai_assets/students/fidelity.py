"""Fidelity: a student's agreement with its teacher on rows that it never saw, and the one comparison with the floors.

The student is taken as it is deployed, calibrated. Measures that compare two predictions are taken on every row, measures that
need a label on the labelled ones. Divergences are in nats, per row, then averaged.

:func:`compare_fidelity` alone decides whether a copy is faithful enough: when the route is chosen, when the check C23 judges a
stored student by the floors of the configuration, and when a bundle is built.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import entr, rel_entr
from scipy.stats import norm, rankdata

from finai_assets.scoring.metrics import PROBABILITY_FLOOR, evaluate, expected_calibration_error
from finai_assets.settings.method import FidelitySettings, MetricSettings
from finai_resources.json_text import number

# Bins of a regression's predictions: equally likely under the Gaussian of the teacher's.
_BINS = 20
AT_LEAST = frozenset({"agreement", "rank_correlation", "quartile_agreement"})
_POINT = MetricSettings(bootstrap_samples=1, confidence=0.95)  # fidelity compares values, without intervals


@dataclass(frozen=True)
class Floor:
    """One measure beside the bound that it must keep; an undefined measure (NaN) keeps none."""

    measure: str
    observed: float
    floor: float

    @property
    def passed(self) -> bool:
        """Whether the bound is kept."""
        return self.observed >= self.floor if self.measure in AT_LEAST else self.observed <= self.floor

    def __str__(self) -> str:
        if not np.isfinite(self.observed):
            return f"{self.measure} is not defined"
        return (
            f"{self.measure} {self.observed:.3f} ({'at least' if self.measure in AT_LEAST else 'at most'} {self.floor})"
        )


@dataclass(frozen=True)
class Fidelity:
    """Figures of fidelity: each measure (NaN where it is undefined) on ``n`` rows, of which ``labelled`` have a label."""

    measures: Mapping[str, float]
    n: int
    labelled: int

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Fidelity:
        """Read the figures from what :meth:`FidelityVerdict.to_json` wrote."""
        observed = {entry["measure"]: entry.get("observed") for entry in stored["verdicts"]}
        measures = {name: float("nan") if value is None else float(value) for name, value in observed.items()}
        return cls(measures, int(stored["n"]), int(stored.get("labelled", 0)))


@dataclass(frozen=True)
class FidelityVerdict:
    """Figures of fidelity beside the floors that they were compared with."""

    floors: tuple[Floor, ...]
    n: int
    labelled: int

    @property
    def passed(self) -> bool:
        """Whether there is evidence and every floor is kept."""
        return bool(self.n and self.floors) and not self.failures

    @property
    def failures(self) -> tuple[str, ...]:
        """Return the floors that are missed, in words."""
        return tuple(str(entry) for entry in self.floors if not entry.passed)

    def observed(self, measure: str) -> float:
        """Return one measure."""
        return next(entry.observed for entry in self.floors if entry.measure == measure)

    def bounds(self) -> dict[str, float]:
        """Return the floor of each measure."""
        return {entry.measure: entry.floor for entry in self.floors}

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain values; an undefined measure is null."""
        verdicts = [
            {
                "measure": entry.measure,
                "observed": number(entry.observed),
                "bound": "at least" if entry.measure in AT_LEAST else "at most",
                "floor": entry.floor,
                "passed": entry.passed,
            }
            for entry in self.floors
        ]
        return {"passed": self.passed, "n": self.n, "labelled": self.labelled, "verdicts": verdicts}

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> FidelityVerdict:
        """Read what :meth:`to_json` wrote: the figures, and the floors that the route was chosen with."""
        fidelity = Fidelity.from_json(stored)
        floors = tuple(
            Floor(v["measure"], fidelity.measures[v["measure"]], float(v["floor"])) for v in stored["verdicts"]
        )
        return cls(floors, fidelity.n, fidelity.labelled)


def compare_fidelity(kind: str, fidelity: Fidelity, settings: FidelitySettings) -> FidelityVerdict:
    """Compare a student's figures with the floors of its kind of task; a measure without a figure misses its floor."""
    bounds = {"kl": settings.kl, **getattr(settings, kind)}
    floors = tuple(Floor(name, fidelity.measures.get(name, float("nan")), bound) for name, bound in bounds.items())
    return FidelityVerdict(floors, fidelity.n, fidelity.labelled)


def compare_stored(card: Mapping[str, Any], settings: FidelitySettings) -> FidelityVerdict | None:
    """Compare the stored figures of a student with the floors of some settings, without training.

    Parameters
    ----------
    card
        ``student.json``. The verdict in it is not looked at: it belongs to the floors that the route was chosen with.

    Returns
    -------
    FidelityVerdict or None
        None where no copy was measured, or on no row.
    """
    stored = card.get("fidelity") or {}
    if not stored.get("n") or not stored.get("verdicts"):
        return None
    return compare_fidelity(card["kind"], Fidelity.from_json(stored), settings)


def measure_fidelity(
    kind: str, teacher: np.ndarray, student: np.ndarray, label: np.ndarray, *, threshold: float | None
) -> Fidelity:
    """Measure how far a student agrees with its teacher.

    Parameters
    ----------
    teacher, student : float [n] or [n, K]
        Probabilities, or values of a regression.
    label : float [n]
        NaN where masked.
    threshold : float or None
        Operating threshold of a binary task, on the deployed probability.
    """
    t, s = teacher.astype(np.float64), student.astype(np.float64)
    if kind == "binary":
        measures = _binary(t, s, label, threshold)
    elif kind == "multiclass":
        measures = _multiclass(t, s, label)
    else:
        measures = _regression(t, s, label)
    figures = {name: float(value) for name, value in measures.items()}
    return Fidelity(figures, len(label), int(np.isfinite(label).sum()))


def _binary(t: np.ndarray, s: np.ndarray, label: np.ndarray, threshold: float | None) -> dict[str, float]:
    pair_t, pair_s = np.column_stack([1 - t, t]), np.column_stack([1 - s, s])
    known = np.isfinite(label)
    mine, theirs = (_metrics("binary", label[known], p[known], 1) for p in (s, t))
    cut = float("nan") if threshold is None else threshold
    return {
        **_divergences(pair_t, pair_s),
        "agreement": float(((t >= cut) == (s >= cut)).mean()) if np.isfinite(cut) else float("nan"),
        "rank_correlation": _rank_correlation(t, s),
        "auc_gap": abs(theirs["auc"] - mine["auc"]),
        "calibration_gap": abs(expected_calibration_error(label, t) - expected_calibration_error(label, s)),
    }


def _multiclass(t: np.ndarray, s: np.ndarray, label: np.ndarray) -> dict[str, float]:
    known = np.isfinite(label)
    mine, theirs = (_metrics("multiclass", label[known], p[known], t.shape[1]) for p in (s, t))
    return {
        **_divergences(t, s),
        "agreement": float((t.argmax(axis=1) == s.argmax(axis=1)).mean()),
        "macro_f1_gap": abs(theirs["macro_f1"] - mine["macro_f1"]),
    }


def _regression(t: np.ndarray, s: np.ndarray, label: np.ndarray) -> dict[str, float]:
    known = np.isfinite(label)
    y = label[known].astype(np.float64)
    spread = y.std() if len(y) else 0.0
    gap = {"mae_gap": float("nan"), "rmse_gap": float("nan")}
    if spread > 0:
        mine, theirs = (_metrics("regression", y, p[known], 1) for p in (s, t))
        gap = {f"{name}_gap": abs(theirs[name] - mine[name]) / spread for name in ("mae", "rmse")}
    quartiles = [np.ceil(4 * rankdata(p) / len(p)) for p in (t, s)]
    return {
        "kl": _binned_divergence(t, s),
        "rank_correlation": _rank_correlation(t, s),
        "quartile_agreement": float((quartiles[0] == quartiles[1]).mean()) if len(t) else float("nan"),
        **gap,
    }


def _metrics(kind: str, label: np.ndarray, prediction: np.ndarray, classes: int) -> dict[str, float]:
    rows = np.arange(len(label))
    found = evaluate(kind, label, prediction, rows, classes=classes, settings=_POINT, seed=0)
    return {name: estimate.value for name, estimate in found.items()}


def _divergences(t: np.ndarray, s: np.ndarray) -> dict[str, float]:
    """Return the mean KL(teacher || student) and Jensen-Shannon divergence of class probabilities [n, K]."""
    if not len(t):
        return {"kl": float("nan"), "jsd": float("nan")}
    t, s = (np.clip(p, PROBABILITY_FLOOR, 1) for p in (t, s))
    t, s = t / t.sum(axis=1, keepdims=True), s / s.sum(axis=1, keepdims=True)
    middle = (t + s) / 2
    jsd = entr(middle).sum(axis=1) - (entr(t).sum(axis=1) + entr(s).sum(axis=1)) / 2
    return {"kl": float(rel_entr(t, s).sum(axis=1).mean()), "jsd": float(jsd.mean())}


def _binned_divergence(t: np.ndarray, s: np.ndarray) -> float:
    """Return the KL of both distributions of predictions, over bins that are equally likely under the teacher's Gaussian."""
    if len(t) < 2 or t.std() == 0:
        return float("nan")
    edges = norm.ppf(np.arange(1, _BINS) / _BINS, loc=t.mean(), scale=t.std())
    counted = [np.bincount(np.searchsorted(edges, p), minlength=_BINS) + 0.5 for p in (t, s)]
    first, second = (count / count.sum() for count in counted)
    return float(rel_entr(first, second).sum())


def _rank_correlation(t: np.ndarray, s: np.ndarray) -> float:
    return _metrics("regression", t, s, 1)["spearman"]
