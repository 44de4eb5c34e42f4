"""C12, spoiled copies of the small lake: in each a fitted part has seen rows that it must not see."""

from __future__ import annotations

import io
import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import CHOICE, COLUMNS, MATRIX, PREDICTIONS, TEACHER, TRANSFER, label_asset, student_asset
from finai_assets.choice.model import FILE as CHOICE_FILE
from finai_assets.choice.model import from_file as choice_from_file
from finai_assets.choice.model import to_file as choice_to_file
from finai_assets.choice.train import fit_again
from finai_assets.features.fit import load_states, store_states
from finai_assets.students.card import CARD as STUDENT_CARD
from finai_assets.students.columns import FILE, choose_columns, from_file, to_file
from finai_assets.students.result import from_files, to_files
from finai_assets.students.train import aim_of, calibrate, places
from finai_assets.students.transfer import ARRAY, load_transfer_set
from finai_assets.teacher.data import TeacherData
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.predictions import load_predictions
from finai_assets.teacher.result import deterministic
from finai_assets.teacher.store import CARD, NORMALISER, teacher_from_files
from finai_assets.teacher.train import calibrate as calibrate_teacher
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.labelling import matrix_tasks
from finai_assets.training.matrix import DESCRIPTION, load_matrix
from finai_checks.framework.small_lake import STUDENT, VERSION, SmallLake
from finai_resources.manifest import one_version

VOCABULARY = "next_mcc"  # the task whose vocabulary is spoiled
GROUP = "demographics"


def state_saw_test(small: SmallLake) -> None:
    """Fit the medians and codes with the test month among the rows."""
    settings = small.settings
    splits = settings.dataset.splits
    wider = splits.model_copy(update={"train": splits.train.model_copy(update={"last": small.month_of("test")})})
    dataset = settings.dataset.model_copy(update={"splits": wider})
    small.refit(settings.model_copy(update={"dataset": dataset}), groups=(GROUP,))


def state_saw_test_in_secret(small: SmallLake) -> None:
    """Fit with the test month, and record the rows of the honest state."""
    honest = load_states(small.session, [GROUP])[GROUP]
    state_saw_test(small)
    seen = load_states(small.session, [GROUP])[GROUP]
    store_states(small.session, {GROUP: replace(seen, meta=honest.meta)}, versions=one_version(VERSION))


def one_bit_of_a_state(small: SmallLake) -> None:
    """Turn the last bit of one parameter."""
    state = load_states(small.session, [GROUP])[GROUP]
    name = next(name for name, values in sorted(state.params.items()) if values.dtype.kind == "f")
    changed = state.params[name].copy()
    changed.reshape(-1).view(f"u{changed.itemsize}")[0] ^= 1
    store_states(
        small.session, {GROUP: replace(state, params={**state.params, name: changed})}, versions=one_version(VERSION)
    )


def vocabulary_saw_test(small: SmallLake) -> None:
    """Count the classes of ``next_mcc`` on train and test months, and record these rows."""
    months = [*small.platform.splits.train, *small.platform.splits.test]
    counted = matrix_tasks(small.session, small.platform.available_tasks, months)
    task = next(task for task in counted if task.name == VOCABULARY)
    _describe(small, class_labels=list(task.class_labels), fitted_on=asdict(task.fitted_on))  # type: ignore[arg-type]


def code_of_the_test_month(small: SmallLake) -> None:
    """Give the labels of the test month a code that train lacks, and put it into the vocabulary without recording it."""
    month, asset = small.month_of("test"), label_asset(VOCABULARY)
    table = small.lake.read(asset, month.key)
    index = table.schema.get_field_index("label")
    labels = pa.array(np.full(len(table), 9998)).cast(table.schema.field("label").type)
    small.rewrite(asset, month.key, table.set_column(index, table.schema.field("label"), labels))
    stored = next(task for task in load_matrix(small.session).tasks if task.name == VOCABULARY)
    _describe(small, class_labels=["9998", *stored.class_labels[1:]])


def _describe(small: SmallLake, **changed: Any) -> None:
    described = small.session.read_json(MATRIX, None, DESCRIPTION)
    described["tasks"] = [{**task, **changed} if task["name"] == VOCABULARY else task for task in described["tasks"]]
    small.put_files(MATRIX, {DESCRIPTION: json.dumps(described).encode()})


def customer_left_the_matrix(small: SmallLake) -> None:
    """Give one train row of the matrix to another customer, after the teacher was trained."""
    table = small.lake.read(MATRIX)
    ids = table["customer_id"].to_numpy().copy()
    ids[0] = 1 + ids.max()
    changed = table.set_column(table.schema.get_field_index("customer_id"), "customer_id", pa.array(ids))
    files = {role: content for role, content in small.files(MATRIX).items() if role != "table"}
    with small.lake.write(MATRIX) as out:
        out.write(changed)
        for role, content in files.items():
            out.put(role, content)


def scaler_saw_test(small: SmallLake) -> None:
    """Centre and scale the teacher's inputs by all rows."""
    matrix = load_matrix(small.session)
    everything = slice(0, len(matrix))
    stored = Normaliser.from_bytes(small.files(TEACHER)[NORMALISER])
    wider = Normaliser.fit(matrix.X, everything, stored.layout, small.settings.teacher.normalise, matrix.side)
    # The network fits to the columns with a log copy and to the codes; centre and spread alone are changed.
    spoiled = replace(stored, mean=wider.mean, std=wider.std, rows=wider.rows)
    card = _teacher_card(small, "normaliser", FittedRows.of(matrix, everything))
    small.put_files(TEACHER, {NORMALISER: spoiled.to_bytes(), CARD: json.dumps(card).encode()})


