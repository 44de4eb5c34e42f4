"""A stored choice model: inputs that stay within bounds, scores column by column, and a file that is exact or refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from finai_assets.choice.model import ChoiceModel, Squash, from_file, to_file
from finai_resources.errors import LakeError

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def model(seed: int = 0) -> ChoiceModel:
    random = np.random.default_rng(seed)
    squash = Squash(random.uniform(0.1, 9.0, 3), random.normal(size=3), random.uniform(0.5, 2.0, 3))
    return ChoiceModel(("a", "b"), ("x", "y", "z"), squash, random.normal(size=2), random.normal(size=(2, 3)))


def test_a_squash_by_hand() -> None:
    X = np.array([[-2.0, 0.0, 7.0], [4.0, 0.0, 7.0], [6.0, np.nan, 7.0], [np.nan, 0.0, 7.0]])
    squash = Squash.fit(X)
    assert squash.size.tolist() == [4.0, 1.0, 7.0]  # of 2, 4 and 6; of nothing that is not zero; of equals
    bare = np.array([-2 / 6, 4 / 8, 6 / 10])
    z = (bare - bare.mean()) / bare.std()
    assert squash.apply(X) == pytest.approx(np.column_stack([[*z, 0.0], np.zeros(4), np.zeros(4)]))
    assert squash.center == pytest.approx([bare.mean(), 0.0, 0.5])
    assert squash.scale == pytest.approx([1 / bare.std(), 1.0, 1.0])  # what does not vary is not blown up


def test_an_infinite_value_is_missing_in_the_fit_as_in_a_row() -> None:
    X = np.array([[1.0], [3.0], [np.inf], [-np.inf], [np.inf]])
    told, known = Squash.fit(X), Squash.fit(X[:2])
    assert (told.size, told.center, told.scale) == (known.size, known.center, known.scale)
    assert told.apply(X)[2:].tolist() == [[0.0]] * 3


@given(hnp.arrays(np.float32, (6, 2), elements=st.floats(width=32)))
def test_inputs_are_finite_and_bounded_whatever_the_values(X: np.ndarray) -> None:
    squash = Squash.fit(X[:3])
    z = squash.apply(X)
    assert np.isfinite(z).all()
    assert (np.abs(z) <= (1.0 + np.abs(squash.center)) * squash.scale).all()


def test_scores_add_up_column_by_column() -> None:
    X = np.random.default_rng(1).normal(size=(5, 3))
    X[2, 1] = np.nan
    of = model()
    z = of.squash.apply(X)
    wanted = of.intercept[None, :] + sum(z[:, j, None] * of.weights[None, :, j] for j in range(3))
    assert of.scores(X) == pytest.approx(wanted, abs=1e-12)
    assert of.scores(X)[3].tobytes() == of.scores(X[3:4])[0].tobytes()


@given(hnp.arrays(np.float64, (2, 3), elements=NUMBERS), hnp.arrays(np.float64, 2, elements=NUMBERS))
def test_a_file_gives_the_same_bits_back(weights: np.ndarray, intercept: np.ndarray) -> None:
    first = model()
    stored = {
        "columns": ChoiceModel(first.products, first.columns, first.squash, intercept, weights),
        "holdings": first,
    }
    content = to_file(stored, {"note": [1, 2]})
    read, card = from_file(content, "here")
    assert card == {"note": [1, 2]}
    assert to_file(read, card) == content
    for name, kept in stored.items():
        assert (read[name].products, read[name].columns) == (kept.products, kept.columns)
        for part in ("intercept", "weights"):
            assert getattr(read[name], part).tobytes() == getattr(kept, part).tobytes()
        for part in ("size", "center", "scale"):
            assert getattr(read[name].squash, part).tobytes() == getattr(kept.squash, part).tobytes()


def test_a_model_of_no_column_comes_back() -> None:
    empty = ChoiceModel(
        ("a", "b"), (), Squash(np.zeros(0), np.zeros(0), np.ones(0)), np.array([1.0, 2.0]), np.zeros((2, 0))
    )
    read, _ = from_file(to_file({"holdings": empty}, {}), "here")
    assert read["holdings"].scores(np.zeros((3, 0))).tolist() == [[1.0, 2.0]] * 3


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"columns": ["x", "y"]},
        {"products": ["a", "b", "c"]},
        {"size": [1.0, 2.0]},
        {"intercept": [0.0]},
        {"weights": [[1.0, 2.0, 3.0]]},
        {"weights": "many"},
        {"center": None},
    ],
)
def test_a_model_of_another_format_or_whose_parts_do_not_fit_is_refused(change: dict[str, Any]) -> None:
    stored = json.loads(to_file({"columns": model()}, {}))
    stored["models"]["columns"].update(change)
    with pytest.raises(LakeError, match="cannot be read"):
        from_file(json.dumps(stored).encode(), "here")


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"models": []}', b'{"models": {"columns": {}}, "card": {}}', b"\xff"]
)
def test_content_that_is_no_choice_model_is_refused(content: bytes) -> None:
    with pytest.raises(LakeError, match="fit it again"):
        from_file(content, "here")
