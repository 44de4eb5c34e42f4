"""Training of one LightGBM model on soft targets, and the probe that ranks columns.

Binary targets take LightGBM's ``cross_entropy``, regression ``huber``; multiclass takes the softmax cross-entropy against
class probabilities below, which LightGBM does not bring. Hard labels are the special case of a target that is 0 or 1, so that
a direct and a distilled student differ in their targets alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from scipy.special import log_softmax, softmax

from finai_assets.settings import Settings
from finai_assets.students.calibrate import Transform

TRANSFORM: dict[str, Transform] = {"binary": "sigmoid", "multiclass": "softmax", "regression": "identity"}
# A multiclass probe grows one tree per class a round; it gets about this many times the trees of a binary one.
_MULTICLASS_PROBE_TREES = 2
# Huber turns linear at this many standard deviations of the target: only outliers are tamed, the mean stays the aim.
_HUBER_DEVIATIONS = 3.0
_PARAMETERS = "\nparameters:\n"


@dataclass(frozen=True)
class Trained:
    """A model's text and the constant that is added to its raw scores ([1] or [K])."""

    text: str
    init_score: np.ndarray
    rounds: int


@dataclass(frozen=True)
class Sample:
    """Rows to learn from or to stop on: ``X`` float32 [n, columns], ``target`` float64 [n] or [n, K]."""

    X: np.ndarray
    target: np.ndarray


def hard_target(label: np.ndarray, classes: int) -> np.ndarray:
    """Return labels as a target: as they are, or one-hot [n, classes] for a multiclass task (``classes`` > 1)."""
    return np.eye(classes)[label.astype(np.int64)] if classes > 1 else label.astype(np.float64)


def blend(label: np.ndarray, teacher: np.ndarray, alpha: float, classes: int) -> np.ndarray:
    """Return ``alpha * label + (1 - alpha) * teacher``, [n] or [n, classes]."""
    return alpha * hard_target(label, classes) + (1 - alpha) * teacher.astype(np.float64)


