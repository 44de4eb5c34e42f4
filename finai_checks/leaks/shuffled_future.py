"""C11, the verdict on swapped futures: a model trained on the swapped labels must have no skill.

For a sample of customers of a month, raw tables are copied into a lake that lives for the length of the check. There the
customers keep their own past, and have the data after the cutoff of another customer (the donor): the events, and the snapshots
of the label months. The swap runs in one cycle over the sample, drawn anew in each month, so that no customers keep their own
future, and the identity of a customer tells nothing of the next donor. On that lake the real code computes features and labels
again. Then

1. *features*: every column must equal that of the training matrix, bit for bit. A feature that reads the future, or a column of
   the matrix that was written from labels, differs;
2. *labels*: a label that the window alone decides must be the donor's, as the matrix holds it. One that is taken from the
   customer's own past differs;
3. *skill*: a model that learns the donors' labels from those features must be no better than the prior, on validation rows
   swapped likewise. A feature that survives the swap (since it is computed from the swapped events) has skill.

Most labels are *relative* to the customer's own past: churn to the mean held before, stability, acquisitions and cross-sell to
what is held at the cutoff, the trend and the shift of categories to the window before. With another customer's future such a
label would rightly depend on the customer's own past (who holds a deposit cannot acquire it), and a model would have an honest
skill. For these the donor brings past and future alike: the label is that of the donor, whole, while the features stand between
the customer's own past and the donor's future. So their labels are not compared in step 2, and step 3 is valid for every task.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from finai_assets.scoring.boosting import Binning, Growth, bin_rows, hard_loss, train_trees
from finai_assets.scoring.metrics import scores_under
from finai_assets.scoring.resampling import all_copies, percentile_interval
from finai_assets.settings.checks import ShuffledFutureSettings
from finai_assets.training.labelling import MatrixTask
from finai_checks.framework.check import CheckOutcome
from finai_checks.leaks.shuffled_future_lake import SwappedMonth

MEASURE = {"binary": ("auc", 0.5), "multiclass": ("auc_ovr", 0.5), "regression": ("spearman", 0.0)}
_NAMED = 8


def shuffled_future(
    train: Sequence[SwappedMonth],
    validation: SwappedMonth | None,
    columns: Sequence[str],
    tasks: Sequence[MatrixTask],
    *,
    absolute: Collection[str],
    rules: ShuffledFutureSettings,
    confidence: float,
    seed: int,
) -> CheckOutcome:
    """Return whether no feature, label or skill survives the swap.

    Parameters
    ----------
    train
        Months that the model learns from.
    validation
        The month that it is scored on; one month, so that a rate that differs between months lends no skill.
    absolute
        Names of the tasks whose label the window alone decides; every other one is relative to the customer's past.
    confidence
        That no task is found guilty by chance: shared out among the tasks (Bonferroni).
    """
    if validation is None or not len(validation.customer) or not train or not tasks:
        return CheckOutcome.no_evidence(train_months=len(train), tasks=len(tasks))
    months = [*train, validation]
    changed = _changed_columns(months, columns)
    own = _own_labels(months, [task for task in tasks if task.name in absolute])
    rows = _skill_rows(train, validation, tasks, rules, confidence, seed)
    guilty = [row for row in rows if row["passed"] is False]
    scarce = [row["task"] for row in rows if row["passed"] is None]
    reasons = []
    if changed:
        named = ", ".join(list(changed)[:_NAMED])
        reasons.append(f"{len(changed)} columns of the matrix are not what the past gives: {named}")
    reasons += [f"{task} is not decided by the window in {count} rows" for task, count in own.items() if count]
    reasons += [
        f"{row['task']} is still predictable: {row['measure']} {row['skill']:.3f}, at least {row['low']:.3f}"
        for row in guilty
    ]
    if len(scarce) == len(rows):
        reasons.append(f"no task has {rules.class_rows} rows of a class to be scored on")
    judged = [row for row in rows if row["passed"] is not None]
    highest = max(judged, key=lambda row: float(row["low"] - row["chance"]), default=None)
    observed = {
        "train_months": [part.month for part in train],
        "validation_month": validation.month,
        "train_rows": sum(len(part.customer) for part in train),
        "changed_columns": len(changed),
        "tasks_with_skill": len(guilty),
        "not_judged": scarce,
        "highest": f"{highest['measure']} of {highest['task']}" if highest else None,
        "interval": [highest["low"], highest["high"]] if highest else None,
    }
    remark = (
        f"not judged, as fewer than {rules.class_rows} rows lie outside the main class: {', '.join(scarce)}"
        if scarce
        else ""
    )
    table = [*({"column": name, "rows": count, "passed": False} for name, count in changed.items()), *rows]
    return CheckOutcome(not reasons, "; ".join(reasons) or remark, len(validation.customer), observed, table)


def _skill_rows(  # what the models and their scores are made of
    train: Sequence[SwappedMonth],
    validation: SwappedMonth,
    tasks: Sequence[MatrixTask],
    rules: ShuffledFutureSettings,
    confidence: float,
    seed: int,
) -> list[dict[str, Any]]:
    """Train a model of each task on swapped rows, and score it on others."""
    models = _Models(np.concatenate([part.features for part in train]), rules.rounds, seed)
    customers = len(validation.customer)
    copies = all_copies(customers, rules.resamples, [seed, customers])
    shared = 1 - (1 - confidence) / len(tasks)
    rows = []
    for task in tasks:
        learnt, scored = np.concatenate([part.labels[task.name] for part in train]), validation.labels[task.name]
        enough = min(_contrast(task, learnt), _contrast(task, scored)) >= rules.class_rows
        prediction = models.predict(task, learnt, validation.features) if enough else None
        rows.append(_skill_row(task, scored, prediction, copies, shared, rules.tolerance))
    return rows


def _changed_columns(months: Sequence[SwappedMonth], columns: Sequence[str]) -> dict[str, int]:
    """Return how many rows of each column differ in a bit, for those that do."""
    wrong = np.zeros(len(columns), np.int64)
    for part in months:
        stored, features = (np.ascontiguousarray(values).view(np.uint32) for values in (part.stored, part.features))
        wrong += (stored != features).sum(axis=0)
    return {columns[int(index)]: int(wrong[index]) for index in np.flatnonzero(wrong)}


def _own_labels(months: Sequence[SwappedMonth], tasks: Sequence[MatrixTask]) -> dict[str, int]:
    """Return in how many rows a label that the window decides is not the donor's."""
    return {
        task.name: sum(int((~_same(part.labels[task.name], part.derived[task.name])).sum()) for part in months)
        for task in tasks
    }


