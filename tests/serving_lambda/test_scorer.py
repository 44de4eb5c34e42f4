"""Links and calibrators against numpy, and a batch against single rows."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_lambda.bundle import Bundle
from serving_lambda.errors import ServingError
from serving_lambda.links import calibrate, interpolate, sigmoid, softmax
from serving_lambda.scorer import Student, score_matrix, score_row

REALS = st.floats(-800, 800)


@given(REALS)
def test_sigmoid_never_overflows_and_agrees_with_numpy(value: float) -> None:
    assert sigmoid(value) == pytest.approx(1 / (1 + np.exp(np.longdouble(-value))), abs=1e-15)


@given(st.lists(REALS, min_size=1, max_size=60))
def test_softmax_sums_to_one_and_keeps_the_order(values: list[float]) -> None:
    found = softmax(values)
    assert sum(found) == pytest.approx(1.0)
    assert found[int(np.argmax(values))] == max(found)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20, unique=True), st.floats(-0.5, 1.5))
def test_isotonic_interpolation_agrees_with_numpy(points: list[int], at: float) -> None:
    x = [point / 1000 for point in sorted(points)]
    y = [value * value for value in x]
    assert interpolate(x, y, at) == pytest.approx(float(np.interp(at, x, y)), abs=1e-12)


@given(st.floats(0, 1), st.floats(0.1, 3), st.floats(-2, 2))
def test_platt_scaling_is_finite_at_both_ends(probability: float, a: float, b: float) -> None:
    bounded = np.clip(probability, 1e-7, 1 - 1e-7)
    expected = 1 / (1 + np.exp(-(a * np.log(bounded / (1 - bounded)) + b)))
    assert calibrate({"type": "platt", "a": a, "b": b}, probability) == pytest.approx(expected, abs=1e-12)


def card(**changes: Any) -> dict[str, Any]:
    made = {
        "task": "t", "kind": "multiclass", "classes": 3, "class_labels": ["a", "b", "c"], "route": "DISTILL",
        "columns": ["y", "x"],
        "output_transform": "softmax", "init_score": [0.0, 1.0, -1.0], "calibrator": {"type": "temperature", "temperature": 2.0},
    }  # fmt: skip
    return {**made, **changes}


def test_the_initial_score_is_added_before_the_temperature_divides() -> None:
    student = Student(card(), ["x", "y"])
    assert student.finish([1.0, 1.0, 1.0]) == softmax([0.5, 1.0, 0.0])


def test_columns_are_picked_in_the_students_own_order() -> None:
    assert Student(card(), ["x", "z", "y"]).gather([1.0, 2.0, 3.0]) == array("f", [3.0, 1.0])
    assert Student(card(columns=["z"]), ["x", "z"]).gather([1.0, 2.0]) == array("f", [2.0])


def test_an_initial_score_of_another_length_is_refused() -> None:
    with pytest.raises(ServingError):
        Student(card(init_score=[1.0]), ["x", "y"])


def test_a_batch_gives_the_same_bits_as_single_rows(bundle: Bundle, made: Any) -> None:
    place = [made.registry.names.index(name) for name in bundle.names]
    rows = np.ascontiguousarray(made.X[:50, place])
    single = [score_row(bundle.students, array("f", row))[0] for row in rows]
    for task, student in bundle.students.items():
        if student.model is not None:
            matrix = np.ascontiguousarray(rows[:, student.positions])
            assert score_matrix(student, matrix, 50) == [scores[task] for scores in single]
