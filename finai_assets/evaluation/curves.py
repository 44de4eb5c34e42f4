"""Curves of discrimination, calibration, gate weights and training, as points that can be drawn.

All are computed from predictions of test rows; masked rows are left out. Points are thinned to what an eye can distinguish.
Intervals of shares are Wilson's (Journal of the American Statistical Association 22, 1927), those of means normal; both take
rows as independent, which a customer's months are not quite: the metrics of the evaluation have intervals by customer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.evaluation.models import CEILING, MODELS
from finai_assets.scoring.metrics import expected_calibration_error

if TYPE_CHECKING:
    from finai_assets.evaluation.baselines import ModelComparison
    from finai_assets.settings import Settings
    from finai_assets.training.matrix import TrainingMatrix

POINTS = 200  # of a curve, at most
BINS = 10
_DIGITS = 6  # of a stored figure: beyond what a plot shows


def curves_of(
    matrix: TrainingMatrix,
    models: ModelComparison,
    gates: Mapping[str, Mapping[str, np.ndarray]],
    card: Mapping[str, Any],
    settings: Settings,
) -> dict[str, Any]:
    """Compute every curve of the test rows.

    Parameters
    ----------
    models : ModelComparison
        Every model's predictions.
    gates : task -> slot -> float [n]
        The teacher's gate weights, for every row of the matrix.
    card : dict
        The stored ``teacher.json``: its ``history``, ``best_epoch`` and ``parameters`` are read.

    Returns
    -------
    dict
        JSON-able. ``tasks.<task>``: ``kind`` and, by model, ``roc``, ``pr`` and ``reliability`` (binary), ``reliability`` of the
        top label and ``recall`` of each class (multiclass), ``deciles`` (regression). ``gates.<task>.<slot>``: mean weight.
        ``learning``: losses by epoch.
    """
    rows, confidence = matrix.rows("test"), settings.metrics.confidence
    tasks: dict[str, Any] = {}
    for task in matrix.tasks:
        label = np.asarray(matrix.labels[task.name][rows], dtype=np.float64)
        part = models.part(task.name, rows)
        by_model = {}
        for name in MODELS:
            if name in part:
                known = np.isfinite(label) & _finite(part[name])
                by_model[name] = _of_kind(task.kind, label[known], part[name][known].astype(np.float64), confidence)
        tasks[task.name] = {"kind": task.kind, "class_labels": list(task.class_labels), "models": by_model}
    return {
        "split": "test",
        "tasks": tasks,
        "gates": {
            task: {slot: _round(float(weights[rows].mean(dtype=np.float64))) for slot, weights in slots.items()}
            for task, slots in gates.items()
        },
        "learning": {
            "best_epoch": card["best_epoch"],
            "parameters": card["parameters"],
            "epochs": [
                {key: record[key] for key in ("epoch", "score", "train", "validation")} for record in card["history"]
            ],
        },
    }


def _finite(prediction: np.ndarray) -> np.ndarray:
    return np.isfinite(prediction) if prediction.ndim == 1 else np.isfinite(prediction).all(1)


def _of_kind(kind: str, label: np.ndarray, prediction: np.ndarray, confidence: float) -> dict[str, Any]:
    if not len(label):
        return {}
    if kind == "regression":
        return {"deciles": deciles(label, prediction, confidence)}
    if kind == "multiclass":
        top = prediction.argmax(1)
        hit = (top == label).astype(np.float64)
        return {
            "reliability": reliability(hit, prediction[np.arange(len(top)), top], confidence),
            "recall": recall_by_class(label, top, prediction.shape[1], confidence),
        }
    return {
        **({"roc": roc(label, prediction), "pr": precision_recall(label, prediction)} if np.ptp(label) else {}),
        "reliability": reliability(label, prediction, confidence),
        "calibration_error": _round(expected_calibration_error(label, prediction)),
    }


def roc(label: np.ndarray, score: np.ndarray) -> list[list[float]]:
    """Return points (false positive rate, true positive rate) from (0, 0) to (1, 1); equal scores are one step.

    Parameters
    ----------
    label : float [n]
        0 or 1, both present.
    score : float [n]
    """
    found, taken = _cumulated(label, score)
    positives, negatives = found[-1], taken[-1] - found[-1]
    x, y = np.append(0.0, (taken - found) / negatives), np.append(0.0, found / positives)
    return _points(x, y, along=x + y)


def precision_recall(label: np.ndarray, score: np.ndarray) -> list[list[float]]:
    """Return points (recall, precision), by rising recall; equal scores are one step, so a constant score is one point."""
    found, taken = _cumulated(label, score)
    some = found > 0  # before the first positive, precision is 0 at recall 0
    x, y = (found / found[-1])[some], (found / taken)[some]
    return _points(x, y, along=x)


def _cumulated(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return positives and rows at or above each distinct score, from the highest on."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    last = np.append(ranked[1:] != ranked[:-1], True)
    return np.cumsum(label[order])[last], np.arange(1, len(label) + 1)[last].astype(np.float64)


def _points(x: np.ndarray, y: np.ndarray, *, along: np.ndarray) -> list[list[float]]:
    """Thin a curve: points evenly spaced along a rising quantity, both ends kept."""
    wanted = np.searchsorted(along, np.linspace(along[0], along[-1], POINTS))
    at = np.unique(np.minimum(wanted, len(along) - 1))
    at = np.unique(np.concatenate([[0], at[1:-1], [len(along) - 1]])) if len(at) > 1 else at
    return [[_round(float(a)), _round(float(b))] for a, b in zip(x[at], y[at], strict=True)]


def reliability(hit: np.ndarray, probability: np.ndarray, confidence: float) -> list[dict[str, Any]]:
    """Return bins of about equally many rows, by rising probability: rows, mean probability, observed share and its interval.

    Parameters
    ----------
    hit : float [n]
        1 where it came true, else 0.
    probability : float [n]
        Rows of equal probability share a bin.
    """
    bins = []
    for at in _filled_alike(probability):
        count, hits = int(at.sum()), float(hit[at].sum())
        low, high = wilson(hits, count, confidence)
        bins.append(
            {
                "n": count,
                "predicted": _round(float(probability[at].mean())),
                "observed": _round(hits / count),
                "low": _round(low),
                "high": _round(high),
            }
        )
    return bins


def deciles(label: np.ndarray, prediction: np.ndarray, confidence: float) -> list[dict[str, Any]]:
    """Return bins of about equally many rows, by rising prediction: rows, mean prediction, mean label and its interval."""
    from scipy.stats import norm

    z, bins = float(norm.ppf((1 + confidence) / 2)), []
    for at in _filled_alike(prediction):
        values = label[at]
        mean = float(values.mean())
        half = z * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
        bins.append(
            {
                "n": len(values),
                "predicted": _round(float(prediction[at].mean())),
                "observed": _round(mean),
                "low": None if half is None else _round(mean - half),
                "high": None if half is None else _round(mean + half),
            }
        )
    return bins


def _filled_alike(values: np.ndarray) -> list[np.ndarray]:
    """Return the rows of each of up to ten bins, as masks; equal values share a bin."""
    edges = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    position = np.searchsorted(edges, values, side="right")
    return [position == index for index in np.unique(position)]


def recall_by_class(label: np.ndarray, predicted: np.ndarray, classes: int, confidence: float) -> list[dict[str, Any]]:
    """Return, for each class that occurs: its rows, the share of them that is predicted, and the interval."""
    found = []
    for index in range(classes):
        rows = label == index
        count = int(rows.sum())
        if count:
            hits = float((predicted[rows] == index).sum())
            low, high = wilson(hits, count, confidence)
            found.append(
                {"class": index, "n": count, "recall": _round(hits / count), "low": _round(low), "high": _round(high)}
            )
    return found


def wilson(hits: float, n: int, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of a share.

    Examples
    --------
    >>> [round(bound, 3) for bound in wilson(0, 10, 0.95)]
    [0.0, 0.278]
    """
    from scipy.stats import binomtest

    interval = binomtest(round(hits), n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)


def drawn_models(by_model: Mapping[str, Any], key: str) -> Sequence[str]:
    """Return the models that have a curve, the ceiling last."""
    have = [name for name in MODELS if by_model.get(name, {}).get(key)]
    return [*(name for name in have if name != CEILING), *(name for name in have if name == CEILING)]


def _round(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}") + 0.0  # no negative zero
