"""Training of one student: a copy on its teacher's output, a direct student on the labels; and the probes that rank columns.

A copy is a regression (Bucila, Caruana, Niculescu-Mizil, KDD 2006; Ba and Caruana, NeurIPS 2014): squared error on the teacher's
logit of a binary task and on its value of a regression, cross-entropy against its class probabilities. It is stopped where it is
most faithful, which needs no label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import rel_entr

from finai_assets.scoring.boosting import (
    BinnedRows,
    Binning,
    Growth,
    Loss,
    Sample,
    Trees,
    bin_rows,
    soft_loss,
    squared_loss,
    train_trees,
)
from finai_assets.settings import Settings
from finai_assets.settings.method import AimName
from finai_assets.students.fidelity_measures import output_of

Aim = AimName


def hard_target(label: np.ndarray, classes: int) -> np.ndarray:
    """Return labels as a target: as they are, or one-hot [n, classes] for a multiclass task (``classes`` > 1)."""
    return np.eye(classes)[label.astype(np.int64)] if classes > 1 else label.astype(np.float64)


def copy_target(kind: str, label: np.ndarray, teacher: np.ndarray, alpha: float) -> np.ndarray:
    """Return what a copy learns, float64 [n] or [n, classes], on the scale of its raw output.

    Parameters
    ----------
    label : float [n]
        NaN where masked: such a row teaches what the teacher says.
    teacher : float [n] or [n, classes]
        Its predictions.
    alpha : float
        Share of the label in the target; 0 asks the teacher alone.
    """
    told = teacher.astype(np.float64)
    known = np.isfinite(label)
    if alpha > 0 and known.any():
        classes = told.shape[1] if told.ndim == 2 else 1
        told = told.copy()
        told[known] = alpha * hard_target(label[known], classes) + (1 - alpha) * told[known]
    return output_of(kind, told)


def bin_probe(X: np.ndarray, settings: Settings) -> BinnedRows:
    """Bin rows once, for the probes of all models; only train rows may be given."""
    return bin_rows(X, _binning(settings))


def probe_gain(
    kind: str, aim: Aim, binned: BinnedRows, rows: np.ndarray, target: np.ndarray, settings: Settings
) -> np.ndarray:
    """Return each column's total gain in a short model of all columns.

    Parameters
    ----------
    binned : BinnedRows
        The probe's rows, from :func:`bin_probe`; shared by the models.
    rows : int64 [n]
        Which of them have a target.
    target : float64 [n] or [n, K]
    """
    # A multiclass probe grows one tree per class a round; it gets about as many trees as any other.
    classes = target.shape[1] if target.ndim == 2 else 1
    rounds = max(2, settings.students.probe.rounds // classes)
    growth = _growth(kind, rounds, settings)
    seen = binned if len(rows) == binned.rows else binned.take(rows)
    return train_trees(_loss(kind, aim, target), Sample(seen, target), growth).gain()


def bin_splits(
    train: np.ndarray, validation: np.ndarray, names: Sequence[str], settings: Settings
) -> tuple[BinnedRows, BinnedRows]:
    """Bin the rows of a model, each float32 [n, names]; the bins are fitted on the train rows alone."""
    learned = bin_rows(train, _binning(settings), names=names)
    return learned, bin_rows(validation, _binning(settings), like=learned)


def train_model(kind: str, aim: Aim, train: Sample, validation: Sample, settings: Settings) -> Trees:
    """Train on one sample, stop on the other, both in the bins of :func:`bin_splits`.

    Returns
    -------
    Trees
        Its ``text`` is the model up to its best round. A binary or regression model holds its starting value in its first tree; a
        multiclass one starts from the log of the mean target, returned as ``init_score``.
    """
    growth = _growth(kind, getattr(settings.students.rounds, kind), settings)
    if aim == "copy" or kind == "multiclass":  # a direct student of two classes or of a value stops early by itself
        growth = replace(growth, least_gain=_least_gain(kind, validation.target, growth, settings))
    return train_trees(_loss(kind, aim, train.target), train, growth, stop_on=validation)


def _least_gain(kind: str, target: np.ndarray, growth: Growth, settings: Settings) -> float:
    """Return by how much the loss of held-out rows must fall within the patience, so that the trees are worth their leaves.

    All models share one budget of leaves, which is best spent where a leaf explains the same everywhere: a model grows as long
    as a thousand more leaves explain at least ``students.least_explained`` more of what a constant does not (of a squared error
    its variance, of class probabilities its divergence).
    """
    outputs = target.shape[1] if target.ndim == 2 else 1
    thousands = growth.leaves * outputs * growth.patience / 1000
    unexplained = rel_entr(target, target.mean(axis=0)).sum(axis=1).mean() if kind == "multiclass" else target.var()
    return settings.students.least_explained * thousands * float(unexplained)


def _loss(kind: str, aim: Aim, target: np.ndarray) -> Loss:
    return squared_loss() if aim == "copy" and kind != "multiclass" else soft_loss(kind, target)


def _growth(kind: str, rounds: int, settings: Settings) -> Growth:
    students = settings.students
    return Growth(
        rounds=rounds,
        leaves=getattr(students.leaves, kind),
        learning_rate=students.learning_rate,
        column_share=students.column_share,
        patience=students.early_stopping_rounds,
    )


def _binning(settings: Settings) -> Binning:
    students = settings.students
    return Binning(
        seed=settings.seed,
        threads=students.threads,
        min_leaf_rows=students.min_child_rows,
        max_bin=students.max_bin,
        counted="rows",
    )
