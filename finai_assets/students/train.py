"""From a task's rows to its student: train the copy and the direct student, choose the route, measure.

Everything is learned on train (a copy on the transfer set too), and stopped, calibrated and chosen on validation. Test rows are
read once both candidates stand, to measure them, and change nothing: a copy that misses a floor there stays what it is, C23
fails, the bundle leaves the copy out, and is not promoted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from finai_assets.features.registry import Registry
from finai_assets.scoring.boosting import gain_shares
from finai_assets.scoring.calibration import NO_CALIBRATOR, fit_calibrator
from finai_assets.scoring.links import LINK_OF_KIND
from finai_assets.scoring.metrics import Estimate
from finai_assets.settings import Settings
from finai_assets.students.binned import BinnedCopies
from finai_assets.students.columns import TaskColumns
from finai_assets.students.distill import Aim, train_model
from finai_assets.students.fidelity import FidelityVerdict, compare_fidelity, measure_fidelity
from finai_assets.students.fidelity_measures import Compared
from finai_assets.students.result import (
    DirectStudent,
    OverTrivial,
    StudentModel,
    StudentResult,
    from_files,
    require_budget,
    to_files,
)
from finai_assets.students.route import (
    POLICIES,
    Policy,
    Route,
    RouteEvidence,
    RouteName,
    choose_route,
    worth_copying,
)
from finai_assets.students.rows import Part, TaskRows, Trivial, constant
from finai_assets.students.transfer import TransferSet
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import MatrixTask, TrainingMatrix
from finai_resources.progress import report_progress

__all__ = ["StudentResult", "from_files", "require_budget", "to_files", "train_student"]

_STEPS = 3  # train, distil, measure
_SERVED: dict[RouteName, Aim] = {"DISTILL": "copy", "DIRECT": "direct"}
_NAME: dict[Aim, str] = {"copy": "distilled", "direct": "direct"}  # in the metrics of a card


@dataclass(frozen=True)
class Candidate:
    """A trained model, its predictions of all validation rows, and its operating threshold (binary)."""

    model: StudentModel
    validation: np.ndarray
    threshold: float | None


def train_student(
    task: MatrixTask,
    matrix: TrainingMatrix,
    teacher_predictions: np.ndarray,
    registry: Registry,
    settings: Settings,
    *,
    columns: TaskColumns,
    transfer: TransferSet | None = None,
    binned: BinnedCopies | None = None,
) -> StudentResult:
    """Train one task's student.

    Parameters
    ----------
    teacher_predictions : float32 [n] or [n, classes]
        Row-aligned with the matrix.
    columns
        The task's columns, from :func:`finai_assets.students.columns.choose_columns`.
    transfer
        Rows without labels that the copy learns from beside the train rows.
    binned
        The bins of the copies of other tasks, which this one's copy takes where they are of the same rows and columns.

    Raises
    ------
    GateError
        Predictions or columns do not fit the matrix, or a split holds no label.
    """
    rows = TaskRows(task, matrix, teacher_predictions, settings, transfer)
    rows.require_fit(registry)
    train, validation = rows.part("train"), rows.part("validation")
    trivial = rows.trivial(train, validation)
    binned = binned or BinnedCopies()
    candidates: dict[Aim, Candidate] = {}
    if np.ptp(train.label) == 0:
        nothing = Route("SKIP", f"the label is {train.label[0]:g} on all {len(train)} train rows: nothing to learn")
        routes = dict.fromkeys(POLICIES, nothing)
    else:
        report_progress(f"{task.name}: train the direct student", 0, _STEPS)
        candidates["direct"] = fit(rows, columns, "direct", binned)
        if _worth_copying(rows, train, validation):
            report_progress(f"{task.name}: distil", 1, _STEPS)
            candidates["copy"] = fit(rows, columns, "copy", binned)
        evidence = _evidence(rows, train, validation, candidates, trivial)
        routes = {policy: choose_route(evidence, settings.students, policy) for policy in POLICIES}
    report_progress(f"{task.name}: measure", 2, _STEPS)
    return _measured(rows, validation, candidates, routes, trivial)


def fit(rows: TaskRows, columns: TaskColumns, aim: Aim, binned: BinnedCopies) -> Candidate:
    """Train one model on train and stop it on validation: a copy on all rows, a direct student on the labelled ones."""
    kind, names = rows.task.kind, columns.names[aim]
    learned, held_out = binned.samples(rows, aim, names)
    trained = train_model(kind, aim, learned, held_out, rows.settings)
    init = tuple(float(value) for value in trained.init_score)
    bare = StudentModel(trained.text, names, LINK_OF_KIND[kind], init, NO_CALIBRATOR)
    everyone = rows.everyone("validation")
    return calibrate(
        kind, aim, bare, everyone.label, rows.features(everyone.index, places(rows.matrix, names)), rows.settings
    )


def calibrate(
    kind: str, aim: Aim, bare: StudentModel, label: np.ndarray, X: np.ndarray, settings: Settings
) -> Candidate:
    """Fit a direct student's calibrator and, for a binary task, the operating threshold on validation rows.

    A copy has no calibrator: its teacher is calibrated, and another map would only take it away from its teacher.

    Parameters
    ----------
    bare
        The trained model; whatever calibrator it has is not looked at.
    label : float [n]
        NaN where masked.
    X : float32 [n, columns]
        The model's inputs.
    """
    students, known = settings.students, np.isfinite(label)
    raw = bare.raw(X, threads=students.threads)
    method = students.calibration if aim == "direct" else "none"
    model = replace(bare, calibrator=fit_calibrator(kind, method, raw[known], label[known]))
    prediction = model.finish(raw)
    # As many validation rows lie above the operating threshold as are positive.
    threshold = float(np.quantile(prediction[known], 1 - label[known].mean())) if kind == "binary" else None
    return Candidate(model, prediction, threshold)


def aim_of(route: RouteName) -> Aim:
    """Return what the model of a route learns."""
    return _SERVED[route]


def places(matrix: TrainingMatrix, names: Sequence[str]) -> np.ndarray:
    """Return where columns stand in the matrix, int64 [names]."""
    place = {name: index for index, name in enumerate(matrix.columns)}
    return np.array([place[name] for name in names], dtype=np.int64)


def fitted_on(rows: TaskRows, aim: Aim) -> dict[str, FittedRows]:
    """Return the rows that the parts of a model have seen; ``calibration`` includes the operating threshold."""
    described = {split: FittedRows.of(rows.matrix, rows.seen(split, aim).index) for split in ("train", "validation")}
    labelled = FittedRows.of(rows.matrix, rows.part("validation").index)
    found = {
        f"{aim} trees": described["train"],
        f"{aim} stopping": described["validation"],
        f"{aim} calibration": labelled,
    }
    if aim == "copy" and rows.transfer is not None:
        found["copy transfer"] = rows.transfer.rows
    return found


def _worth_copying(rows: TaskRows, train: Part, validation: Part) -> bool:
    """Return whether the teacher reaches its threshold, so that distilling is worth its time."""
    teacher, prior = (
        rows.score(validation, prediction)
        for prediction in (validation.teacher, constant(rows.prior(train), validation))
    )
    return worth_copying(rows.task.kind, rows.task.classes, teacher, prior, rows.settings.students.teacher_threshold)[0]


def _evidence(
    rows: TaskRows, train: Part, validation: Part, candidates: Mapping[Aim, Candidate], trivial: Trivial
) -> RouteEvidence:
    """Collect the figures that decide the route, all on validation."""
    forecast = trivial.predict(validation)
    labelled = validation.index - rows.matrix.rows("validation").start
    direct = candidates["direct"].validation[labelled]
    rival: Estimate | None = None
    copy: Estimate | None = None
    doubts: tuple[str, ...] = ()
    if (distilled := candidates.get("copy")) is not None:
        rival = rows.difference(validation, direct, distilled.validation[labelled])
        copy = rows.difference(validation, distilled.validation[labelled], forecast)
        settings = rows.settings
        verdict = _fidelity(rows, rows.everyone("validation"), distilled.validation, distilled.threshold)
        doubts = verdict.doubts(settings.metrics.confidence, settings.students.assurance)
    return RouteEvidence(
        kind=rows.task.kind,
        classes=rows.task.classes,
        teacher=rows.score(validation, validation.teacher),
        prior=rows.score(validation, constant(rows.prior(train), validation)),
        trivial=trivial.name,
        teacher_over_trivial=rows.difference(validation, validation.teacher, forecast),
        direct_over_trivial=rows.difference(validation, direct, forecast),
        distilled_over_trivial=copy,
        direct_over_distilled=rival,
        doubts=doubts,
    )


def _fidelity(rows: TaskRows, part: Part, student: np.ndarray, threshold: float | None) -> FidelityVerdict:
    settings, task = rows.settings, rows.task
    compared = Compared(
        task.kind,
        part.teacher,
        student,
        part.label,
        part.customer,
        threshold,
        settings.students.deciding_decile.get(task.name, "highest"),
        rows.noise,
    )
    found = measure_fidelity(compared, settings.metrics, settings.seed)
    return compare_fidelity(task.kind, found, settings.students.fidelity)


def _measured(
    rows: TaskRows,
    validation: Part,
    candidates: Mapping[Aim, Candidate],
    routes: Mapping[Policy, Route],
    trivial: Trivial,
) -> StudentResult:
    """Measure the models on test, and make the student of the route chosen on validation."""
    task, students = rows.task, rows.settings.students
    route = routes[students.policy]
    aim = _SERVED.get(route.name)
    test, everyone = rows.part("test"), rows.everyone("test")
    on_test = {
        which: candidate.model.predict(
            rows.features(everyone.index, places(rows.matrix, candidate.model.columns)), threads=students.threads
        )
        for which, candidate in candidates.items()
    }
    labelled = {
        "validation": validation.index - rows.matrix.rows("validation").start,
        "test": test.index - rows.matrix.rows("test").start,
    }
    predicted = {
        "validation": {which: candidate.validation for which, candidate in candidates.items()},
        "test": on_test,
    }
    report: dict[str, dict[str, dict[str, Estimate]]] = {}
    for split, part in (("validation", validation), ("test", test)):
        report[split] = {
            "teacher": rows.score(part, part.teacher),
            **{name: rows.score(part, forecast(part)) for name, forecast in trivial.forecasts.items()},
            **{_NAME[which]: rows.score(part, values[labelled[split]]) for which, values in predicted[split].items()},
        }
        if aim is not None:
            report[split]["student"] = report[split][_NAME[aim]]
    fidelity = None
    if (copy := candidates.get("copy")) is not None:
        fidelity = _fidelity(rows, everyone, on_test["copy"], copy.threshold)
    served = {"teacher": test.teacher} | ({"student": on_test[aim][labelled["test"]]} if aim else {})
    served |= (
        {"direct": on_test["direct"][labelled["test"]]} if aim == "copy" else {}
    )  # serves where the copy does not travel
    over_trivial = {who: rows.difference(test, prediction, trivial.predict(test)) for who, prediction in served.items()}
    chosen = candidates[aim] if aim else None
    layer_2 = candidates["direct"] if aim == "copy" else None
    seen = {"prior": FittedRows.of(rows.matrix, rows.part("train").index)}
    for which in _SERVED.values():
        if chosen is not None and (which == aim or (which == "direct" and layer_2 is not None)):
            seen |= fitted_on(rows, which)
    return StudentResult(
        task=task.name,
        kind=task.kind,
        classes=task.classes,
        class_labels=task.class_labels,
        route=route.name,
        reason=route.reason,
        model=chosen.model if chosen else None,
        threshold=chosen.threshold if chosen else None,
        metrics=report,
        trivial=OverTrivial(trivial.name, over_trivial),
        over_teacher=rows.difference(test, served["student"], test.teacher) if aim else None,
        fidelity=fidelity,
        gain=gain_shares(chosen.model.text) if chosen else {},
        fitted_on=seen,
        direct=DirectStudent(layer_2.model, layer_2.threshold) if layer_2 else None,
        routes={policy: other.name for policy, other in routes.items()},
    )
