"""C12, re-fit of what comes after the features: the class vocabulary, the teacher's and the students' fitted parts.

Each is fitted again by the function that fitted it, from a training matrix in which the rows that it must not see are garbage.
The network's weights and the trees are not fitted again here: that is a matter of reproducibility (C28), not of scopes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from finai_assets.asset_graph import PREDICTIONS
from finai_assets.choice.model import ChoiceModel
from finai_assets.choice.train import fit_again
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.labels.tasks import Task
from finai_assets.platform import Platform
from finai_assets.scoring.calibration import Calibration
from finai_assets.settings import Settings
from finai_assets.students.columns import AIMS, TaskColumns, choose_columns
from finai_assets.students.distill import Aim
from finai_assets.students.result import StudentResult
from finai_assets.students.rows import TaskRows
from finai_assets.students.train import aim_of, calibrate, places
from finai_assets.teacher.fitting.losses import TeacherTask
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.predictions import load_predictions
from finai_assets.teacher.result import TeacherResult, deterministic
from finai_assets.teacher.structure import Structure
from finai_assets.teacher.train import calibrate as calibrate_teacher
from finai_assets.teacher.train import prepare
from finai_assets.training.labelling import class_vocabulary
from finai_assets.training.matrix import TrainingMatrix, load_matrix
from finai_checks.fits.refit import garbage_after, later_months, refit_is_equal, refit_outcome
from finai_checks.fits.scopes import fitted_tasks
from finai_checks.framework.check import CheckOutcome
from finai_resources.lake_session import LakeSession


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
    """Return a copy of an array; changes of it reach neither the given array nor a file."""
    if isinstance(array, np.memmap) and array.filename is not None and array.flags.c_contiguous:
        return np.memmap(array.filename, array.dtype, "c", array.offset, array.shape)
    return array.copy()


def refit_vocabularies(session: LakeSession, stored: Mapping[str, Sequence[str]], platform: Platform) -> CheckOutcome:
    """Count the classes of each task of codes again while the labels of all months after train are garbage.

    Parameters
    ----------
    stored
        Classes of each task as the training matrix names them.
    """
    train, tasks, again = platform.splits.train, fitted_tasks(platform), {}
    owners = session.lake.read(tasks[0].asset, train[-1].key, columns=["customer_id"])["customer_id"].to_numpy()
    assets = [task.asset for task in tasks]
    with garbage_after(session, assets, train[-1], owners=owners, seed=platform.settings.seed) as view:
        for task in tasks:
            classes, _ = class_vocabulary(view, task, sorted(train))
            again[f"{task.name} vocabulary"] = np.array(classes)
        outside = later_months(view.seen, train[-1])
    return refit_outcome({f"{task.name} vocabulary": np.array(stored[task.name]) for task in tasks}, again, outside)


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
    kept = _calibrations(teacher.calibration)
    stored = _fitted_on_train(teacher.normaliser, teacher.structure, teacher.model.tasks)
    again = _fitted_on_train(normaliser, structure, data.tasks) | _calibrations(calibration)
    return refit_is_equal(stored | kept, again, rounded=kept, rounding=settings.checks.refit_rounding)


def _fitted_on_train(
    normaliser: Normaliser, structure: Structure, tasks: Sequence[TeacherTask]
) -> dict[str, np.ndarray]:
    parameters = {
        f"{part} {field.name}": np.asarray(getattr(state, field.name))
        for part, state in (("normaliser", normaliser), ("structure", structure))
        for field in fields(state)
        if field.name != "layout"
    }
    parameters["normaliser layout"] = np.array(str(normaliser.layout.to_dict()))
    for task in tasks:
        parameters[f"task constants {task.name}"] = np.array([task.location, task.scale, task.trivial, *task.start])
    return parameters


def _calibrations(fitted: Mapping[str, Calibration]) -> dict[str, np.ndarray]:
    return {
        f"calibration {name}": np.array([entry.slope, entry.offset, entry.rows], np.float64)
        for name, entry in fitted.items()
    }


def refit_columns(stored: Mapping[str, TaskColumns], session: LakeSession, platform: Platform) -> CheckOutcome:
    """Choose the columns of all students again while validation and test rows, and the teacher's answers to them, are garbage."""
    settings = platform.settings
    apart = garbled(load_matrix(session), ("validation", "test"), seed=settings.seed)
    predictions = load_predictions(session.read(PREDICTIONS), apart.tasks)
    unseen = np.flatnonzero(apart.split != "train")
    for name, values in predictions.items():
        predictions[name] = values.copy()
        predictions[name][unseen] = predictions[name][unseen[::-1]]
    found = choose_columns(
        apart, predictions, settings, displayable=platform.displayable, rule_columns=platform.rule_columns
    )
    return refit_is_equal(_column_names(stored), _column_names(found))


