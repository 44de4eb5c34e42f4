"""C12: what was fitted has seen the rows of its split, and comes out again where all other rows are garbage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from finai_assets.asset_graph import state_asset
from finai_assets.features.fit import load_states, train_sample_digest
from finai_assets.features.registry import Group
from finai_assets.labels.tasks import Task
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.students.result import CARD as STUDENT_CARD
from finai_assets.students.result import StudentResult, from_files
from finai_assets.teacher.store import CARD as TEACHER_CARD
from finai_assets.teacher.store import teacher_from_files
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.labelling import class_vocabulary
from finai_assets.training.matrix import ASSET as MATRIX_ASSET
from finai_assets.training.matrix import DESCRIPTION, load_matrix
from finai_checks.fits import canaries as fit_canaries
from finai_checks.fits.refit import refit_is_equal, refit_states
from finai_checks.fits.refit_models import (
    fitted_tasks,
    refit_calibrators,
    refit_columns,
    refit_teacher,
    refit_vocabularies,
)
from finai_checks.fits.scopes import (
    Scope,
    fitted_on_train_only,
    matrix_scopes,
    rows_of_card,
    student_scopes,
    teacher_scopes,
)
from finai_checks.framework.canary import Canary, LakeCanary
from finai_checks.framework.declaration import Declared, Evaluate, EvaluateTogether, declare, declare_together
from finai_checks.framework.kind import Kind
from finai_checks.framework.outcome import NO_EVIDENCE, CheckOutcome
from finai_checks.framework.small_lake import SPLITS_ASSET, STUDENT, TEACHER_ASSET
from finai_checks.framework.theme import Theme
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import stages

ON_TRAIN_ONLY = Kind(
    "C12",
    "fitted_on_train_only",
    "the rows that it was fitted on are those of its split: train, or validation for early stopping and calibration",
    blocking=True,
    minimum=1,
    units="rows",
)
REFIT = Kind(
    "C12",
    "refit_is_equal",
    "fitted again with garbage for all that comes after train, a state is equal to the bit, a student's columns are the same",
    blocking=True,
    minimum=1,
    units="values",
    audit=True,
)
MODEL_REFIT = Kind(
    "C12",
    "model_refit_is_equal",
    "vocabulary, scaler, structure, constants and calibration come out again with garbage for the rows that they must not see",
    blocking=True,
    minimum=1,
    units="values",
    thresholds=("checks.refit_rounding",),
)


def student_asset(task: Task) -> str:
    """Return the path of a task's student."""
    return f"students/{task.name}"


def _declare(platform: Platform) -> list[Declared]:
    settings, groups = platform.settings, platform.registry.available
    students = [student_asset(task) for task in platform.available_tasks]
    checks = [declare(ON_TRAIN_ONLY, state_asset(group.name), _state(platform, group), settings) for group in groups]
    checks += [
        declare(ON_TRAIN_ONLY, MATRIX_ASSET, _matrix(platform), settings),
        declare(ON_TRAIN_ONLY, TEACHER_ASSET, _teacher(platform), settings),
        *declare_together(ON_TRAIN_ONLY, students, _students(platform), settings),
        *declare_together(REFIT, [state_asset(group.name) for group in groups], _refit_states(platform), settings),
        *declare_together(REFIT, students, _refit_columns(platform), settings),
        declare(MODEL_REFIT, TEACHER_ASSET, _refit_teacher(platform), settings),
        *declare_together(MODEL_REFIT, students, _refit_students(platform), settings),
    ]
    if fitted_tasks(platform):
        checks.append(declare(MODEL_REFIT, MATRIX_ASSET, _refit_vocabularies(platform), settings))
    return checks


# ---- the rows that were seen


def _state(platform: Platform, group: Group) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        meta = load_states(session, [group])[group.name].meta
        train = list(platform.splits.train)
        stored = FittedRows("train", tuple(meta["months"]), int(meta["rows"]), meta["row_digest"])
        digest = train_sample_digest(session, platform.settings, train)
        scope = Scope("train", tuple(month.key for month in train), digest)
        return fitted_on_train_only({"state": stored}, {"state": scope})

    return evaluate


