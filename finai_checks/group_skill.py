"""C11, columns together: what a shallow tree, or a pair of columns, of one feature group tells of each label.

A leak may be spread over two or three columns of a group. A tree of depth 3 on all columns of the group finds most of them. It
grows greedily: where neither of two columns says anything alone (an exclusive or), it does not find the pair. So of each group
the pair whose *product of signs* (above or below the median) goes best with a label is looked up among all pairs, and judged as
one column of nine values: either column low, high or missing.

What is learnt is learnt on one half of the customers and scored on the other. The pair is chosen on all rows that are looked
at, and so may be one that luck favours; that lends it some hundredths, not a skill of .98.
"""

from __future__ import annotations

from dataclasses import dataclass

import lightgbm as lgb
import numpy as np

from finai_assets.features.labelling import MatrixTask
from finai_checks.single_column_skill import Targets, classes_of

DEPTH = 3
_TREE_BINS = 63
_CELLS = 3  # missing, low, high


@dataclass(frozen=True, slots=True)
class TreeSkill:
    """What a tree tells of a label: the skill, and the class that it tells best (-1 for a regression)."""

    skill: float
    chosen: int


def tree_skills(columns: np.ndarray, targets: Targets, *, threads: int, seed: int) -> dict[str, TreeSkill]:
    """Grow a tree of depth 3 for each task on each half of the customers, and score it on the other.

    Parameters
    ----------
    columns : float32 [d, n]

    Returns
    -------
    dict
        By task; those that the rows are too few for are left out.
    """
    rows = np.ascontiguousarray(columns.T)
    halves = [np.flatnonzero(targets.fold == f) for f in range(2)]
    common = {
        "max_depth": DEPTH, "num_leaves": 2**DEPTH, "learning_rate": 1.0, "max_bin": _TREE_BINS, "min_data_in_leaf": 3,
        "min_sum_hessian_in_leaf": 1e-6, "feature_pre_filter": False, "deterministic": True, "force_col_wise": True,
        "num_threads": threads, "seed": seed % 2**31, "verbosity": -1,
    }  # fmt: skip
    binned = [lgb.Dataset(rows[half], params=common).construct() for half in halves]
    found = {}
    for task in targets.tasks:
        if not targets.sufficient(task.name):
            continue
        scored = []
        for f in range(2):
            prediction = _grown(task, targets, binned[f], halves[f], rows[halves[1 - f]], common)
            scored.append(_scores(task, targets, halves[1 - f], prediction))
        found[task.name] = _best(scored)
    return found


def _grown(
    task: MatrixTask,
    targets: Targets,
    binned: lgb.Dataset,
    half: np.ndarray,
    others: np.ndarray,
    common: dict[str, object],
) -> np.ndarray | None:
    """Return what a tree grown on a half says of other rows, [n] or [n, classes]; None where the half holds no contrast."""
    where, t = targets.place(task.name)
    label = targets.values[half, t] if where == "values" else targets.codes[half, t].astype(np.float64)
    known = np.isfinite(label) if where == "values" else label >= 0
    if not known.any() or np.ptp(label[known]) == 0:
        return None
    objective: dict[str, object] = {"objective": task.kind}
    if task.kind == "multiclass":
        objective["num_class"] = task.classes
    binned.set_label(np.where(known, label, 0.0))
    train = binned if known.all() else binned.subset(np.flatnonzero(known).tolist()).construct()
    booster = lgb.train({**common, **objective}, train, num_boost_round=1)
    return np.asarray(booster.predict(others, raw_score=True))


def _scores(task: MatrixTask, targets: Targets, half: np.ndarray, prediction: np.ndarray | None) -> dict[int, float]:
    """Return R2 (under -1), or the AUC of each judged class, of a prediction of a half's rows."""
    if prediction is None:
        return {}
    where, _ = targets.place(task.name)
    if where == "values":
        label = targets.label(task.name)[half]
        known = np.isfinite(label)
        spread = float(np.sum((label[known] - label[known].mean()) ** 2)) if known.any() else 0.0
        return {-1: 1 - float(np.sum((label[known] - prediction[known]) ** 2)) / spread} if spread > 0 else {}
    found = {}
    for chosen in targets.judged_classes(task.name):
        label = targets.label(task.name, int(chosen))[half]
        score = prediction if prediction.ndim == 1 else prediction[:, chosen]
        auc = _auc(label, score)
        if auc is not None:
            found[int(chosen)] = auc
    return found


