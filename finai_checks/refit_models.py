"""C12, re-fit of what stands behind the features: the class vocabulary, the teacher's and the students' fitted parts.

Each is fitted again by the function that fitted it, from a training matrix in which the rows that it must not see are garbage.
The network's weights and the trees are not: training them again is a matter of reproducibility, not of scopes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from finai_assets.features.labelling import mcc_vocabulary
from finai_assets.features.matrix import TrainingMatrix
from finai_assets.labels.tasks import Task
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.students.result import StudentModel, StudentResult
from finai_assets.students.rows import TaskRows
from finai_assets.students.train import Candidate, Probe, bin_train, calibrate, select
from finai_assets.teacher.calibrate import Calibration
from finai_assets.teacher.losses import TeacherTask
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.result import TeacherResult, deterministic
from finai_assets.teacher.structure import Structure
from finai_assets.teacher.train import calibrate as calibrate_teacher
from finai_assets.teacher.train import prepare
from finai_checks.outcome import CheckOutcome
from finai_checks.refit import garbage_after, later_months, refit_is_equal
from finai_resources.lake_session import LakeSession

VOCABULARY = "next_mcc"
_CALIBRATION = "calibration "


def garbled(matrix: TrainingMatrix, splits: Sequence[str], *, seed: int) -> TrainingMatrix:
    """Return the matrix with garbage for the rows of some splits; what is stored stays as it is.

    Features and side tensors become large whole numbers (so that codes stay codes), labels some other label of the matrix, and
    customers strangers. A memory map is mapped again, copy-on-write.
    """
    rng = np.random.default_rng(seed)
    X, side = _writable(matrix.X), None if matrix.side is None else _writable(matrix.side)
    labels = {name: values.copy() for name, values in matrix.labels.items()}
    customer = matrix.customer.copy()
    for rows in (matrix.rows(split) for split in splits):
        count = rows.stop - rows.start
        for array in (X, side):
            if array is not None:
                array[rows] = rng.integers(100_000, 1_000_000, array.shape[1])
        for name, values in labels.items():
            known = matrix.labels[name][np.isfinite(matrix.labels[name])]
            values[rows] = rng.choice(np.unique(known), count) if len(known) else np.nan
        customer[rows] = -1 - rng.permutation(count)
    return replace(matrix, X=X, side=side, labels=labels, customer=customer)


def _writable(array: np.ndarray) -> np.ndarray:
    """Return an array with the same values whose changes reach neither the given one nor a file."""
    if isinstance(array, np.memmap) and array.filename is not None and array.flags.c_contiguous:
        return np.memmap(array.filename, array.dtype, "c", array.offset, array.shape)
    return array.copy()


def refit_vocabulary(session: LakeSession, task: Task, stored: Sequence[str], platform: Platform) -> CheckOutcome:
    """Count the classes of ``next_mcc`` again while the labels of all months after train are garbage."""
    train = platform.splits.train
    owners = session.lake.read(task.asset, train[-1].key, columns=["customer_id"])["customer_id"].to_numpy()
    with garbage_after(session, [task.asset], train[-1], owners=owners, seed=platform.settings.seed) as view:
        classes, _ = mcc_vocabulary(view, task, sorted(train))
        outside = later_months(view.seen, train[-1])
    if outside:
        return CheckOutcome(False, f"the vocabulary reads what comes after train: {', '.join(outside)}", len(outside))
    name = f"{task.name} vocabulary"
    outcome = refit_is_equal({name: np.array(stored)}, {name: np.array(classes)})
    strange = sorted(set(stored) - set(classes))
    if strange:
        return replace(outcome, reason=f"{outcome.reason}; train does not give {', '.join(strange[:8])}")
    return outcome


def refit_teacher(
    teacher: TeacherResult, matrix: TrainingMatrix, tasks: Sequence[Task], platform: Platform
) -> CheckOutcome:
    """Fit normaliser, structure and task constants again from train rows, and the calibration from validation rows.

    Before the first three, validation and test rows are made garbage; before the calibration, test rows. A calibration may differ
    by what another machine's arithmetic does to the network's logits (``checks.refit_rounding``); all else is equal to the bit.
    """
    settings = platform.settings
    with deterministic(teacher.settings.threads, teacher.seed):
        apart = garbled(matrix, ("validation", "test"), seed=settings.seed)
        data, normaliser, structure = prepare(apart, platform.registry, tasks, settings)
        apart = garbled(matrix, ("test",), seed=settings.seed)
        held_out = replace(data, X=apart.X, side=apart.side, labels=apart.labels)
        calibration = calibrate_teacher(teacher.model, teacher.normaliser, held_out, teacher.settings.batch_rows)
    exact = refit_is_equal(
        _fitted_on_train(teacher.normaliser, teacher.structure, teacher.model.tasks),
        _fitted_on_train(normaliser, structure, data.tasks),
    )
    close = refit_is_equal(
        _calibrations(teacher.calibration), _calibrations(calibration), rounding=settings.checks.refit_rounding
    )
    return both(exact, close)


def both(first: CheckOutcome, second: CheckOutcome) -> CheckOutcome:
    """Return the verdict of two comparisons together."""
    observed = {
        name: first.observed.get(name, 0) + second.observed.get(name, 0) for name in ("parameters", "differing")
    }
    return CheckOutcome(
        first.passed and second.passed,
        "; ".join(reason for reason in (first.reason, second.reason) if reason),
        first.n + second.n,
        observed,
        [*first.table, *second.table],
    )


def _fitted_on_train(
    normaliser: Normaliser, structure: Structure, tasks: Sequence[TeacherTask]
) -> dict[str, np.ndarray]:
    found = {
        f"{part} {field.name}": np.asarray(getattr(state, field.name))
        for part, state in (("normaliser", normaliser), ("structure", structure))
        for field in fields(state)
        if field.name != "layout"
    }
    found["normaliser layout"] = np.array(str(normaliser.layout.to_dict()))
    for task in tasks:
        found[f"task constants {task.name}"] = np.array([task.location, task.scale, task.trivial, *task.start])
    return found


def _calibrations(fitted: Mapping[str, Calibration]) -> dict[str, np.ndarray]:
    return {
        f"{_CALIBRATION}{name}": np.array([entry.slope, entry.offset, entry.rows], np.float64)
        for name, entry in fitted.items()
    }


class StudentRefit:
    """Fits columns, calibrators and thresholds of students again; garbled matrices and binned rows are made once for all.

    Parameters
    ----------
    matrix
        As stored.
    """

    def __init__(self, matrix: TrainingMatrix, settings: Settings) -> None:
        self.settings = settings
        self._on_train = garbled(matrix, ("validation", "test"), seed=settings.seed)
        self._on_validation = garbled(matrix, ("test",), seed=settings.seed)
        self._probe: Probe | None = None

    def outcome(self, student: StudentResult) -> CheckOutcome:
        """Tell whether columns, calibrator and operating threshold of a student come out again."""
        if student.model is None:
            return CheckOutcome(True, f"route {student.route}: nothing is fitted that is kept", 1, {"parameters": 0})
        classes = np.array(self._on_train.task(student.task).class_labels)
        stored = {"classes": np.array(student.class_labels), "columns": np.array(student.columns)}
        again = {"classes": classes, "columns": np.array(self._columns(student.task))}
        candidate = self._calibrated(student.task, student.model)
        return refit_is_equal(
            stored | _numbers(student.calibrator, student.threshold),
            again | _numbers(candidate.model.calibrator, candidate.threshold),
        )

    def _columns(self, task: str) -> list[str]:
        rows = self._rows(self._on_train, task)
        self._probe = self._probe or bin_train(self._on_train, self.settings)
        return [self._on_train.columns[place] for place in select(rows, rows.part("train"), self._probe)]

    def _calibrated(self, task: str, model: StudentModel) -> Candidate:
        rows = self._rows(self._on_validation, task)
        part, place = rows.part("validation"), {name: at for at, name in enumerate(self._on_validation.columns)}
        X = rows.features(part.index, np.array([place[name] for name in model.columns]))
        return calibrate(rows.task.kind, model, part.label, X, self.settings)

    def _rows(self, matrix: TrainingMatrix, name: str) -> TaskRows:
        """Return a task's rows; what the teacher predicts for them plays no part here."""
        task = matrix.task(name)
        shape = (len(matrix), task.classes) if task.kind == "multiclass" else (len(matrix),)
        return TaskRows(task, matrix, np.broadcast_to(np.float32(0), shape), self.settings)


def _numbers(calibrator: Mapping[str, object], threshold: float | None) -> dict[str, np.ndarray]:
    found = {f"calibrator {name}": np.asarray(value) for name, value in calibrator.items()}
    return found if threshold is None else {**found, "threshold": np.array(threshold)}