def soft_softmax(raw: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and diagonal of the Hessian of ``-sum(target * log softmax(raw))``, each [n, K].

    ``target`` rows add up to one.
    """
    probability = softmax(raw, axis=1)
    return probability - target, probability * (1 - probability)


def probe_gain(kind: str, binned: lgb.Dataset, rows: np.ndarray, target: np.ndarray, settings: Settings) -> np.ndarray:
    """Return each column's total gain in a short model of all columns.

    Parameters
    ----------
    binned : lgb.Dataset
        The probe's rows, from :func:`bin_rows`; shared by the tasks.
    rows : int64 [n]
        Which of them have a label.
    target : float64 [n] or [n, K]
    """
    classes = target.shape[1] if target.ndim == 2 else 1
    rounds = settings.students.probe_rounds
    if classes > 1:
        rounds = max(2, _MULTICLASS_PROBE_TREES * rounds // classes)
    data = binned.subset(rows).construct()
    booster, _ = _boost(kind, data, target, rounds, settings, stop_on=None)
    return np.asarray(booster.feature_importance(importance_type="gain"), dtype=np.float64)


def bin_rows(X: np.ndarray, settings: Settings) -> lgb.Dataset:
    """Bin rows once, for the probes of all tasks; only train rows may be given."""
    return lgb.Dataset(X, params=_common(settings), free_raw_data=True).construct()


def train_model(kind: str, train: Sample, validation: Sample, names: list[str], settings: Settings) -> Trained:
    """Train on one sample, stop on the other.

    Returns
    -------
    Trained
        The model's text up to its best round. A binary or regression model holds its starting value in its first tree; a
        multiclass one starts from the log of the mean target, returned as ``init_score``.
    """
    data = lgb.Dataset(train.X, feature_name=names, params=_common(settings), free_raw_data=True).construct()
    booster, init = _boost(
        kind, data, train.target, getattr(settings.students.rounds, kind), settings, stop_on=validation
    )
    best = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
    text = booster.model_to_string(num_iteration=best, importance_type="gain")
    # The parameters that follow the trees are not read when a model is loaded; they hold the number of threads.
    return Trained(text.split(_PARAMETERS)[0] + "\n", init, best)


def raw_scores(text: str, X: np.ndarray, threads: int) -> np.ndarray:
    """Return a stored model's raw scores, [n] or [n, K]."""
    return np.asarray(lgb.Booster(model_str=text).predict(X, raw_score=True, num_threads=threads), dtype=np.float64)


def count_leaves(text: str) -> tuple[int, int]:
    """Return the number of trees and of leaves of a stored model."""
    each = [int(line[11:]) for line in text.splitlines() if line.startswith("num_leaves=")]
    return len(each), sum(each)


def gain_shares(text: str) -> dict[str, float]:
    """Return each used column's share of a stored model's gain, largest first."""
    booster = lgb.Booster(model_str=text)
    gain = np.asarray(booster.feature_importance(importance_type="gain"), dtype=np.float64)
    order = np.lexsort((np.arange(len(gain)), -gain))
    return {booster.feature_name()[i]: float(gain[i] / gain.sum()) for i in order if gain[i] > 0}


def _common(settings: Settings) -> dict[str, Any]:
    students = settings.students
    return {
        "learning_rate": students.learning_rate,
        "min_data_in_leaf": students.min_child_rows,
        "feature_pre_filter": False,
        "seed": settings.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": students.threads,
        "verbosity": -1,
    }


def _boost(
    kind: str, data: lgb.Dataset, target: np.ndarray, rounds: int, settings: Settings, *, stop_on: Sample | None
) -> tuple[lgb.Booster, np.ndarray]:
    parameters = _common(settings) | {"num_leaves": getattr(settings.students.leaves, kind)}
    init, measure = np.zeros(1), None
    if kind == "multiclass":
        classes = target.shape[1]
        # Starts from the mean target; a class that never occurs starts at a thousandth of a row.
        init = np.log(np.maximum(target.mean(axis=0), 1e-3 / len(target)))
        parameters |= {"objective": _soft_objective(target), "num_class": classes, "metric": "none"}
        measure = None if stop_on is None else _soft_loss(stop_on.target)
        _set(data, target.argmax(axis=1), init)
    else:
        objective = "cross_entropy" if kind == "binary" else "huber"
        parameters |= {"objective": objective, "metric": objective}
        if kind == "regression":
            parameters["alpha"] = _HUBER_DEVIATIONS * max(float(target.std()), 1e-9)
        _set(data, target, None)
    if stop_on is None:
        return lgb.train(parameters, data, rounds), init
    held_out = lgb.Dataset(stop_on.X, reference=data, params=_common(settings)).construct()
    multiclass = kind == "multiclass"
    _set(held_out, stop_on.target.argmax(axis=1) if multiclass else stop_on.target, init if multiclass else None)
    stopper = lgb.early_stopping(settings.students.early_stopping_rounds, verbose=False)
    booster = lgb.train(parameters, data, rounds, valid_sets=[held_out], feval=measure, callbacks=[stopper])
    return booster, init


def _set(data: lgb.Dataset, label: np.ndarray, init: np.ndarray | None) -> None:
    data.set_label(label)
    if init is not None:
        data.set_init_score(np.tile(init, (len(label), 1)))


def _soft_objective(target: np.ndarray) -> Any:
    # LightGBM's own softmax objective scales the Hessian by K / (K - 1); the same here, so that hard labels agree with it.
    scale = target.shape[1] / (target.shape[1] - 1)

    def objective(raw: np.ndarray, _: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
        gradient, hessian = soft_softmax(raw, target)
        return gradient, np.maximum(scale * hessian, 1e-16)

    return objective


def _soft_loss(target: np.ndarray) -> Any:
    def loss(raw: np.ndarray, _: lgb.Dataset) -> tuple[str, float, bool]:
        return "soft_log_loss", float(-(target * log_softmax(raw, axis=1)).sum(axis=1).mean()), False

    return loss
