"""C16, values: what is compared is compared bit for bit, and what cannot be found is told."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finai_checks.lineage.matrix_values import Compared, matrix_of_stored_values

floats = st.floats(width=32, allow_nan=True)


@given(arrays(np.float32, st.tuples(st.integers(1, 20), st.integers(1, 4)), elements=floats))
def test_values_equal_themselves_missing_ones_included(values: np.ndarray) -> None:
    found = Compared()
    found.add("x", values, values.copy())
    assert found.wrong == {}
    assert found.values == values.size


@given(arrays(np.float32, st.integers(1, 20), elements=st.floats(-1e3, 1e3, width=32)), st.data())
def test_one_changed_bit_is_one_row(values: np.ndarray, data: st.DataObject) -> None:
    at, bit = data.draw(st.integers(0, len(values) - 1)), data.draw(st.integers(0, 22))
    changed = values.copy()
    changed.view(np.uint32)[at] ^= np.uint32(1 << bit)
    found = Compared()
    found.add("x", values, changed)
    assert found.wrong == {"x": 1}


@pytest.mark.parametrize(("held", "stored"), [(np.nan, 0.0), (0.0, np.nan), (0.0, -0.0)])
def test_a_missing_value_is_no_zero_and_zeros_have_a_sign(held: float, stored: float) -> None:
    found = Compared()
    found.add("x", np.array([held], np.float32), np.array([stored], np.float32))
    assert found.wrong == {"x": 1}


def test_rows_of_a_tensor_count_once_however_many_values_differ() -> None:
    found = Compared()
    found.add("group.tensor", np.zeros((3, 5), np.float32), np.array([[0] * 5, [1] * 5, [0, 0, 2, 0, 0]], np.float32))
    assert found.wrong == {"group.tensor": 2}


def test_the_reason_names_the_worst_columns_first_and_counts_the_others() -> None:
    wrong = {f"c{number:02d}": number + 1 for number in range(12)}
    outcome = matrix_of_stored_values(Compared(5000, 64, wrong))
    assert not outcome.passed
    assert outcome.reason.startswith(
        "12 columns of the matrix are not what is stored of their month: c11 (12 rows), c10 "
    )
    assert outcome.reason.endswith("and 4 more")
    assert len(outcome.table) == 12
