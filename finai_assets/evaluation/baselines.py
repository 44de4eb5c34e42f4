"""Trains the baselines that the teacher's figures are compared with. Each learns from the same train rows.

``prior`` predicts the train average, ``persistence`` the present value, ``lightgbm_raw`` and ``lightgbm_all`` are trees on
the raw scalar columns and on all columns; the shared bottom has a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from finai_assets.evaluation.column_blocks import row_chunks, take_columns
from finai_assets.evaluation.models import (
    CEILING,
    LIGHTGBM_ALL,
    LIGHTGBM_RAW,
    PERSISTENCE,
    PRIOR,
    SHARED_BOTTOM,
    TEACHER,
)
from finai_assets.evaluation.shared_bottom import predict_shared_bottom, train_shared_bottom
from finai_assets.features.sampling import sample_customers
from finai_assets.scoring.boosting import Binning, Growth, bin_rows, hard_loss, train_trees
from finai_assets.teacher.predictions import load_predictions, predictions_table
from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from finai_assets.features.registry import Registry
    from finai_assets.settings import Settings
    from finai_assets.training.matrix import MatrixTask, TrainingMatrix

Predictions = dict[str, np.ndarray]

# A current value seen this often weighs as much as the prior in its transition row.
_PRIOR_ROWS = 10.0


@dataclass(frozen=True)
class ModelComparison:
    """Predictions of the same rows by every model, and how each model was made.

    Parameters
    ----------
    span : slice
        Rows of the matrix: validation and test.
    predictions : model -> task -> float32 [rows] or [rows, classes]
        A task may be absent from a model that cannot say anything about it.
    facts : model -> dict
        What is known of how it was made: rows it learned from, columns, parameters. JSON-able.
    """

    span: slice
    predictions: Mapping[str, Predictions]
    facts: Mapping[str, Mapping[str, Any]]

    def part(self, task: str, rows: slice) -> Predictions:
        """Return each model's predictions of a task in some rows of the matrix."""
        at = slice(rows.start - self.span.start, rows.stop - self.span.start)
        return {name: found[task][at] for name, found in self.predictions.items() if task in found}


def train_baselines(
    matrix: TrainingMatrix,
    registry: Registry,
    settings: Settings,
    *,
    checkpoint_dir: Path | None = None,
) -> ModelComparison:
    """Train every baseline on the train rows, stop it on validation, and let it predict validation and test.

    Parameters
    ----------
    checkpoint_dir
        Where an interrupted training of the shared bottom is taken up again.
    """
    chosen = settings.baselines
    span = predicted_rows(matrix)
    rows, learned = span.stop - span.start, train_rows(matrix, settings)
    readable = [place for place, name in enumerate(registry.names) if not settings.inputs.withholds(name)]
    raw = sorted(set(registry.positions(chosen.raw_groups)) & set(readable))
    found: dict[str, Predictions] = {
        PRIOR: {task.name: prior(task, matrix.labels[task.name][learned], rows) for task in matrix.tasks},
        PERSISTENCE: {
            task.name: persistence(
                task,
                matrix.persistence[task.name][learned],
                matrix.labels[task.name][learned],
                matrix.persistence[task.name][span],
            )
            for task in matrix.tasks
            if task.name in matrix.persistence
        },
    }
    facts: dict[str, dict[str, Any]] = {name: {"train_rows": len(learned)} for name in found}
    for name, columns in ((LIGHTGBM_RAW, raw), (LIGHTGBM_ALL, readable)):
        if columns:
            found[name] = lightgbm(matrix, columns, span, settings, whole=name == LIGHTGBM_RAW, name=name)
            facts[name] = {"train_rows": len(learned), "columns": len(columns)}
    network = train_shared_bottom(matrix, registry, matrix.tasks, settings, checkpoint_dir)
    side = None if matrix.side is None else matrix.side[span]
    found[SHARED_BOTTOM] = predict_shared_bottom(network, matrix.X[span], side, settings)
    facts[SHARED_BOTTOM] = network.facts()
    # The shared bottom has the teacher's size by construction, so that it is counted there.
    facts[TEACHER] = {"train_rows": len(learned), "parameters": network.teacher_parameters}
    return ModelComparison(span, found, facts)


