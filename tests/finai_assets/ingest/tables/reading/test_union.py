"""Several files of one source."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finai_resources.errors import ContractError


def test_the_order_of_columns_does_not_matter(tmp_path, read, values):
    (tmp_path / "t1.csv").write_text("id,w\n1,a\n")
    (tmp_path / "t2.csv").write_text("w;id\nb;2\n")
    assert values(read(path="t*.csv")) == [("1", "a"), ("2", "b")]


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ("id\n2\n", r"t2.csv, column w: .*different columns: this one lacks w, compared with .*t1.csv"),
        ("id,w,new\n2,b,c\n", r"t2.csv, column new: .*this one has new besides"),
        ("id,W\n2,b\n", r"t2.csv, column w: .*lacks w and has W besides"),
    ],
)
def test_files_with_different_columns_are_told_unless_a_union_is_declared(tmp_path, read, values, second, said):
    (tmp_path / "t1.csv").write_text("id,w\n1,a\n")
    (tmp_path / "t2.csv").write_text(second)
    with pytest.raises(ContractError, match=said):
        read(path="t*.csv")


def test_a_union_fills_what_a_file_lacks_and_widens_types(tmp_path, read, values):
    pq.write_table(pa.table({"id": pa.array([1], pa.int32()), "gone": ["x"]}), tmp_path / "t1.parquet")
    pq.write_table(pa.table({"id": pa.array([2**40]), "new": [0.5]}), tmp_path / "t2.parquet")
    with pytest.raises(ContractError, match=r"t2.parquet, column gone"):
        read(path="t*.parquet")
    rows = read(path="t*.parquet", union=True)
    assert values(rows) == [(1, "x", None), (2**40, None, 0.5)]
    assert values(read(path="t*.parquet", union=True)) == values(rows)


def test_different_types_are_told_with_file_column_and_both(tmp_path, read):
    pq.write_table(pa.table({"id": [1]}), tmp_path / "t1.parquet")
    pq.write_table(pa.table({"id": ["A1"]}), tmp_path / "t2.parquet")
    with pytest.raises(
        ContractError, match=r"t2.parquet, column id: .*different types: string here, int64 in .*t1.parquet"
    ):
        read(path="t*.parquet")
    with pytest.raises(ContractError, match="no type in common"):
        read(path="t*.parquet", union=True)


@pytest.mark.parametrize("first", ["t1", "t3"])
def test_a_column_without_any_value_fits_every_type(tmp_path, read, values, first):
    pq.write_table(pa.table({"id": [1], "w": pa.nulls(1)}), tmp_path / f"{first}.parquet")
    pq.write_table(pa.table({"id": [2], "w": ["b"]}), tmp_path / "t2.parquet")
    rows = read(path="t*.parquet")
    assert sorted(values(rows)) == [(1, None), (2, "b")]
    assert rows.schema == {"id": "int64", "w": "string"}


def test_text_and_dictionaries_of_text_are_one_type(tmp_path, read, values):
    pq.write_table(pa.table({"w": pa.array(["a"]).dictionary_encode()}), tmp_path / "t1.parquet")
    pq.write_table(pa.table({"w": pa.array(["b"], pa.large_string())}), tmp_path / "t2.parquet")
    assert values(read(path="t*.parquet")) == [("a",), ("b",)]


def test_a_column_that_one_file_refuses_is_left_out_of_all(tmp_path, read, values):
    for number, nanoseconds in enumerate((1_000, 1_001)):
        ts = pa.array([nanoseconds], pa.int64()).cast(pa.timestamp("ns"))
        pq.write_table(pa.table({"id": [number], "ts": ts}), tmp_path / f"t{number}.parquet")
    rows = read(path="t*.parquet")
    assert values(rows) == [(0,), (1,)]
    with pytest.raises(ContractError, match=r"t1.parquet, column ts: timestamps with nanoseconds"):
        rows.require(["ts"])
