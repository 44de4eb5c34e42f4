"""From a task's rows to its student: select columns, train the direct and the distilled model, choose the route, measure.

Everything is learned on train, and stopped, calibrated and chosen on validation. Test rows are read once both candidates
stand, to measure them; the one thing that they can change is that a copy which misses a fidelity floor there makes way for the
direct student, unless the policy is to replicate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from finai_assets.features.registry import Registry
from finai_assets.features.sampling import sample_customers
from finai_assets.scoring.boosting import BinnedRows, gain_shares
from finai_assets.scoring.calibration import NO_CALIBRATOR, fit_calibrator
from finai_assets.scoring.links import LINK_OF_KIND
from finai_assets.scoring.metrics import Estimate
from finai_assets.settings import Settings
from finai_assets.students.distill import Examples, bin_probe, hard_target, probe_gain, train_model
from finai_assets.students.fidelity import FidelityVerdict, compare_fidelity, measure_fidelity
from finai_assets.students.result import (
    DirectStudent,
    OverTrivial,
    StudentModel,
    StudentResult,
    from_files,
    require_budget,
    to_files,
)
from finai_assets.students.route import Route, RouteEvidence, choose_route, worth_copying
from finai_assets.students.rows import Part, TaskRows, Trivial, constant
from finai_assets.students.select import select_columns
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import MatrixTask, TrainingMatrix
from finai_resources.progress import report_progress

__all__ = ["StudentResult", "bin_train", "from_files", "require_budget", "to_files", "train_student"]

DIRECT, DISTILLED = "direct", "distilled"
_STEPS = 4  # select columns, train, distil, measure


@dataclass(frozen=True)
class Candidate:
    """A trained model, its calibrated predictions of the validation rows, and its operating threshold (binary)."""

    model: StudentModel
    validation: np.ndarray
    threshold: float | None


@dataclass(frozen=True)
class Probe:
    """Train rows on which columns are chosen: positions in the matrix, ascending, and the same rows binned."""

    rows: np.ndarray
    binned: BinnedRows


def bin_train(matrix: TrainingMatrix, settings: Settings) -> Probe:
    """Bin the train rows of at most ``probe_rows`` once; hand the result to :func:`train_student` of every task."""
    rows = sample_customers(matrix.customer, matrix.rows("train"), settings.students.probe_rows, settings.seed)
    return Probe(rows, bin_probe(np.asarray(matrix.X[rows]), settings))


def train_student(
    task: MatrixTask,
    matrix: TrainingMatrix,
    teacher_predictions: np.ndarray,
    registry: Registry,
    settings: Settings,
    *,
    probe: Probe | None = None,
) -> StudentResult:
    """Train one task's student.

    Parameters
    ----------
    teacher_predictions : float32 [n] or [n, classes]
        Row-aligned with the matrix.
    probe
        From :func:`bin_train`; made here where it is not given.

    Raises
    ------
    GateError
        Predictions or columns do not fit the matrix, or a split holds no label.
    """
    rows = TaskRows(task, matrix, teacher_predictions, settings)
    rows.require_fit(registry)
    train, validation = rows.part("train"), rows.part("validation")
    candidates: dict[str, Candidate] = {}
    trivial = rows.trivial(train, validation)
    fitted_on = {"prior": FittedRows.of(matrix, train.index)}
    if np.ptp(train.label) == 0:
        route = Route("SKIP", f"the label is {train.label[0]:g} on all {len(train)} train rows: nothing to learn")
    else:
        report_progress(f"{task.name}: select columns", 0, _STEPS)
        probe = probe or bin_train(matrix, settings)
        kept = select(rows, train, probe)
        fitted_on |= _fitted_on(rows, train, validation, probe)
        report_progress(f"{task.name}: train the direct student", 1, _STEPS)
        candidates[DIRECT] = _fit(rows, train, validation, kept, distil=False)
        if _worth_copying(rows, train, validation):
            report_progress(f"{task.name}: distil", 2, _STEPS)
            candidates[DISTILLED] = _fit(rows, train, validation, kept, distil=True)
        route = choose_route(_evidence(rows, train, validation, candidates, trivial), settings.students)
    report_progress(f"{task.name}: measure", 3, _STEPS)
    return _measured(rows, validation, candidates, route, trivial, fitted_on)


def _fitted_on(rows: TaskRows, train: Part, validation: Part, probe: Probe) -> dict[str, FittedRows]:
    """Return the rows that the parts of a student have seen; ``calibration`` includes the operating threshold."""
    selection = np.intersect1d(probe.rows, train.index, assume_unique=True)
    held_out = FittedRows.of(rows.matrix, validation.index)
    return {
        "columns": FittedRows.of(rows.matrix, selection),
        "trees": FittedRows.of(rows.matrix, train.index),
        "stopping": held_out,
        "calibration": held_out,
    }


def select(rows: TaskRows, train: Part, probe: Probe) -> np.ndarray:
    """Choose columns on the labels, the same for both students, so that these differ in their targets alone."""
    _, at, labelled = np.intersect1d(probe.rows, train.index, assume_unique=True, return_indices=True)
    target = hard_target(train.label[labelled], rows.task.classes)
    gain = probe_gain(rows.task.kind, probe.binned, at, target, rows.settings)
    names, inputs = rows.matrix.columns, rows.settings.inputs
    readable = np.array([place for place, name in enumerate(names) if not inputs.withholds(name)], dtype=np.int64)
    return readable[select_columns(gain[readable], [names[place] for place in readable], rows.settings.students)]


def _fit(rows: TaskRows, train: Part, validation: Part, kept: np.ndarray, *, distil: bool) -> Candidate:
    """Train on train, stop and calibrate on validation."""
    kind = rows.task.kind
    names = [rows.matrix.columns[i] for i in kept]
    learned, held_out = (
        Examples(rows.features(part.index, kept), rows.target(part, distil=distil)) for part in (train, validation)
    )
    trained = train_model(kind, learned, held_out, names, rows.settings)
    init = tuple(float(value) for value in trained.init_score)
    bare = StudentModel(trained.text, tuple(names), LINK_OF_KIND[kind], init, NO_CALIBRATOR)
    return calibrate(kind, bare, validation.label, held_out.X, rows.settings)


def calibrate(kind: str, bare: StudentModel, label: np.ndarray, X: np.ndarray, settings: Settings) -> Candidate:
    """Fit a model's calibrator and, for a binary task, its operating threshold on validation rows.

    Parameters
    ----------
    bare
        The trained model; whatever calibrator it has is not looked at.
    label : float [n]
    X : float32 [n, columns]
        The model's inputs.
    """
    students = settings.students
    raw = bare.raw(X, threads=students.threads)
    model = replace(bare, calibrator=fit_calibrator(kind, students.calibration, raw, label))
    prediction = model.finish(raw)
    # As many validation rows lie above the operating threshold as are positive.
    threshold = float(np.quantile(prediction, 1 - label.mean())) if kind == "binary" else None
    return Candidate(model, prediction, threshold)


def _worth_copying(rows: TaskRows, train: Part, validation: Part) -> bool:
    """Return whether the teacher reaches its threshold, so that distilling is worth its time."""
    teacher, prior = (
        rows.score(validation, prediction)
        for prediction in (validation.teacher, constant(rows.prior(train), validation))
    )
    return worth_copying(rows.task.kind, rows.task.classes, teacher, prior, rows.settings.students.teacher_threshold)[0]


def _evidence(
    rows: TaskRows, train: Part, validation: Part, candidates: Mapping[str, Candidate], trivial: Trivial
) -> RouteEvidence:
    """Collect the figures that decide the route, all on validation."""
    forecast = trivial.predict(validation)
    direct, distilled = candidates[DIRECT], candidates.get(DISTILLED)
    rival: Estimate | None = None
    copy: Estimate | None = None
    missed: tuple[str, ...] = ()
    if distilled is not None:
        rival = rows.difference(validation, direct.validation, distilled.validation)
        copy = rows.difference(validation, distilled.validation, forecast)
        missed = _fidelity(rows, validation.teacher, distilled.validation, validation.label, distilled).failures
    return RouteEvidence(
        kind=rows.task.kind,
        classes=rows.task.classes,
        teacher=rows.score(validation, validation.teacher),
        prior=rows.score(validation, constant(rows.prior(train), validation)),
        trivial=trivial.name,
        teacher_over_trivial=rows.difference(validation, validation.teacher, forecast),
        direct_over_trivial=rows.difference(validation, direct.validation, forecast),
        distilled_over_trivial=copy,
        direct_over_distilled=rival,
        missed_floors=missed,
    )


def _fidelity(
    rows: TaskRows, teacher: np.ndarray, student: np.ndarray, label: np.ndarray, candidate: Candidate
) -> FidelityVerdict:
    kind = rows.task.kind
    fidelity = measure_fidelity(kind, teacher, student, label, threshold=candidate.threshold)
    return compare_fidelity(kind, fidelity, rows.settings.students.fidelity)


def _measured(
    rows: TaskRows,
    validation: Part,
    candidates: Mapping[str, Candidate],
    route: Route,
    trivial: Trivial,
    fitted_on: Mapping[str, FittedRows],
) -> StudentResult:
    """Measure the models on test, and make the student of the route chosen on validation."""
    task, settings = rows.task, rows.settings
    chosen = {"DISTILL": candidates.get(DISTILLED), "DIRECT": candidates.get(DIRECT), "SKIP": None}[route.name]
    test, span = rows.part("test"), rows.matrix.rows("test")
    everyone = np.arange(span.start, span.stop)
    place = {name: index for index, name in enumerate(rows.matrix.columns)}
    on_test: dict[str, np.ndarray] = {}
    for name, candidate in candidates.items():
        kept = np.array([place[column] for column in candidate.model.columns])
        on_test[name] = candidate.model.predict(rows.features(everyone, kept), threads=settings.students.threads)
    at = test.index - span.start
    report: dict[str, dict[str, dict[str, Estimate]]] = {
        "validation": {
            "teacher": rows.score(validation, validation.teacher),
            **{name: rows.score(validation, forecast(validation)) for name, forecast in trivial.forecasts.items()},
            **{name: rows.score(validation, candidate.validation) for name, candidate in candidates.items()},
        },
        "test": {
            "teacher": rows.score(test, test.teacher),
            **{name: rows.score(test, forecast(test)) for name, forecast in trivial.forecasts.items()},
            **{name: rows.score(test, prediction[at]) for name, prediction in on_test.items()},
        },
    }
    fidelity = None
    if chosen is not None and route.name == "DISTILL":
        label = np.asarray(rows.matrix.labels[task.name][span], dtype=np.float64)
        fidelity = _fidelity(rows, np.asarray(rows.teacher[span]), on_test[DISTILLED], label, chosen)
        if not fidelity.passed and settings.students.policy == "better":
            # The direct student stands in (layer 2): a distilled student that misses a floor on test is never deployed.
            missed = "; ".join(fidelity.failures)
            route, chosen = Route("DIRECT", f"the copy is over a floor on test: {missed}"), candidates[DIRECT]
    taken = {"DISTILL": DISTILLED, "DIRECT": DIRECT}.get(route.name)
    if taken is not None:
        for models in report.values():
            models["student"] = models[taken]
    served = {"teacher": test.teacher} | ({"student": on_test[taken][at]} if taken else {})
    over_trivial = {who: rows.difference(test, prediction, trivial.predict(test)) for who, prediction in served.items()}
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
        fidelity=fidelity,
        gain=gain_shares(chosen.model.text) if chosen else {},
        fitted_on=fitted_on if chosen else {"prior": fitted_on["prior"]},
        direct=_behind(candidates[DIRECT]) if route.name == "DISTILL" else None,
    )


def _behind(direct: Candidate) -> DirectStudent:
    """Return the direct student as layer 2 behind a copy."""
    return DirectStudent(direct.model, direct.threshold)
