"""Scores a prediction by its task's primary metric, and by a skill that can be averaged over tasks of any kind.

Skill is the share of the way from knowing nothing to being right: ``2 AUC - 1`` of a binary task, ``1 - log-loss / log-loss of
the train frequencies`` of a multiclass task, ``R2`` of a regression: 0 is no skill, 1 is perfect, below 0 is worse than a
constant.
"""

from __future__ import annotations

import numpy as np

from finai_assets.scoring.metrics import scores_under
from finai_assets.training.labelling import MatrixTask


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
        As of :func:`finai_assets.scoring.metrics.scores_under`.
    trivial : float [n] or [n, classes]
        The prediction of the train frequencies.
    """
    score = scores_under(task.kind, label, prediction, customer, copies, classes=task.classes)
    if task.kind == "binary":
        return 2 * score - 1
    if task.kind == "multiclass":
        floor = scores_under(task.kind, label, trivial, customer, copies, classes=task.classes)
        return 1 - np.divide(score, floor, out=np.full(len(floor), np.nan), where=floor > 0)
    return score
