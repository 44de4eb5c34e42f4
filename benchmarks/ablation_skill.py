"""What the ablation compares, and how a prediction is scored: a skill that can be averaged over tasks of any kind.

Skill is the share of the way from knowing nothing to being right: ``2 AUC - 1`` of a binary task, ``1 - log-loss / log-loss of
the train frequencies`` of a multiclass task, ``R2`` of a regression: 0 is no skill, 1 is perfect, below 0 is worse than a
constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from finai_assets import metrics
from finai_assets.features.labelling import MatrixTask

BASE, ALL = "base", "all"


@dataclass(frozen=True, slots=True)
class Configuration:
    """A set of feature groups that models learn from."""

    name: str
    groups: tuple[str, ...]


def with_group(group: str) -> str:
    """Return the name of the configuration that adds a group to the base."""
    return f"{BASE} + {group}"


def without_group(group: str) -> str:
    """Return the name of the configuration that leaves a group out of all."""
    return f"{ALL} - {group}"


def configurations(groups: Sequence[str], base: Sequence[str]) -> list[Configuration]:
    """Return the base, the base with each other group, all groups, and all without each.

    Parameters
    ----------
    groups
        All groups, in the order of the reference.
    base
        Those that each of the others is added to; groups that the data set lacks are passed over.
    """
    kept = tuple(group for group in groups if group in base)
    others = [group for group in groups if group not in base]
    return [
        Configuration(BASE, kept),
        *(Configuration(with_group(group), (*kept, group)) for group in others),
        Configuration(ALL, tuple(groups)),
        *(Configuration(without_group(group), tuple(g for g in groups if g != group)) for group in groups),
    ]


def customer_resamples(customers: int, samples: int, seed: int) -> np.ndarray:
    """Return float64 [1 + samples, customers]: copies of each customer, the first row once each.

    One set serves all configurations, tasks and seeds, so that differences between them are paired.
    """
    return np.concatenate(list(metrics._resamples(customers, samples, seed)))


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
    label : float [n]
        NaN where masked.
    prediction, trivial : float [n] or [n, classes]
        Of the model, and of the train frequencies.
    customer : int64 [n]
        Of every test row, masked or not.
    copies : float64 [resamples, customers]
        Of the customers in ascending order.
    """
    known = np.isfinite(label)
    everyone, present = np.unique(customer), np.unique(customer[known])
    weights = np.ascontiguousarray(copies[:, np.searchsorted(everyone, present)])
    metric = metrics.PRIMARY[task.kind]

    def score(values: np.ndarray) -> np.ndarray:
        return metrics._Rows.of(task.kind, label, values, customer, task.classes).scorer(metric)(weights)

    if not len(present):
        return np.full(len(copies), np.nan)
    if task.kind == "binary":
        return 2 * score(prediction) - 1
    if task.kind == "multiclass":
        floor = score(trivial)
        return 1 - np.divide(score(prediction), floor, out=np.full(len(floor), np.nan), where=floor > 0)
    return score(prediction)