def _auc(label: np.ndarray, score: np.ndarray) -> float | None:
    """Return the AUC of a score of few distinct values; None without a positive or a negative."""
    known = np.isfinite(label)
    level, at = np.unique(score[known], return_inverse=True)
    total = np.bincount(at, minlength=len(level))
    positive = np.bincount(at, label[known], minlength=len(level))
    negative = total - positive
    if not positive.sum() or not negative.sum():
        return None
    won = positive @ (np.cumsum(negative) - 0.5 * negative)
    return float(won / (positive.sum() * negative.sum()))


def _best(scored: list[dict[int, float]]) -> TreeSkill:
    """Return the class with the highest mean over the halves that tell of it."""
    classes = set().union(*scored)
    mean = {c: float(np.mean([half[c] for half in scored if c in half])) for c in classes}
    if not mean:
        return TreeSkill(float("nan"), -1)
    chosen = max(sorted(mean), key=lambda c: mean[c])
    return TreeSkill(mean[chosen], chosen)


def strongest_pairs(columns: np.ndarray, targets: Targets, *, rows: int) -> dict[str, tuple[int, int]]:
    """Return for each task the two columns whose product of signs goes best with its label.

    Parameters
    ----------
    columns : float32 [d, n]
    rows
        So many rows, evenly spread, are looked at: an exclusive or shows on few, and the cost is ``rows`` times the square of
        the number of columns for each class.
    """
    if len(columns) < 2:
        return {}
    n = columns.shape[1]
    picked = np.unique(np.linspace(0, n - 1, min(rows, n)).astype(np.int64))
    signs = _signs(columns[:, picked]).T  # [rows, d]
    found = {}
    for task in targets.tasks:
        if not targets.sufficient(task.name):
            continue
        best = (-1.0, (0, 1))
        for chosen in [-1] if task.kind == "regression" else targets.judged_classes(task.name):
            label = targets.label(task.name, int(chosen))[picked]
            known = np.isfinite(label)
            if known.sum() < 2 or not np.ptp(label[known]):
                continue
            y = np.where(known, label - label[known].mean(), 0.0)
            y /= np.linalg.norm(y) * np.sqrt(known.sum())
            together = np.abs((signs * y[:, None].astype(np.float32)).T @ signs)
            np.fill_diagonal(together, 0.0)
            at = int(together.argmax())
            best = max(best, (float(together.flat[at]), divmod(at, len(columns))))
        if best[0] >= 0:
            i, j = sorted(best[1])
            found[task.name] = (int(i), int(j))
    return found


def cells(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the nine cells of two columns as one float32 column."""
    return (_CELLS * _levels(first) + _levels(second)).astype(np.float32)


def _signs(columns: np.ndarray) -> np.ndarray:
    """Return -1 (low), 1 (high) and 0 (missing) of each column, float32."""
    return np.array([_levels(column) for column in columns], np.float32) * 2 - 3 + (np.isnan(columns) * 3)


def _levels(column: np.ndarray) -> np.ndarray:
    """Return 0 where missing, 1 up to the median, 2 above; where nothing lies above the median, 2 begins at it."""
    present = column[~np.isnan(column)]
    middle = np.median(present) if len(present) else 0.0
    above = column > middle if len(present) and present.max() > middle else column >= middle
    return np.where(np.isnan(column), 0, np.where(above, 2, 1))


def pair_columns(columns: np.ndarray, targets: Targets, *, rows: int) -> tuple[np.ndarray, list[tuple[str, int, int]]]:
    """Return the strongest pair of each task as a column of cells, float32 [pairs, n], with task and positions of each."""
    pairs = [(task, i, j) for task, (i, j) in strongest_pairs(columns, targets, rows=rows).items()]
    made = [cells(columns[i], columns[j]) for _, i, j in pairs]
    return np.array(made, np.float32).reshape(len(made), columns.shape[1]), pairs


__all__ = ["TreeSkill", "cells", "classes_of", "pair_columns", "strongest_pairs", "tree_skills"]
