"""Two bundles on the same test rows: paired differences of the primary metrics, and how far the outputs moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from finai_assets.promotion.facts import Fault, TaskComparison, TaskShift
from finai_assets.promotion.shift import shift_of
from finai_assets.scoring.metrics import PRIMARY, PROBABILITY_FLOOR, paired_difference, scores_under, verdict
from finai_assets.settings import Settings
from finai_assets.training.matrix import MatrixTask, TrainingMatrix
from finai_resources.json_text import number
from serving_lambda.bundle import Bundle
from serving_lambda.scorer import score_matrix


@dataclass(frozen=True)
class Compared:
    """The comparison of all tasks."""

    tasks: tuple[TaskComparison, ...]
    shifts: tuple[TaskShift, ...]
    faults: tuple[Fault, ...] = ()


def compare(challenger: Bundle, champion: Bundle, matrix: TrainingMatrix, settings: Settings) -> Compared:
    """Compare two bundles on the test rows of the training matrix.

    A task that a bundle leaves to the rules is scored as the constant forecast of the train labels: that is what the rules know
    of a customer.

    Returns
    -------
    Compared
        With ``faults``, and nothing else, where a bundle reads columns that the matrix lacks.
    """
    faults = [
        Fault(
            "COMPARISON_IMPOSSIBLE",
            f"{role} {bundle.bundle_id} reads columns that do not exist here: {', '.join(lost[:5])}",
        )
        for role, bundle in (("the challenger", challenger), ("the champion", champion))
        if (lost := [name for name in bundle.names if name not in matrix.columns])
    ]
    if faults:
        return Compared((), (), tuple(faults))
    tasks, shifts = [], []
    for task in matrix.tasks:
        new, old = predictions(challenger, task, matrix), predictions(champion, task, matrix)
        tasks.append(_compare_task(task, new, old, matrix, settings))
        shifts.append(shift_of(task.name, old, new))
    return Compared(tuple(tasks), tuple(shifts))


def predictions(bundle: Bundle, task: MatrixTask, matrix: TrainingMatrix) -> np.ndarray:
    """Return a bundle's finished predictions of a task on test rows: float64 [n], or [n, classes] of a multiclass task."""
    rows = matrix.rows("test")
    student = bundle.students.get(task.name)
    if student is None or student.unavailable:
        return _constant(task, matrix, rows.stop - rows.start)
    place = [matrix.columns.index(bundle.names[position]) for position in student.positions]
    values = np.ascontiguousarray(matrix.X[rows][:, place], dtype=np.float32)
    found = np.asarray(score_matrix(student, values, len(values)), dtype=np.float64)
    return _by_label(found, student.class_labels, task) if task.kind == "multiclass" else found[:, 0]


def _by_label(found: np.ndarray, labels: tuple[str, ...], task: MatrixTask) -> np.ndarray:
    """Return class probabilities in the order of the matrix's classes; one that the student does not know is next to nothing."""
    if not labels or labels == task.class_labels:
        return found
    aligned = np.full((len(found), task.classes), PROBABILITY_FLOOR)
    for place, label in enumerate(task.class_labels):
        if label in labels:
            aligned[:, place] = np.maximum(found[:, labels.index(label)], PROBABILITY_FLOOR)
    return aligned / aligned.sum(axis=1, keepdims=True)


def _constant(task: MatrixTask, matrix: TrainingMatrix, n: int) -> np.ndarray:
    label = matrix.labels[task.name][matrix.rows("train")]
    known = label[np.isfinite(label)].astype(np.float64)
    if task.kind != "multiclass":
        return np.full(n, known.mean() if len(known) else 0.0)
    counts = (
        np.bincount(known.astype(np.int64), minlength=task.classes) + 1.0
    )  # a class that train lacks stays possible
    return np.tile(counts / counts.sum(), (n, 1))


def _compare_task(
    task: MatrixTask, new: np.ndarray, old: np.ndarray, matrix: TrainingMatrix, settings: Settings
) -> TaskComparison:
    rows, metric = matrix.rows("test"), PRIMARY[task.kind]
    label, customer = matrix.labels[task.name][rows], matrix.customer[rows]
    difference = paired_difference(
        task.kind, label, new, old, customer, classes=task.classes, settings=settings.metrics, seed=settings.seed
    )
    once = np.ones((1, len(np.unique(customer))))
    new_score, old_score = (
        number(float(scores_under(task.kind, label, given, customer, once, classes=task.classes)[0]))
        for given in (new, old)
    )
    return TaskComparison(
        task.name,
        metric,
        difference.n,
        new_score,
        old_score,
        number(difference.value),
        number(difference.low),
        number(difference.high),
        verdict(difference, metric),
    )
