"""C12: every fitted part has seen the rows of its split alone, and refits identically where all other rows are garbage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finai_assets.asset_graph import CHOICE, COLUMNS, MATRIX, SPLITS, TEACHER, TRANSFER, state_asset, student_asset
from finai_assets.choice.model import FILE as CHOICE_FILE
from finai_assets.choice.model import from_file as choice_from_file
from finai_assets.evaluation.lists.outcomes import Outcomes, read_outcomes
from finai_assets.features.fit import load_states, train_sample_digest
from finai_assets.platform import Platform
from finai_assets.students.card import read_card
from finai_assets.students.result import StudentResult, from_files
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.labelling import class_vocabulary
from finai_assets.training.matrix import DESCRIPTION, TrainingMatrix, load_matrix
from finai_checks.fits.refit import refit_states
from finai_checks.fits.scopes import (
    Scope,
    choice_scopes,
    column_scopes,
    fitted_on_train_only,
    fitted_tasks,
    matrix_scopes,
    rows_of_card,
    student_scopes,
    teacher_scopes,
)
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, declare, declare_together
from finai_resources.months import Month

ON_TRAIN_ONLY = CheckKind(
    "C12",
    "fitted_on_train_only",
    "every fitted part was fitted on the rows of its own split and on no others: train, or validation for early stopping and "
    "calibration",
    blocking=True,
    minimum=1,
    units="rows",
)
REFIT = CheckKind(
    "C12",
    "refit_is_equal",
    "when all data after train are garbage, every feature state refits bit-identically and the same columns are chosen for "
    "every student, and the same weights of the choice model found",
    blocking=True,
    minimum=1,
    units="values",
    audit=True,
)
QUICK_REFIT = CheckKind(
    "C12",
    "states_refitted",
    "when all data after train are garbage, the state of every feature group that is fitted in moments refits bit-identically",
    blocking=True,
    minimum=1,
    units="values",
    thresholds=("checks.refit_in_audit",),
)
MODEL_REFIT = CheckKind(
    "C12",
    "model_refit_is_equal",
    "when the rows that a part must not see are garbage, the class vocabulary, the teacher's scaler, structure, task constants "
    "and calibration, and the students' calibrators refit to the stored values",
    blocking=True,
    minimum=1,
    units="values",
    thresholds=("checks.refit_rounding",),
)
TRANSFER_ROWS = CheckKind(
    "C12",
    "transfer_rows",
    "the transfer set holds all customers of the purged months before test (or the sample of them that its limit allows), and "
    "of the first of each month the stored features and the answers of the stored teacher",
    blocking=True,
    minimum=100,
    units="values",
    thresholds=("checks.refit_rounding",),
)
KINDS = (ON_TRAIN_ONLY, REFIT, QUICK_REFIT, MODEL_REFIT, TRANSFER_ROWS)


def declare_checks(platform: Platform) -> list[Declared]:
    """Put the checks on all that is fitted: states, matrix, teacher and students."""
    settings, tasks = platform.settings, platform.available_tasks
    states = [state_asset(group.name) for group in platform.registry.available]
    students = [student_asset(task.name) for task in tasks]
    slow = {state_asset(name) for name in settings.checks.refit_in_audit}
    checks = [
        *(declare(ON_TRAIN_ONLY, state, evaluate_state_rows, settings) for state in states),
        declare(ON_TRAIN_ONLY, MATRIX, evaluate_matrix_rows, settings),
        declare(ON_TRAIN_ONLY, TEACHER, evaluate_teacher_rows, settings),
        *declare_together(ON_TRAIN_ONLY, students, evaluate_student_rows, settings),
        *declare_together(REFIT, states, evaluate_state_refits, settings),
        *declare_together(QUICK_REFIT, [s for s in states if s not in slow], evaluate_state_refits, settings),
        declare(ON_TRAIN_ONLY, COLUMNS, evaluate_column_rows, settings),
        declare(REFIT, COLUMNS, evaluate_column_refits, settings),
        declare(ON_TRAIN_ONLY, CHOICE, evaluate_choice_rows, settings),
        declare(REFIT, CHOICE, evaluate_choice_refit, settings),
        declare(TRANSFER_ROWS, TRANSFER, evaluate_transfer_rows, settings),
        declare(MODEL_REFIT, TEACHER, evaluate_teacher_refit, settings),
        *declare_together(MODEL_REFIT, students, evaluate_calibrator_refits, settings),
    ]
    if fitted_tasks(platform):
        checks.append(declare(MODEL_REFIT, MATRIX, evaluate_vocabulary_refits, settings))
    return checks


# ---- the rows that were seen


def evaluate_state_rows(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the rows of a group's state with the train sample as stored now."""
    group, train = context.group(asset), list(context.platform.splits.train)
    meta = load_states(context.session, [group])[group.name].meta
    stored = FittedRows("train", tuple(meta["months"]), int(meta["rows"]), meta["row_digest"])
    digest = train_sample_digest(context.session, context.settings, train)
    scope = Scope("train", tuple(month.key for month in train), digest)
    return fitted_on_train_only({"state": stored}, {"state": scope})