def beside_baselines(
    baselines: ModelComparison, teacher: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]
) -> ModelComparison:
    """Return the baselines with the teacher and, where it is known, the truth.

    Parameters
    ----------
    teacher : task -> float32 [n] or [n, classes]
        Predictions for every row of the matrix.
    truth : task -> float32 [n] or [n, classes]
        From :func:`~finai_assets.evaluation.truth.align_truth`; tasks may be absent.
    """
    span = baselines.span
    more = {TEACHER: teacher, **({CEILING: truth} if truth else {})}
    found = {name: {task: values[span] for task, values in model.items()} for name, model in more.items()}
    return ModelComparison(
        span, {**baselines.predictions, **found}, {**({CEILING: {}} if truth else {}), **baselines.facts}
    )


def predicted_rows(matrix: TrainingMatrix) -> slice:
    """Return the rows that models are compared on: validation and test."""
    return slice(matrix.rows("validation").start, matrix.rows("test").stop)


def baselines_table(baselines: ModelComparison) -> pa.Table:
    """Return the predictions as a table: a row for each of ``span``, columns ``<model>/<task>`` or ``<model>/<task>:<class>``."""
    named = {
        f"{model}/{task}": values for model, found in baselines.predictions.items() for task, values in found.items()
    }
    return predictions_table(named, {}, {})


def load_baselines(table: pa.Table, facts: Mapping[str, Mapping[str, Any]], matrix: TrainingMatrix) -> ModelComparison:
    """Return the baselines from what :func:`baselines_table` made of their predictions, and from their facts."""
    found: dict[str, Predictions] = {}
    for model in facts:
        of_model = [(task, replace(task, name=f"{model}/{task.name}")) for task in matrix.tasks]
        stored = [(task.name, as_stored) for task, as_stored in of_model if _has(table, as_stored)]
        values = load_predictions(table, [as_stored for _, as_stored in stored])
        if stored:
            found[model] = {name: values[as_stored.name] for name, as_stored in stored}
    return ModelComparison(predicted_rows(matrix), found, facts)


def _has(table: pa.Table, task: MatrixTask) -> bool:
    return (f"{task.name}:0" if task.kind == "multiclass" else task.name) in table.column_names


def train_rows(matrix: TrainingMatrix, settings: Settings) -> np.ndarray:
    """Return the rows that the teacher and every baseline learn from, int64 [m]."""
    return sample_customers(matrix.customer, matrix.rows("train"), settings.teacher.max_train_rows, settings.seed)


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


def lightgbm(
    matrix: TrainingMatrix,
    columns: Sequence[int],
    rows: slice,
    settings: Settings,
    *,
    whole: bool = True,
    name: str = "LightGBM",
) -> Predictions:
    """Train one LightGBM per task on some columns, stopped on validation, and predict some rows.

    Parameters
    ----------
    columns : sequence of int
        Positions in the matrix. Codes are numbers here, ordered by train frequency.
    rows : slice
        Rows to predict.
    whole : bool
        Whether each tree may use all columns, and not a share of them that is drawn anew for each (``baselines.column_share``).
    name
        The name under which progress is reported.

    Returns
    -------
    task -> float32 [rows] or [rows, classes]
    """
    chosen, at = settings.baselines, np.array(columns)
    train, span = train_rows(matrix, settings), matrix.rows("validation")
    validation = np.arange(span.start, span.stop)
    binning = Binning(
        seed=settings.seed, threads=chosen.threads, min_leaf_rows=chosen.min_child_rows, max_bin=chosen.max_bin
    )
    learned = bin_rows(take_columns(matrix.X, train, at), binning)
    watched = bin_rows(take_columns(matrix.X, validation, at), binning, like=learned)
    predictions = {}
    for done, task in enumerate(matrix.tasks, start=1):
        label = matrix.labels[task.name]
        held_out = label[validation]
        trees = train_trees(
            hard_loss(task.kind, task.classes),
            learned.labelled(label[train]),
            Growth(
                rounds=getattr(chosen.rounds, task.kind),
                leaves=getattr(chosen.leaves, task.kind),
                learning_rate=chosen.learning_rate[task.kind],
                column_share=1.0 if whole else chosen.column_share_of.get(task.name, chosen.column_share),
                patience=chosen.early_stopping_rounds,
            ),
            stop_on=watched.labelled(held_out) if np.isfinite(held_out).any() else None,
        )
        parts = [trees.predict(part, threads=chosen.threads) for part in row_chunks(matrix.X, at, rows)]
        predictions[task.name] = np.concatenate(parts).astype(np.float32)
        report_progress(f"{name}: task", done, len(matrix.tasks))
    return predictions
