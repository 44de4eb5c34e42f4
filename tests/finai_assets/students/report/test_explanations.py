"""Reasons are compared by hand-made lists: by input among those that both read, and by feature group."""

from __future__ import annotations

import numpy as np
import pytest

from finai_assets.settings.method import MetricSettings
from finai_assets.students.report.explanations import (
    Explained,
    compare_reasons,
    explained_rows,
    reasons_of_copy,
)
from finai_assets.students.train import StudentResult, places
from finai_resources.errors import GateError
from tests.finai_assets.students.conftest import Toy
from tests.finai_assets.students.report.conftest import top_of

DRAWS = MetricSettings(bootstrap_samples=20, confidence=0.95)
GROUPS = {"a": "x", "b": "x", "c": "y", "d": "z"}


def told(names: list[str], values: list[float]) -> Explained:
    kinds = [GROUPS.get(name, "side") for name in names]
    return Explained(np.array([0]), *(np.array([part], dtype=object) for part in (names, kinds)), np.array([values]))


def found(teacher: Explained, copy: list[float], inputs: list[str]) -> dict[str, dict[str, object]]:
    return compare_reasons(teacher, np.array([copy]), inputs, GROUPS, np.array([1]), DRAWS, 0)


def value(result: dict[str, dict[str, object]], what: str, figure: str) -> object:
    entry = result[what][figure]
    assert isinstance(entry, dict)
    return entry["value"]


def test_what_the_copy_cannot_read_is_left_out_by_input_and_counts_by_group() -> None:
    """The teacher names a tensor first; the copy reads the second and third, and agrees on both but one sign."""
    result = found(told(["tensor", "a", "c"], [4.0, 2.0, -1.0]), [3.0, 1.0, 0.0], ["a", "c", "d"])
    assert value(result, "inputs", "overlap") == 1.0
    assert value(result, "inputs", "sign_agreement") == 0.5
    assert value(result, "groups", "overlap") == pytest.approx(2 / 3)
    assert result["read_share"] == pytest.approx(3 / 7)


def test_columns_of_one_input_are_added_up_before_they_are_compared() -> None:
    teacher = told(["a", "c"], [1.0, -0.5])
    apart = found(teacher, [0.6, 0.6, -1.0, 0.1], ["a", "a", "c", "d"])
    assert value(apart, "inputs", "overlap") == 1.0
    assert value(apart, "inputs", "sign_agreement") == 1.0
    cancelled = found(teacher, [0.6, -0.6, -1.0, 0.1], ["a", "a", "c", "d"])
    assert value(cancelled, "inputs", "overlap") == 0.5  # the copy's first two are c and d


def test_the_first_five_of_the_shared_inputs_are_compared_and_zero_is_no_reason() -> None:
    names = [f"i{k}" for k in range(8)]
    groups = dict.fromkeys(names, "g")
    listed, kinds = np.array([names], dtype=object), np.full((1, 8), "g", dtype=object)
    teacher = Explained(np.array([0]), listed, kinds, np.arange(8.0, 0.0, -1.0)[None])
    copy = np.array([[5.0, 4.0, 0.0, 0.0, 0.0, 3.0, 2.0, 1.0]])
    result = compare_reasons(teacher, copy, names, groups, np.array([1]), DRAWS, 0)
    assert value(result, "inputs", "overlap") == pytest.approx(2 / 5)


def test_a_row_without_a_shared_input_is_not_compared_by_input() -> None:
    result = found(told(["tensor"], [1.0]), [1.0], ["a"])
    assert result["inputs"]["compared"] == 0
    assert value(result, "inputs", "overlap") is None


def test_contributions_add_up_to_the_output_less_its_mean(once: Toy, students: dict[str, StudentResult]) -> None:
    at = once.matrix.rows("test").start + np.arange(30)
    for name in ("churn", "spend"):
        model = students[name].model
        assert model is not None
        raw = model.raw(np.ascontiguousarray(once.matrix.X[np.ix_(at, places(once.matrix, model.columns))]), threads=1)
        moved = reasons_of_copy(model, once.matrix, at, once.teacher[name][at], 1).sum(axis=1)
        assert np.ptp(raw - moved) < 1e-6 * max(1.0, np.abs(raw).max())


def test_of_classes_the_one_that_the_teacher_predicts_is_explained(
    once: Toy, students: dict[str, StudentResult]
) -> None:
    at = once.matrix.rows("test").start + np.arange(30)
    model, teacher = students["family"].model, once.teacher["family"][at]
    assert model is not None
    X = np.ascontiguousarray(once.matrix.X[np.ix_(at, places(once.matrix, model.columns))])
    raw = model.raw(X, threads=1)
    contrast = raw[np.arange(30), teacher.argmax(axis=1)] - raw.mean(axis=1)
    moved = reasons_of_copy(model, once.matrix, at, teacher, 1).sum(axis=1)
    start = contrast - moved  # one number for each class that is predicted
    for k in np.unique(teacher.argmax(axis=1)):
        assert np.ptp(start[teacher.argmax(axis=1) == k]) < 1e-6


def test_rows_find_their_place_whatever_the_order_of_the_table(once: Toy) -> None:
    values = np.random.default_rng(3).normal(size=(20, len(once.matrix.columns)))
    table = top_of(once, "churn", values)
    shuffled = table.take(np.random.default_rng(4).permutation(len(table)))
    first, second = (explained_rows(each, once.matrix)["churn"] for each in (table, shuffled))
    assert (first.at == second.at).all()
    assert (first.inputs == second.inputs).all()
    assert (first.attribution == second.attribution).all()
    assert (first.at == once.matrix.rows("test").start + np.arange(20)).all()


def test_explanations_of_another_matrix_are_refused(once: Toy) -> None:
    table = top_of(once, "churn", np.ones((3, len(once.matrix.columns))))
    strange = table.set_column(0, "customer_id", [np.full(len(table), 10**9)])
    with pytest.raises(GateError, match="no test rows of the training matrix"):
        explained_rows(strange, once.matrix)
    with pytest.raises(GateError, match="different lengths"):
        explained_rows(table.slice(0, len(table) - 1), once.matrix)
