"""The choice model that serves: the bits of the model that was fitted, exact contributions, and no content but a whole model."""

from __future__ import annotations

import json
from array import array
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from finai_assets.choice.model import ChoiceModel, Squash
from serving_lambda.errors import ServingError
from serving_lambda.linear import LinearModel

PRODUCTS, COLUMNS = 3, 5
FLOATS = st.floats(width=32, allow_nan=True, allow_infinity=True) | st.sampled_from([0.0, -0.0, 3.4e38, -3.4e38, 1e-45])
NUMBERS = st.floats(-1e6, 1e6)
SIZES = st.floats(1e-30, 1e30)


def array_of(shape: Any, elements: Any) -> Any:
    return hnp.arrays(np.float64, shape, elements=elements)


@st.composite
def models(draw: Any) -> ChoiceModel:
    squash = Squash(draw(array_of(COLUMNS, SIZES)), draw(array_of(COLUMNS, NUMBERS)), draw(array_of(COLUMNS, NUMBERS)))
    return ChoiceModel(
        tuple(f"p{at}" for at in range(PRODUCTS)),
        tuple(f"c{at}" for at in range(COLUMNS)),
        squash,
        draw(array_of(PRODUCTS, NUMBERS)),
        draw(array_of((PRODUCTS, COLUMNS), NUMBERS)),
    )


def served(model: ChoiceModel) -> LinearModel:
    return LinearModel(json.dumps(model.to_dict()).encode())


@given(models(), hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(COLUMNS)), elements=FLOATS))
def test_margins_are_the_fitted_models_bits_row_by_row_and_in_a_batch(model: ChoiceModel, X: np.ndarray) -> None:
    linear, expected = served(model), model.scores(X)
    assert np.isfinite(expected).all()
    assert np.array([linear.raw_row(array("f", row)) for row in X]).tobytes() == expected.tobytes()
    assert np.array(linear.raw(np.ascontiguousarray(X), len(X))).tobytes() == expected.tobytes()


@given(models(), hnp.arrays(np.float32, COLUMNS, elements=FLOATS))
def test_contributions_add_up_to_the_margin_and_a_missing_value_adds_nothing(
    model: ChoiceModel, row: np.ndarray
) -> None:
    linear = served(model)
    margins = linear.raw_row(array("f", row))
    for product in range(PRODUCTS):
        *columns, base = linear.contributions_of(product, linear.inputs(array("f", row)))
        total = base
        for value in columns:
            total += value
        assert total == margins[product]
        assert base == model.intercept[product]
        assert all(value == 0.0 for value, x in zip(columns, row, strict=True) if not np.isfinite(x))


SOUND = ChoiceModel(
    ("a", "b"), ("x", "y"), Squash(np.array([1.0, 2.0]), np.zeros(2), np.ones(2)), np.zeros(2), np.eye(2)
).to_dict()


def test_a_margin_by_hand() -> None:
    linear = LinearModel(
        json.dumps({**SOUND, "center": [0.25, 0.0], "scale": [2.0, 1.0], "intercept": [1.0, -1.0]}).encode()
    )
    assert linear.raw_row([1.0, -2.0]) == [1.0 + (0.5 - 0.25) * 2.0, -1.0 - 0.5]
    assert linear.raw_row([float("nan"), float("inf")]) == [1.0, -1.0]


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(SOUND).encode()[:-20],
        b"",
        b"\xff\xfe",
        b"tree\nversion=v4\n",
        b"[]",
        b"7",
        json.dumps({name: value for name, value in SOUND.items() if name != "scale"}).encode(),
        *(
            json.dumps({**SOUND, **change}).encode()
            for change in (
                {"format": 2},
                {"size": [1.0]},
                {"intercept": [0.0]},
                {"weights": [[1.0, 0.0]]},
                {"weights": [[1.0, 0.0], [1.0]]},
                {"weights": [[1.0, None], [0.0, 1.0]]},
                {"weights": 3},
                {"columns": ["x"]},
                {"products": ["a", "b", "c"]},
                {"size": [1.0, 0.0]},
                {"size": [1.0, -2.0]},
                {"center": [0.0, float("nan")]},
                {"intercept": [0.0, float("inf")]},
                {"scale": [1.0, 10**400]},
                {"scale": [1.0, "much"]},
            )
        ),
    ],
)
def test_content_that_is_no_whole_model_is_unreadable(content: bytes) -> None:
    with pytest.raises(ServingError) as refused:
        LinearModel(content)
    assert refused.value.code == "MODEL_UNREADABLE"