def evaluate_matrix_rows(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the months of the matrix with the stored splits, and the rows of the class vocabulary with train."""
    session = context.session
    matrix, months = load_matrix(session), session.read_json(SPLITS, None, "splits.json")
    stored, scopes = matrix_scopes(matrix, months)
    for task in fitted_tasks(context.platform):
        _, counted = class_vocabulary(session, task, [Month.parse(month) for month in sorted(months["train"])])
        scopes[task.name] = Scope("train", tuple(months["train"]), counted.digest)
        if (rows := matrix.task(task.name).fitted_on) is not None:
            stored[task.name] = rows
    return fitted_on_train_only(stored, scopes)


def evaluate_teacher_rows(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the rows that the teacher's card names with those of the matrix as stored now."""
    from finai_assets.teacher.store import CARD as TEACHER_CARD

    stored = rows_of_card(context.session.read_json(asset, None, TEACHER_CARD))
    return fitted_on_train_only(stored, teacher_scopes(load_matrix(context.session), context.settings))


def evaluate_student_rows(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Compare the rows that each student's card names with those of the matrix as stored now."""
    from finai_assets.students.transfer import load_transfer_set

    matrix, outcomes = load_matrix(context.session), {}
    rows = load_transfer_set(context.session, matrix.tasks).rows
    transfer = Scope(rows.split, _transfer_months(context), rows.digest)
    for asset in assets:
        card = read_card(context.session, asset)
        scopes = student_scopes(matrix, card.task, card.route, transfer)
        outcomes[asset] = fitted_on_train_only(rows_of_card(card.values()), scopes)
    return outcomes


def evaluate_column_rows(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the rows on which the students' columns were chosen with those of the matrix as stored now."""
    from finai_assets.students.columns import FILE as COLUMNS_FILE
    from finai_assets.students.columns import from_file

    chosen = from_file(context.session.read_bytes(asset, None, COLUMNS_FILE))
    stored = {f"{task} {aim}": rows for task, entry in chosen.items() for aim, rows in entry.fitted_on.items()}
    return fitted_on_train_only(stored, column_scopes(load_matrix(context.session), context.settings))


def evaluate_choice_rows(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the rows that the choice model records with the acquisitions as stored now."""
    matrix, (_, card) = (
        load_matrix(context.session),
        choice_from_file(context.session.read_bytes(asset, None, CHOICE_FILE), asset),
    )
    return fitted_on_train_only(rows_of_card(card), choice_scopes(matrix, _outcomes(context, matrix)))


def _outcomes(context: CheckContext, matrix: TrainingMatrix) -> Outcomes:
    settings = context.settings
    return read_outcomes(
        context.session,
        matrix.month,
        matrix.customer,
        horizon_months=settings.horizon_months,
        products=len(settings.products),
    )


def evaluate_transfer_rows(context: CheckContext, asset: str) -> CheckOutcome:
    """Compare the rows of the transfer set with the stored features of the purged months, and with the stored teacher."""
    from finai_assets.students.transfer import Answering, load_transfer_set, transfer_customers
    from finai_assets.teacher.store import teacher_from_files
    from finai_checks.fits.transfer import transfer_rows

    session, platform = context.session, context.platform
    matrix, months = load_matrix(session), [Month.parse(key) for key in _transfer_months(context)]
    teacher = teacher_from_files(session.read_files(TEACHER))
    answering = Answering(session, context.settings, platform.registry, teacher, matrix.tensors)
    customers = transfer_customers(session, context.settings, platform.registry, months)
    return transfer_rows(load_transfer_set(session, matrix.tasks), customers, answering)


def _transfer_months(context: CheckContext) -> tuple[str, ...]:
    """Return the purged months before test, as the stored splits have them."""
    months = context.session.read_json(SPLITS, None, "splits.json")
    return tuple(month for month in months["purged"] if month < min(months["test"]))


# ---- fitted again


def evaluate_state_refits(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Fit the states of some groups again while the raw months after train are garbage."""
    groups = context.groups(assets)
    outcomes = refit_states(context.session, context.platform, list(groups.values()))
    return {asset: outcomes[group.name] for asset, group in groups.items()}


def evaluate_column_refits(context: CheckContext, asset: str) -> CheckOutcome:
    """Choose the columns of all students again while validation and test rows are garbage."""
    from finai_assets.students.columns import FILE as COLUMNS_FILE
    from finai_assets.students.columns import from_file
    from finai_checks.fits.refit_models import refit_columns

    stored = from_file(context.session.read_bytes(asset, None, COLUMNS_FILE))
    return refit_columns(stored, context.session, context.platform)


def evaluate_choice_refit(context: CheckContext, asset: str) -> CheckOutcome:
    """Fit the choice models again while validation and test rows are garbage."""
    from finai_checks.fits.refit_models import refit_choice

    matrix = load_matrix(context.session)
    models, card = choice_from_file(context.session.read_bytes(asset, None, CHOICE_FILE), asset)
    penalties = {name: float(entry["penalty"]) for name, entry in card["models"].items()}
    return refit_choice(models, penalties, matrix, _outcomes(context, matrix), context.settings)


def evaluate_vocabulary_refits(context: CheckContext, asset: str) -> CheckOutcome:
    """Count the classes of each task of codes again while the labels of all months after train are garbage."""
    from finai_checks.fits.refit_models import refit_vocabularies

    described = context.session.read_json(MATRIX, None, DESCRIPTION)["tasks"]
    stored = {task["name"]: task["class_labels"] for task in described}
    return refit_vocabularies(context.session, stored, context.platform)


def evaluate_teacher_refit(context: CheckContext, asset: str) -> CheckOutcome:
    """Fit the teacher's normaliser, structure, task constants and calibration again, each beside garbage."""
    from finai_assets.teacher.store import teacher_from_files
    from finai_checks.fits.refit_models import refit_teacher

    platform = context.platform
    tasks = platform.available_tasks
    teacher = teacher_from_files(context.session.read_files(asset), platform.registry, tasks, platform.settings)
    return refit_teacher(teacher, load_matrix(context.session), tasks, platform)


def evaluate_calibrator_refits(context: CheckContext, assets: Sequence[str]) -> Mapping[str, CheckOutcome]:
    """Fit the calibrators and thresholds of some students again while test rows are garbage."""
    from finai_checks.fits.refit_models import refit_calibrators

    return refit_calibrators(_students(context, assets), load_matrix(context.session), context.settings)


def _students(context: CheckContext, assets: Sequence[str]) -> dict[str, StudentResult]:
    return {asset: from_files(context.session.read_files(asset)) for asset in assets}
