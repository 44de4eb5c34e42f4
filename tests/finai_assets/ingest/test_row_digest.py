"""The digest of rows depends on the rows alone: not on their order, their pieces, their types or the order of columns."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.ingest.row_digest import RowDigest

ROW = st.fixed_dictionaries(
    {
        "customer_id": st.integers(0, 2**63 - 1),
        "amount": st.none() | st.floats(allow_nan=False),
        "segment": st.none() | st.text(max_size=4),
        "held": st.lists(st.integers(0, 30), max_size=4),
        "active": st.none() | st.booleans(),
    }
)
SCHEMA = pa.schema(
    {
        "customer_id": pa.int64(),
        "amount": pa.float64(),
        "segment": pa.string(),
        "held": pa.list_(pa.int16()),
        "active": pa.bool_(),
    }
)


def facts(*pieces: pa.Table) -> dict[str, Any]:
    digest = RowDigest()
    for piece in pieces:
        digest.add(piece)
    return digest.facts()


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@given(st.lists(ROW, max_size=8), st.randoms(use_true_random=False), st.integers(0, 8))
def test_order_of_rows_and_columns_and_the_cut_into_pieces_change_nothing(rows, random, cut):
    shuffled = random.sample(rows, len(rows))
    names = random.sample(SCHEMA.names, len(SCHEMA.names))
    assert facts(table(shuffled[:cut]).select(names), table(shuffled[cut:])) == facts(table(rows))


@given(st.lists(ROW, min_size=1, max_size=6), st.data())
def test_any_other_value_and_any_row_more_or_less_changes_it(rows, data):
    at, name = data.draw(st.integers(0, len(rows) - 1)), data.draw(st.sampled_from(SCHEMA.names))
    other = data.draw(ROW)[name]
    altered = [{**row, name: other} if index == at else row for index, row in enumerate(rows)]
    assert (facts(table(altered)) == facts(table(rows))) == (other == rows[at][name])
    assert facts(table([*rows, rows[at]]))["digest"] != facts(table(rows))["digest"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.array([1, None, 3], pa.int8()), pa.array([1.0, None, 3.0], pa.float64())),
        (pa.array(["a", None, "b"]), pa.array(["a", None, "b"]).dictionary_encode()),
        (pa.array(["a", None, "b"]), pa.array(["a", None, "b"], pa.large_string())),
        (pa.array([date(2015, 3, 1)], pa.date32()), pa.array([datetime(2015, 3, 1)], pa.timestamp("us"))),
        (pa.array([None, None], pa.null()), pa.array([None, None], pa.string())),
        (pa.array([-0.0]), pa.array([0.0])),
        (pa.array([np.float64("nan")]), pa.array([-np.float64("nan")])),
    ],
)
def test_the_type_that_holds_a_value_changes_nothing(one, other):
    assert facts(pa.table({"x": one})) == facts(pa.table({"x": other}))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([{"x": "a", "y": "b"}], [{"x": "b", "y": "a"}]),
        ([{"x": None, "y": 0}], [{"x": 0, "y": None}]),
        ([{"x": [1, 2], "y": 0}], [{"x": [2, 1], "y": 0}]),
        ([{"x": [], "y": 0}], [{"x": None, "y": 0}]),
        ([{"x": "1", "y": 0}], [{"x": 1, "y": 0}]),
        ([{"x": 2**62 + 1, "y": 0}], [{"x": 2**62, "y": 0}]),
        ([{"x": {"a": 1}, "y": 0}], [{"x": {"a": 2}, "y": 0}]),
        ([{"x": 1, "y": 1}, {"x": 2, "y": 2}], [{"x": 1, "y": 2}, {"x": 2, "y": 1}]),
    ],
)
def test_values_that_look_alike_are_told_apart(one, other):
    assert facts(pa.Table.from_pylist(one)) != facts(pa.Table.from_pylist(other))


def test_the_digest_is_the_same_in_every_process_and_version():
    rows = [{"customer_id": 7, "amount": 1.5, "segment": "가", "held": [1, 3], "active": True}]
    assert facts(table(rows)) == {"rows": 1, "digest": "c4508465bd36925351634124995e7c12"}
