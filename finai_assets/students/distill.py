"""Training of one student on labels or on their blend with the teacher, and the probe that ranks columns.

Hard labels are the special case of a target that is 0 or 1, so that a direct and a distilled student differ in their targets
alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finai_assets.scoring.boosting import BinnedRows, Binning, Growth, Sample, Trees, bin_rows, soft_loss, train_trees
from finai_assets.settings import Settings

# A multiclass probe grows one tree per class a round; it gets about this many times the trees of a binary one.
_MULTICLASS_PROBE_TREES = 2


@dataclass(frozen=True)
class Examples:
    """Rows to learn from or to stop on: ``X`` float32 [n, columns], ``target`` float64 [n] or [n, K]."""

    X: np.ndarray
    target: np.ndarray


def hard_target(label: np.ndarray, classes: int) -> np.ndarray:
    """Return labels as a target: as they are, or one-hot [n, classes] for a multiclass task (``classes`` > 1)."""
    return np.eye(classes)[label.astype(np.int64)] if classes > 1 else label.astype(np.float64)


def blend(label: np.ndarray, teacher: np.ndarray, alpha: float, classes: int) -> np.ndarray:
    """Return ``alpha * label + (1 - alpha) * teacher``, [n] or [n, classes]."""
    return alpha * hard_target(label, classes) + (1 - alpha) * teacher.astype(np.float64)


def bin_probe(X: np.ndarray, settings: Settings) -> BinnedRows:
    """Bin rows once, for the probes of all tasks; only train rows may be given."""
    return bin_rows(X, _binning(settings))


def probe_gain(kind: str, binned: BinnedRows, rows: np.ndarray, target: np.ndarray, settings: Settings) -> np.ndarray:
    """Return each column's total gain in a short model of all columns.

    Parameters
    ----------
    binned : BinnedRows
        The probe's rows, from :func:`bin_probe`; shared by the tasks.
    rows : int64 [n]
        Which of them have a label.
    target : float64 [n] or [n, K]
    """
    classes = target.shape[1] if target.ndim == 2 else 1
    rounds = settings.students.probe_rounds
    if classes > 1:
        rounds = max(2, _MULTICLASS_PROBE_TREES * rounds // classes)
    return train_trees(
        soft_loss(kind, target), Sample(binned.take(rows), target), _growth(kind, rounds, settings)
    ).gain()


def train_model(kind: str, train: Examples, validation: Examples, names: list[str], settings: Settings) -> Trees:
    """Train on one sample, stop on the other.

    Returns
    -------
    Trees
        Its ``text`` is the model up to its best round. A binary or regression model holds its starting value in its first tree; a
        multiclass one starts from the log of the mean target, returned as ``init_score``.
    """
    learned = bin_rows(train.X, _binning(settings), names=names)
    held_out = bin_rows(validation.X, _binning(settings), like=learned)
    return train_trees(
        soft_loss(kind, train.target),
        Sample(learned, train.target),
        _growth(kind, getattr(settings.students.rounds, kind), settings),
        stop_on=Sample(held_out, validation.target),
    )


def _binning(settings: Settings) -> Binning:
    students = settings.students
    return Binning(seed=settings.seed, threads=students.threads, min_leaf_rows=students.min_child_rows, counted="rows")


def _growth(kind: str, rounds: int, settings: Settings) -> Growth:
    students = settings.students
    return Growth(
        rounds=rounds,
        leaves=getattr(students.leaves, kind),
        learning_rate=students.learning_rate,
        patience=students.early_stopping_rounds,
    )