def _same(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))


def _skill_row(
    task: MatrixTask,
    scored: np.ndarray,
    prediction: np.ndarray | None,
    copies: np.ndarray,
    confidence: float,
    tolerance: float,
) -> dict[str, Any]:
    """Score the predictions of a model; ``passed`` is None where the rows are too few, the interval then absent.

    A customer has one row, as there is one month.
    """
    measure, chance = MEASURE[task.kind]
    row = {
        "task": task.name, "measure": measure, "skill": None, "low": None, "high": None, "chance": chance,
        "rows": int(np.isfinite(scored).sum()), "passed": None,
    }  # fmt: skip
    if prediction is None:
        return row
    customer = np.arange(len(scored))
    values = scores_under(task.kind, scored, prediction, customer, copies, classes=task.classes, metric=measure)
    if not np.isfinite(values[0]):
        # A model that found nothing to split on says the same of everybody: that is the prior.
        return {**row, "skill": chance, "low": chance, "high": chance, "passed": True}
    low, high = percentile_interval(values[1:], confidence, least=0.0)
    return {**row, "skill": float(values[0]), "low": low, "high": high, "passed": low <= chance + tolerance}


def _contrast(task: MatrixTask, label: np.ndarray) -> int:
    """Return how many rows stand outside the most frequent class; of a regression, how many differ from its median."""
    known = label[np.isfinite(label)]
    if not len(known):
        return 0
    if task.kind == "regression":
        return int((known != np.median(known)).sum())
    return int(len(known) - np.bincount(known.astype(np.int64)).max())


class _Models:
    """One model a task, all on the same binned features."""

    def __init__(self, X: np.ndarray, rounds: Mapping[Any, int], seed: int) -> None:
        self.rounds = rounds
        self.binned = bin_rows(X, Binning(seed=seed, threads=1, min_leaf_rows=5, max_bin=63))

    def predict(self, task: MatrixTask, label: np.ndarray, X: np.ndarray) -> np.ndarray:
        """Learn a task and return [n] or, for a multiclass task, [n, classes]."""
        growth = Growth(rounds=self.rounds[task.kind], leaves=8, learning_rate=0.1, column_share=0.3)
        trees = train_trees(hard_loss(task.kind, task.classes), self.binned.labelled(label), growth)
        return trees.predict(X, threads=1)
