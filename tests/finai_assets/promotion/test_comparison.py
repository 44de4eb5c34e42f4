"""Two bundles on the same rows: equal ones differ in nothing, and what a bundle lacks is taken for the constant forecast."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bundle_fixtures import KEY, Made
from promotion_fixtures import write_matrix

from finai_assets.promotion.comparison import compare, predictions
from finai_assets.promotion.shift import jensen_shannon, population_stability, shift_of
from finai_assets.training.matrix import TrainingMatrix, load_matrix
from finai_resources.lake import Lake
from serving_lambda.bundle import Bundle, open_bundle


@pytest.fixture(scope="module")
def matrix(made: Made, tmp_path_factory: pytest.TempPathFactory) -> TrainingMatrix:
    lake = Lake.on_disk(tmp_path_factory.mktemp("matrix") / "lake")
    write_matrix(made, lake)
    return load_matrix(lake)


@pytest.fixture(scope="module")
def opened(made: Made) -> Bundle:
    return open_bundle(made.build().__getitem__, KEY)


def without(made: Made, task: str) -> Bundle:
    """Return a bundle that leaves a task to the rules."""
    card: dict[str, Any] = json.loads(made.students[task]["student.json"])
    card |= {"route": "SKIP", "columns": [], "calibrator": {"type": "none"}, "init_score": [], "fidelity": None, "direct": None,
             "output_transform": "identity"}  # fmt: skip
    students = {**made.students, task: {"student.json": json.dumps(card).encode()}}
    return open_bundle(made.build(students=students).__getitem__, KEY)


def test_a_bundle_compared_with_itself_differs_in_nothing(opened: Bundle, matrix: TrainingMatrix, made: Made) -> None:
    compared = compare(opened, opened, matrix, made.settings)
    assert {row.task for row in compared.tasks} == {task.name for task in matrix.tasks}
    assert {(row.difference, row.verdict) for row in compared.tasks} == {(0.0, "unclear")}
    assert all(row.challenger == row.champion for row in compared.tasks)
    assert all(row.psi == row.jsd == 0 for row in compared.shifts)


def test_predictions_are_those_that_serving_gives(opened: Bundle, matrix: TrainingMatrix) -> None:
    task = matrix.task("churn_signal")
    student, row = opened.students["churn_signal"], matrix.X[matrix.rows("test")][0]
    values = [row[matrix.columns.index(name)] for name in opened.names]
    expected = student.predict(values)
    assert predictions(opened, task, matrix)[0] == pytest.approx(expected[0], abs=1e-9)


def test_a_task_that_is_left_to_the_rules_is_significantly_worse_than_a_skilled_model(
    opened: Bundle, matrix: TrainingMatrix, made: Made
) -> None:
    skipped = without(made, "churn_signal")
    compared = {row.task: row for row in compare(skipped, opened, matrix, made.settings).tasks}
    assert compared["churn_signal"].verdict == "worse"
    assert compared["churn_signal"].challenger == pytest.approx(0.5)
    train = matrix.labels["churn_signal"][matrix.rows("train")]
    assert predictions(skipped, matrix.task("churn_signal"), matrix) == pytest.approx(train.mean())
    back = {row.task: row for row in compare(opened, skipped, matrix, made.settings).tasks}
    assert back["churn_signal"].verdict == "better"


def test_classes_are_matched_by_their_labels(opened: Bundle, matrix: TrainingMatrix) -> None:
    task = matrix.task("nba_primary")
    straight = predictions(opened, task, matrix)
    turned = predictions(opened, replace(task, class_labels=task.class_labels[::-1]), matrix)
    assert turned == pytest.approx(straight[:, ::-1], abs=1e-6)
    unknown = predictions(opened, replace(task, class_labels=("new", *task.class_labels[1:])), matrix)
    assert (unknown[:, 0] < 1e-5).all()
    assert unknown.sum(axis=1) == pytest.approx(1)


def test_a_bundle_that_reads_columns_that_are_gone_cannot_be_compared(
    opened: Bundle, matrix: TrainingMatrix, made: Made
) -> None:
    gone = opened.names[0]
    fewer = replace(matrix, columns=tuple("renamed" if name == gone else name for name in matrix.columns))
    compared = compare(opened, opened, fewer, made.settings)
    assert compared.tasks == ()
    assert {fault.code for fault in compared.faults} == {"COMPARISON_IMPOSSIBLE"}
    assert gone in compared.faults[0].what


def test_shifts_grow_with_the_distance_of_the_outputs() -> None:
    random = np.random.default_rng(1)
    old = random.random(2000)
    near, far = shift_of("t", old, old + random.normal(0, 0.01, 2000)), shift_of("t", old, 1 - old**3)
    assert near.psi is not None
    assert far.psi is not None
    assert (near.psi < 0.01, far.psi > 0.25) == (True, True)
    assert near.rank_correlation == pytest.approx(1, abs=0.01)
    assert far.rank_correlation == pytest.approx(-1)
    moved = shift_of("t", old, old + old.std())
    assert moved.mean_shift == pytest.approx(1.0)
    constant = shift_of("t", np.full(10, 0.3), np.full(10, 0.3))
    assert (constant.psi, constant.rank_correlation, constant.mean_shift) == (0, None, None)


def test_the_divergences_are_symmetric_where_they_ought_to_be_and_never_negative() -> None:
    p, q = np.array([0.1, 0.2, 0.7]), np.array([0.5, 0.25, 0.25])
    assert jensen_shannon(p, q) == pytest.approx(jensen_shannon(q, p))
    assert population_stability(p, q) == pytest.approx(population_stability(q, p))
    assert min(jensen_shannon(p, q), population_stability(p, q)) > 0
