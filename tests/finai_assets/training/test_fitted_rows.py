"""What is told of the rows that something was fitted on."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.features.sampling import rows_digest
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.months import Month

MATRIX = TrainingMatrix(
    X=np.zeros((6, 1), np.float32),
    customer=np.array([3, 1, 2, 1, 1, 2]),
    month=np.array(["2015-01", "2015-01", "2015-02", "2015-02", "2015-04", "2015-04"]),
    split=np.array(["train", "train", "train", "train", "validation", "validation"]),
    labels={},
    persistence={},
    columns=("age",),
    tasks=(),
)


def test_rows_are_told_by_split_months_count_and_digest() -> None:
    january, february = Month.parse("2015-01"), Month.parse("2015-02")
    found = FittedRows.of(MATRIX, MATRIX.rows("train"))
    digest = rows_digest({january: np.array([1, 3]), february: np.array([1, 2])})
    assert found == FittedRows("train", ("2015-01", "2015-02"), 4, digest)


def test_positions_and_a_slice_of_the_same_rows_agree() -> None:
    assert FittedRows.of(MATRIX, np.arange(4)) == FittedRows.of(MATRIX, slice(0, 4))


def test_rows_of_several_splits_say_so() -> None:
    assert FittedRows.of(MATRIX, slice(2, 5)).split == "train+validation"
    same_month = replace(MATRIX, month=np.full(6, "2015-01"))
    assert FittedRows.of(same_month, slice(0, 6)).split == "train+validation"


def test_no_rows_are_of_no_split() -> None:
    assert FittedRows.of(MATRIX, slice(3, 3)) == FittedRows("", (), 0, rows_digest({}))


@pytest.mark.parametrize("rows", [slice(0, 4), slice(3, 3)])
def test_it_survives_json(rows: slice) -> None:
    found = FittedRows.of(MATRIX, rows)
    assert FittedRows.from_json(json.loads(json.dumps(asdict(found)))) == found


@given(st.permutations(range(4)), st.sets(st.integers(0, 5), min_size=1))
def test_the_digest_knows_the_rows_and_not_their_order(order: list[int], chosen: set[int]) -> None:
    whole = FittedRows.of(MATRIX, np.arange(4))
    assert FittedRows.of(MATRIX, np.array(order)) == whole
    some = FittedRows.of(MATRIX, np.array(sorted(chosen)))
    assert (some.digest == whole.digest) == (chosen == set(range(4)))
