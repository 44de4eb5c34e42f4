"""The honest baselines: what the teacher's figures must be read against. Each learns from the same train rows.

``prior`` says the train average, ``persistence`` that things stay as they are, ``lightgbm_raw`` and ``lightgbm_all`` are trees on
the raw scalar columns and on all columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lightgbm as lgb
import numpy as np

from finai_assets.features.sampling import sample_customers

if TYPE_CHECKING:
    from finai_assets.features.matrix import MatrixTask, TrainingMatrix
    from finai_assets.settings import Settings

PREDICT_ROWS = 8192
# A current value seen this often weighs as much as the prior in its transition row.
_PRIOR_ROWS = 10.0


def prior(task: MatrixTask, label: np.ndarray, rows: int) -> np.ndarray:
    """Predict the train prevalence, class frequencies, or mean for each of some rows.

    Parameters
    ----------
    label : float [n]
        Train labels, NaN where masked.

    Returns
    -------
    float32 [rows] or [rows, classes]
    """
    known = label[np.isfinite(label)]
    if task.kind != "multiclass":
        return np.full(rows, known.mean(dtype=np.float64), dtype=np.float32)
    return np.tile(_frequencies(known, task.classes), (rows, 1)).astype(np.float32)


def persistence(task: MatrixTask, current: np.ndarray, label: np.ndarray, now: np.ndarray) -> np.ndarray:
    """Predict from the current value alone: itself for a regression, else what followed it in train, smoothed by the prior.

    Parameters
    ----------
    current, label : float [n]
        Of the train rows.
    now : float [m]
        Current values of the rows to predict; where NaN, the prior answers.

    Returns
    -------
    float32 [m] or [m, classes]
    """
    fallback = prior(task, label, len(now))
    if task.kind == "regression":
        return np.where(np.isfinite(now), now, fallback).astype(np.float32)
    both = np.isfinite(current) & np.isfinite(label)
    share = _frequencies(label[np.isfinite(label)], task.classes)
    counts = np.zeros((task.classes, task.classes))
    np.add.at(counts, (current[both].astype(np.int64), label[both].astype(np.int64)), 1)
    table = (counts + _PRIOR_ROWS * share) / (counts.sum(1, keepdims=True) + _PRIOR_ROWS)
    known = np.isfinite(now)
    fallback[known] = table[now[known].astype(np.int64)]
    return fallback


def _frequencies(known: np.ndarray, classes: int) -> np.ndarray:
    """Return class frequencies, one more of each, so that a class unseen in train stays possible."""
    counts = np.bincount(known.astype(np.int64), minlength=classes) + 1.0
    return np.asarray(counts / counts.sum())


@dataclass(frozen=True)
class _Bins:
    """Columns of a matrix, binned once for all tasks."""

    columns: np.ndarray
    train: lgb.Dataset
    validation: lgb.Dataset
    train_rows: np.ndarray
    validation_rows: np.ndarray


def lightgbm(
    matrix: TrainingMatrix, columns: list[int], rows: slice, settings: Settings, *, column_share: float = 1.0
) -> dict[str, np.ndarray]:
    """Train one LightGBM per task on some columns, stopped on validation, and predict some rows.

    Parameters
    ----------
    columns : list of int
        Positions in the matrix. Codes are numbers here, ordered by train frequency.
    rows : slice
        Rows to predict.
    column_share : float
        Share of the columns that each tree may use, drawn anew for each.

    Returns
    -------
    task -> float32 [rows] or [rows, classes]
    """
    chosen = settings.baselines
    bins = _bin(matrix, np.array(columns), settings)
    predictions = {}
    for task in matrix.tasks:
        booster = _fit(task, matrix.labels[task.name], bins, settings, column_share)
        parts = [booster.predict(part, num_threads=chosen.threads) for part in _chunks(matrix.X, bins.columns, rows)]
        predictions[task.name] = np.concatenate(parts).astype(np.float32)
    return predictions


def _bin(matrix: TrainingMatrix, columns: np.ndarray, settings: Settings) -> _Bins:
    train = sample_customers(matrix.customer, matrix.rows("train"), settings.baselines.max_train_rows, settings.seed)
    span = matrix.rows("validation")
    validation = np.arange(span.start, span.stop)
    params = _common(settings)
    binned = lgb.Dataset(_take(matrix.X, train, columns), params=params).construct()
    stop = lgb.Dataset(_take(matrix.X, validation, columns), params=params, reference=binned).construct()
    return _Bins(columns, binned, stop, train, validation)


def _fit(task: MatrixTask, label: np.ndarray, bins: _Bins, settings: Settings, column_share: float) -> lgb.Booster:
    chosen = settings.baselines
    objective: dict[str, Any] = {"objective": task.kind}
    if task.kind == "multiclass":
        objective["num_class"] = task.classes
    train = _labelled(bins.train, label[bins.train_rows])
    watched = label[bins.validation_rows]
    stopping: dict[str, Any] = {}
    if np.isfinite(watched).any():
        stopping = {
            "valid_sets": [_labelled(bins.validation, watched)],
            "callbacks": [lgb.early_stopping(chosen.early_stopping_rounds, verbose=False)],
        }
    return lgb.train(
        {
            **_common(settings),
            **objective,
            "learning_rate": chosen.learning_rate[task.kind],
            "num_leaves": getattr(chosen.leaves, task.kind),
            "feature_fraction": column_share,
        },
        train,
        num_boost_round=getattr(chosen.rounds, task.kind),
        **stopping,
    )


def _common(settings: Settings) -> dict[str, Any]:
    chosen = settings.baselines
    return {
        "max_bin": chosen.max_bin,
        "min_data_in_leaf": chosen.min_child_rows,
        "feature_pre_filter": False,
        "seed": settings.seed % 2**31,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": chosen.threads,
        "verbosity": -1,
    }


def _labelled(binned: lgb.Dataset, label: np.ndarray) -> lgb.Dataset:
    """Return the labelled rows of a binned data set with their labels."""
    known = np.isfinite(label)
    binned.set_label(np.nan_to_num(label))
    return binned if known.all() else binned.subset(np.flatnonzero(known).tolist()).construct()


def _take(X: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Copy some rows and columns, without a copy of the rows' other columns."""
    out = np.empty((len(rows), len(columns)), dtype=np.float32)
    for start in range(0, len(rows), PREDICT_ROWS):
        out[start : start + PREDICT_ROWS] = X[rows[start : start + PREDICT_ROWS]][:, columns]
    return out


def _chunks(X: np.ndarray, columns: np.ndarray, rows: slice) -> Iterator[np.ndarray]:
    for start in range(rows.start, rows.stop, PREDICT_ROWS):
        yield np.ascontiguousarray(X[start : min(rows.stop, start + PREDICT_ROWS)][:, columns])