def _matrix(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        matrix, months = load_matrix(session), session.read_json(SPLITS_ASSET, None, "splits.json")
        stored, scopes = matrix_scopes(matrix, months)
        for task in fitted_tasks(platform):
            _, counted = class_vocabulary(session, task, [Month.parse(month) for month in sorted(months["train"])])
            scopes[task.name] = Scope("train", tuple(months["train"]), counted.digest)
            if (told := matrix.task(task.name).fitted_on) is not None:
                stored[task.name] = told
        return fitted_on_train_only(stored, scopes)

    return evaluate


def _teacher(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        stored = rows_of_card(session.read_json(TEACHER_ASSET, None, TEACHER_CARD))
        return fitted_on_train_only(stored, teacher_scopes(load_matrix(session), platform.settings))

    return evaluate


def _students(platform: Platform) -> EvaluateTogether:
    def evaluate(session: LakeSession, _month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        matrix, found = load_matrix(session), {}
        for asset in assets:
            card = session.read_json(asset, None, STUDENT_CARD)
            scopes = student_scopes(matrix, card["task"], platform.settings, model=bool(card["columns"]))
            found[asset] = fitted_on_train_only(rows_of_card(card), scopes)
        return found

    return evaluate


# ---- fitted again


def _refit_states(platform: Platform) -> EvaluateTogether:
    def evaluate(session: LakeSession, _month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        groups = [group for group in platform.registry.available if state_asset(group.name) in assets]
        outcomes = refit_states(session, platform, groups, stages())
        return {state_asset(name): outcome for name, outcome in outcomes.items()}

    return evaluate


def _refit_columns(platform: Platform) -> EvaluateTogether:
    def evaluate(session: LakeSession, _month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        return refit_columns(_load_students(session, assets), load_matrix(session), platform.settings, stages())

    return evaluate


def _refit_vocabularies(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        described = session.read_json(MATRIX_ASSET, None, DESCRIPTION)["tasks"]
        return refit_vocabularies(session, {task["name"]: task["class_labels"] for task in described}, platform)

    return evaluate


def _refit_teacher(platform: Platform) -> Evaluate:
    def evaluate(session: LakeSession, _month: Month | None) -> CheckOutcome:
        files, tasks = _files(session, TEACHER_ASSET), platform.available_tasks
        teacher = teacher_from_files(files, platform.registry, tasks, platform.settings)
        return refit_teacher(teacher, load_matrix(session), tasks, platform)

    return evaluate


def _refit_students(platform: Platform) -> EvaluateTogether:
    def evaluate(session: LakeSession, _month: Month | None, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
        return refit_calibrators(_load_students(session, assets), load_matrix(session), platform.settings)

    return evaluate


def _load_students(session: LakeSession, assets: Sequence[str]) -> dict[str, StudentResult]:
    return {asset: from_files(_files(session, asset)) for asset in assets}


def _files(session: LakeSession, asset: str) -> dict[str, bytes]:
    return {stored.role: session.read_bytes(asset, None, stored.role) for stored in session.manifest(asset).files}


# ---- proof


def _canaries(_settings: Settings) -> list[Canary]:
    return [*_scope_canaries(), *_refit_canaries()]


def _scope_canaries() -> list[Canary]:
    train, validation = ("2015-01", "2015-02"), ("2015-04",)
    scopes = {"scaler": Scope("train", train, "d1"), "calibration": Scope("validation", validation, "d2")}
    scaler, calibration = FittedRows("train", train, 10, "d1"), FittedRows("validation", validation, 5, "d2")
    wider = FittedRows("test+train", (*train, "2015-06"), 14, "d1")
    inputs: list[tuple[str, str | None, dict[str, FittedRows]]] = [
        ("each of its split", None, {"scaler": scaler, "calibration": calibration}),
        ("a scaler that saw a test month", "outside train: 2015-06", {"scaler": wider, "calibration": calibration}),
        ("a scaler of other rows of train", "scaler: the fitted rows are not its rows of train",
         {"scaler": FittedRows("train", train, 10, "d9"), "calibration": calibration}),
        ("a calibration fitted on train", "calibration: fitted on rows of train",
         {"scaler": scaler, "calibration": FittedRows("train", validation, 5, "d2")}),
        ("a calibration that says nothing", "calibration: nothing says", {"scaler": scaler}),
        ("fits of no row", NO_EVIDENCE, {"scaler": FittedRows("train", (), 0, "")}),
    ]  # fmt: skip

    def canary(label: str, expects: str | None, stored: dict[str, FittedRows]) -> Canary:
        return Canary(ON_TRAIN_ONLY, label, expects, lambda: fitted_on_train_only(stored, scopes))

    return [canary(*entry) for entry in inputs]


def _refit_canaries() -> list[Canary]:
    stored = {"mean": np.array([1.0, 2.0]), "codes": np.array([7, 9])}
    one_bit = np.nextafter(stored["mean"], np.inf)
    inputs: list[tuple[str, str | None, dict[str, np.ndarray], dict[str, np.ndarray], float]] = [
        ("the same bits", None, stored, {name: array.copy() for name, array in stored.items()}, 0.0),
        ("a mean that differs by a bit", "mean (2 of 2", stored, {**stored, "mean": one_bit}, 0.0),
        ("a bit, where rounding is allowed", None, stored, {**stored, "mean": one_bit}, 1e-5),
        ("more than rounding", "mean (1 of 2", stored, {**stored, "mean": np.array([1.0, 2.1])}, 1e-5),
        ("another code", "codes (1 of 2", stored, {**stored, "codes": np.array([7, 8])}, 1e-5),
        ("fewer parameters", "codes (the re-fit does not give it)", stored, {"mean": stored["mean"]}, 0.0),
        ("nothing stored", NO_EVIDENCE, {}, {}, 0.0),
    ]

    def canary(
        kind: Kind,
        label: str,
        expects: str | None,
        stored: dict[str, np.ndarray],
        again: dict[str, np.ndarray],
        rounding: float,
    ) -> Canary:
        return Canary(kind, label, expects, lambda: refit_is_equal(stored, again, rounded=stored, rounding=rounding))

    return [canary(kind, *entry) for kind in (REFIT, MODEL_REFIT) for entry in inputs]


def _lake_canaries() -> list[LakeCanary]:
    state, student = state_asset("demographics"), f"students/{STUDENT}"
    spoiled = fit_canaries
    return [
        LakeCanary(ON_TRAIN_ONLY, state, "a state as it was fitted"),
        LakeCanary(ON_TRAIN_ONLY, state, "a state that saw the test month", "outside train", spoiled.state_saw_test),
        LakeCanary(ON_TRAIN_ONLY, MATRIX_ASSET, "a matrix as it was built"),
        LakeCanary(ON_TRAIN_ONLY, MATRIX_ASSET, "a vocabulary counted on train and test",
                   "next_mcc: fitted on months outside train: 2015-06", spoiled.vocabulary_saw_test),
        LakeCanary(ON_TRAIN_ONLY, TEACHER_ASSET, "a teacher as it was trained"),
        LakeCanary(ON_TRAIN_ONLY, TEACHER_ASSET, "a scaler that saw all rows", "normaliser: fitted on months outside train",
                   spoiled.scaler_saw_test),
        LakeCanary(ON_TRAIN_ONLY, TEACHER_ASSET, "a matrix that has changed since", "normaliser: the fitted rows are not",
                   spoiled.customer_left_the_matrix),
        LakeCanary(ON_TRAIN_ONLY, student, "a student as it was distilled"),
        LakeCanary(ON_TRAIN_ONLY, student, "a student calibrated on test",
                   "calibration: fitted on months outside validation", spoiled.student_calibrated_on_test),
        LakeCanary(REFIT, state, "a state as it was fitted"),
        LakeCanary(REFIT, state, "a parameter changed by one bit", "1 of", spoiled.one_bit_of_a_state),
        LakeCanary(REFIT, state, "a state that saw the test month and says it did not", "came out otherwise",
                   spoiled.state_saw_test_in_secret),
        LakeCanary(REFIT, student, "columns chosen on train"),
        LakeCanary(REFIT, student, "columns chosen with test rows", "do not come out again", spoiled.columns_saw_test),
        LakeCanary(MODEL_REFIT, MATRIX_ASSET, "a vocabulary of train"),
        LakeCanary(MODEL_REFIT, MATRIX_ASSET, "a code of the test month in the vocabulary", "do not come out again: 9998",
                   spoiled.code_of_the_test_month),
        LakeCanary(MODEL_REFIT, TEACHER_ASSET, "a teacher as it was trained"),
        LakeCanary(MODEL_REFIT, TEACHER_ASSET, "a scaler that saw all rows", "normaliser mean", spoiled.scaler_saw_test),
        LakeCanary(MODEL_REFIT, TEACHER_ASSET, "a calibration fitted on test", "calibration", spoiled.calibrated_on_test),
        LakeCanary(MODEL_REFIT, student, "a student as it was distilled"),
        LakeCanary(MODEL_REFIT, student, "a student calibrated on test", "calibrator", spoiled.student_calibrated_on_test),
    ]  # fmt: skip


THEME = Theme((ON_TRAIN_ONLY, REFIT, MODEL_REFIT), _declare, _canaries, _lake_canaries)