def calibrated_on_test(small: SmallLake) -> None:
    """Fit the teacher's calibration on test rows."""
    matrix = load_matrix(small.session)
    teacher = teacher_from_files(small.files(TEACHER))
    data = TeacherData.of(matrix, small.platform.available_tasks, small.settings)
    with deterministic(teacher.settings.threads, teacher.seed):
        fitted = calibrate_teacher(
            teacher.model,
            teacher.normaliser,
            replace(data, validation=matrix.rows("test")),
            teacher.settings.batch_rows,
        )
    card = _teacher_card(small, "calibration", FittedRows.of(matrix, matrix.rows("test")))
    card["calibration"] = {name: asdict(entry) for name, entry in fitted.items()}
    small.put_files(TEACHER, {CARD: json.dumps(card).encode()})


def _teacher_card(small: SmallLake, part: str, rows: FittedRows) -> dict[str, Any]:
    card: dict[str, Any] = json.loads(small.files(TEACHER)[CARD])
    card["fitted_on"][part] = asdict(rows)
    return card


def student_calibrated_on_test(small: SmallLake) -> None:
    """Fit a student's calibrator and threshold on test rows."""
    asset, matrix = student_asset(STUDENT), load_matrix(small.session)
    student = from_files(small.files(asset))
    assert student.model is not None  # noqa: S101 - the small lake's task has both classes
    rows = matrix.rows("test")
    labels = np.asarray(matrix.labels[STUDENT][rows], dtype=np.float64)
    X = np.ascontiguousarray(matrix.X[rows][:, places(matrix, student.columns)])
    aim = aim_of(student.route)
    fitted = calibrate(student.kind, aim, student.model, labels, X, small.settings)
    seen = FittedRows.of(matrix, rows.start + np.flatnonzero(np.isfinite(labels)))
    fitted_on = {**student.fitted_on, f"{aim} calibration": seen}
    spoiled = replace(student, model=fitted.model, threshold=fitted.threshold, fitted_on=fitted_on)
    small.put_files(asset, {STUDENT_CARD: to_files(spoiled)[STUDENT_CARD]})


def transfer_set_of_a_test_month(small: SmallLake) -> None:
    """Let the teacher answer the test month too."""
    columns = load_transfer_set(small.session, load_matrix(small.session).tasks).columns
    small.answer(columns, (*small.platform.splits.transfer, small.month_of("test")))


def feature_of_a_transfer_row(small: SmallLake) -> None:
    """Change one value of the first row."""
    X = np.load(io.BytesIO(small.files(TRANSFER)[ARRAY]), allow_pickle=False)
    X[0, 0] += 1
    changed = io.BytesIO()
    np.save(changed, X, allow_pickle=False)
    small.put_files(TRANSFER, {ARRAY: changed.getvalue()})


def answers_of_another_teacher(small: SmallLake) -> None:
    """Exchange the answers of the first two rows."""
    table = small.lake.read(TRANSFER)
    index = table.schema.get_field_index(STUDENT)
    told = table[index].to_numpy().copy()
    told[:2] = told[1::-1]
    small.put_table(TRANSFER, table.set_column(index, table.schema.field(index), pa.array(told)))


def customer_left_the_transfer_set(small: SmallLake) -> None:
    """Leave the last row out."""
    X, table = np.load(io.BytesIO(small.files(TRANSFER)[ARRAY]), allow_pickle=False), small.lake.read(TRANSFER)
    changed = io.BytesIO()
    np.save(changed, X[:-1], allow_pickle=False)
    small.put_table(TRANSFER, table.slice(0, len(table) - 1))
    small.put_files(TRANSFER, {ARRAY: changed.getvalue()})


def choice_saw_test(small: SmallLake) -> None:
    """Fit the choice model on all rows, and record the rows of the honest one."""
    matrix, settings = load_matrix(small.session), small.settings
    models, card = choice_from_file(small.files(CHOICE)[CHOICE_FILE], CHOICE)
    everything = replace(matrix, split=np.full(len(matrix), "train"))
    outcomes = small.outcomes()
    spoiled = {
        name: fit_again(model, float(card["models"][name]["penalty"]), everything, outcomes, settings)
        for name, model in models.items()
    }
    small.put_files(CHOICE, {CHOICE_FILE: choice_to_file(spoiled, card)})


def choice_chosen_on_test(small: SmallLake) -> None:
    """Record that the penalty was chosen on the test month."""
    models, card = choice_from_file(small.files(CHOICE)[CHOICE_FILE], CHOICE)
    seen = {**card["fitted_on"]["penalty"], "split": "test", "months": [small.month_of("test").key]}
    fitted_on = {**card["fitted_on"], "penalty": seen}
    small.put_files(CHOICE, {CHOICE_FILE: choice_to_file(models, {**card, "fitted_on": fitted_on})})


def columns_saw_test(small: SmallLake) -> None:
    """Choose the students' columns on all rows, and record the rows of the honest choice."""
    matrix, session = load_matrix(small.session), small.session
    honest = from_file(small.files(COLUMNS)[FILE])
    everything = replace(matrix, split=np.full(len(matrix), "train"))
    predictions = load_predictions(session.read(PREDICTIONS), matrix.tasks)
    found = choose_columns(everything, predictions, small.settings)
    spoiled = {task: replace(entry, fitted_on=honest[task].fitted_on) for task, entry in found.items()}
    small.put_files(COLUMNS, {FILE: to_file(spoiled)})
