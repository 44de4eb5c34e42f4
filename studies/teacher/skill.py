"""How a prediction is scored: its task's primary metric, and a skill that can be averaged over tasks of any kind.

Skill is the share of the way from knowing nothing to being right: ``2 AUC - 1`` of a binary task, ``1 - log-loss / log-loss of
the train frequencies`` of a multiclass task, ``R2`` of a regression: 0 is no skill, 1 is perfect, below 0 is worse than a
constant.
"""

from __future__ import annotations

import numpy as np

from finai_assets.scoring import metrics
from finai_assets.training.labelling import MatrixTask


def customer_resamples(customers: int, samples: int, seed: int) -> np.ndarray:
    """Return float64 [1 + samples, customers]: copies of each customer, the first row once each.

    One set serves all models, tasks and seeds, so that differences between them are paired.
    """
    return np.concatenate(list(metrics._resamples(customers, samples, seed)))


def primary(
    task: MatrixTask, label: np.ndarray, prediction: np.ndarray, customer: np.ndarray, copies: np.ndarray
) -> np.ndarray:
    """Return the task's primary metric under each resample, float64 [resamples]; NaN where a resample has none.

    Parameters
    ----------
    label : float [n]
        NaN where masked.
    prediction : float [n] or [n, classes]
    customer : int64 [n]
        Of every row, masked or not.
    copies : float64 [resamples, customers]
        Of the customers in ascending order.
    """
    known = np.isfinite(label)
    everyone, present = np.unique(customer), np.unique(customer[known])
    if not len(present):
        return np.full(len(copies), np.nan)
    weights = np.ascontiguousarray(copies[:, np.searchsorted(everyone, present)])
    rows = metrics._Rows.of(task.kind, label, prediction, customer, task.classes)
    return rows.scorer(metrics.PRIMARY[task.kind])(weights)


def skill(
    task: MatrixTask,
    label: np.ndarray,
    prediction: np.ndarray,
    trivial: np.ndarray,
    customer: np.ndarray,
    copies: np.ndarray,
) -> np.ndarray:
    """Return the skill of a prediction under each resample, float64 [resamples]; NaN where a resample cannot show any.

    Parameters
    ----------
    label, prediction, customer, copies
        As of :func:`primary`.
    trivial : float [n] or [n, classes]
        The prediction of the train frequencies.
    """
    score = primary(task, label, prediction, customer, copies)
    if task.kind == "binary":
        return 2 * score - 1
    if task.kind == "multiclass":
        floor = primary(task, label, trivial, customer, copies)
        return 1 - np.divide(score, floor, out=np.full(len(floor), np.nan), where=floor > 0)
    return score