def _column_names(columns: Mapping[str, TaskColumns]) -> dict[str, np.ndarray]:
    return {f"{task} {aim}": np.array(entry.names[aim]) for task, entry in columns.items() for aim in AIMS}


def refit_choice(
    models: Mapping[str, ChoiceModel],
    penalties: Mapping[str, float],
    matrix: TrainingMatrix,
    outcomes: Outcomes,
    settings: Settings,
) -> CheckOutcome:
    """Fit the choice models again, at their penalties, while validation and test rows are garbage."""
    apart = garbled(matrix, ("validation", "test"), seed=settings.seed)
    unseen = apart.split != "train"
    held = outcomes.held.copy()
    held[unseen] = ~held[unseen]
    other = Outcomes(apart.customer, held, outcomes.acquired & ~held)
    again = {name: fit_again(model, penalties[name], apart, other, settings) for name, model in models.items()}
    return refit_is_equal(_choice_arrays(models), _choice_arrays(again))


def _choice_arrays(models: Mapping[str, ChoiceModel]) -> dict[str, np.ndarray]:
    found = {}
    for name, model in models.items():
        for part, values in {**vars(model.squash), "intercept": model.intercept, "weights": model.weights}.items():
            found[f"{name} {part}"] = values
    return found


def refit_calibrators(
    students: Mapping[str, StudentResult], matrix: TrainingMatrix, settings: Settings
) -> dict[str, CheckOutcome]:
    """Fit calibrators and operating thresholds of students again while test rows are garbage; compare their classes too."""
    apart = garbled(matrix, ("test",), seed=settings.seed)
    outcomes: dict[str, CheckOutcome] = {}
    for name, student in students.items():
        if student.model is None:
            outcomes[name] = _nothing_kept(student)
            continue
        rows = _task_rows(apart, student.task, settings)
        part = rows.everyone("validation")
        stored = {"classes": np.array(student.class_labels)}
        again = {"classes": np.array(rows.task.class_labels)}
        aim = aim_of(student.route)
        models = {aim: (student.model, student.threshold)}
        if student.direct is not None:
            models["direct"] = (student.direct.model, student.direct.threshold)
        for which, (model, threshold) in models.items():
            X = rows.features(part.index, places(matrix, model.columns))
            fitted = calibrate(rows.task.kind, which, model, part.label, X, settings)
            stored |= _numbers(which, model.calibrator, threshold)
            again |= _numbers(which, fitted.model.calibrator, fitted.threshold)
        outcomes[name] = refit_is_equal(stored, again)
    return outcomes


def _nothing_kept(student: StudentResult) -> CheckOutcome:
    return CheckOutcome(True, f"route {student.route}: nothing that was fitted is kept", 1, {"parameters": 0})


def _task_rows(matrix: TrainingMatrix, name: str, settings: Settings) -> TaskRows:
    """Return a task's rows, without the teacher's predictions, which are not used here."""
    task = matrix.task(name)
    shape = (len(matrix), task.classes) if task.kind == "multiclass" else (len(matrix),)
    return TaskRows(task, matrix, np.broadcast_to(np.float32(0), shape), settings)


def _numbers(aim: Aim, calibrator: Mapping[str, object], threshold: float | None) -> dict[str, np.ndarray]:
    numbers = {f"{aim} calibrator {name}": np.asarray(value) for name, value in calibrator.items()}
    return numbers if threshold is None else {**numbers, f"{aim} threshold": np.array(threshold)}
