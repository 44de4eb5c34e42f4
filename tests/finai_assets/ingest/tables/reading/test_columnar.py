"""Parquet and Arrow as pandas, Spark and others write them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import feather, ipc

from finai_assets.ingest.tables.reading.columnar import Plain, plain_batches
from finai_resources.errors import ConfigError, ContractError

DAY = dt.datetime(1993, 1, 5, 13, 45)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "int96"])
def test_a_time_is_the_same_in_every_unit(tmp_path, read, values, unit):
    column = pa.array([DAY, None], pa.timestamp("ns" if unit == "int96" else unit))
    pq.write_table(pa.table({"ts": column}), tmp_path / "t.parquet", use_deprecated_int96_timestamps=unit == "int96")
    rows = read(path="t.parquet")
    assert values(rows) == [(DAY,), (None,)]
    assert not rows.refused


def test_nanoseconds_that_are_left_over_are_refused_where_used_or_dropped_where_declared(tmp_path, read, values):
    odd = pa.array([0, 1_500, 2_001], pa.int64()).cast(pa.timestamp("ns"))
    pq.write_table(pa.table({"id": [1, 2, 3], "ts": odd}), tmp_path / "t.parquet")
    rows = read(path="t.parquet")
    assert values(rows) == [(1,), (2,), (3,)]
    assert rows.schema["ts"] == "timestamp[ns]"
    rows.require(["id"])
    with pytest.raises(
        ContractError, match=r"t.parquet, column ts: timestamps with nanoseconds.*000001500(.|\n)*nanoseconds: trunc"
    ):
        rows.require(["TS"])
    dropped = read(path="t.parquet", nanoseconds="truncate")
    assert [row[1].microsecond for row in values(dropped)] == [0, 1, 2]


def test_times_with_a_zone_are_read_by_the_declared_clock_and_refused_without_one(tmp_path, read, values):
    instants = pa.array([dt.datetime(1993, 1, 31, 23, 30), dt.datetime(1993, 7, 1, 12)], pa.timestamp("us", "UTC"))
    pq.write_table(pa.table({"id": [1, 2], "ts": instants}), tmp_path / "t.parquet")
    told = read(path="t.parquet")
    assert values(told) == [(1,), (2,)]
    with pytest.raises(
        ContractError, match=r"column ts: timestamps with the time zone UTC.*not declared(.|\n)*time_zone"
    ):
        told.require(["ts"])
    prague = [dt.datetime(1993, 2, 1, 0, 30), dt.datetime(1993, 7, 1, 14)]
    assert [row[1] for row in values(read(path="t.parquet", time_zone="Europe/Prague"))] == prague
    seoul = [dt.datetime(1993, 2, 1, 8, 30), dt.datetime(1993, 7, 1, 21)]
    assert [row[1] for row in values(read(path="t.parquet", time_zone="Asia/Seoul"))] == seoul
    with pytest.raises(ConfigError, match="unknown time zone 'Mars/Base'"):
        read(path="t.parquet", time_zone="Mars/Base")


def test_identifiers_keep_every_digit(tmp_path, read, values):
    table = pa.table(
        {
            "unsigned": pa.array([2**64 - 1, 2**63], pa.uint64()),
            "signed": pa.array([9_000_000_000_000_000_001, -(2**63)], pa.int64()),
            "wide": pa.array([Decimal(10**37), Decimal(1)], pa.decimal128(38, 0)),
            "word": pa.array(["00042", "3fa85f64-5717"]).dictionary_encode(),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    rows = read(path="t.parquet")
    assert rows.parquet == [tmp_path / "t.parquet"]  # nothing had to be changed
    assert values(rows) == [
        (2**64 - 1, 9_000_000_000_000_000_001, Decimal(10**37), "00042"),
        (2**63, -(2**63), 1, "3fa85f64-5717"),
    ]


def test_decimals_are_exact_and_those_that_fit_nowhere_are_refused(tmp_path, read, values):
    amounts = [Decimal("123456789012.34"), Decimal("-0.01"), None]
    table = pa.table({"a": pa.array(amounts, pa.decimal128(20, 2)), "b": pa.array(amounts, pa.decimal256(60, 2))})
    pq.write_table(table, tmp_path / "t.parquet")
    assert values(read(path="t.parquet")) == [(amount, amount) for amount in amounts]
    huge = pa.table({"id": [1], "b": pa.array([Decimal(10**50)], pa.decimal256(60, 2))})
    pq.write_table(huge, tmp_path / "huge.parquet")
    rows = read(path="huge.parquet")
    assert values(rows) == [(1,)]
    with pytest.raises(ContractError, match=r"huge.parquet, column b: a value of type decimal256"):
        rows.require(["b"])


def test_a_column_without_one_value_a_row_tells_its_type(tmp_path, read):
    table = pa.table(
        {"amount": [{"value": 1.0}], "tags": [["a"]], "pairs": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64()))}
    )
    pq.write_table(table, tmp_path / "t.parquet")
    rows = read(path="t.parquet")
    assert rows.nested("amount") == "struct<value: double>"
    assert rows.nested("tags") == "list<element: string>"
    assert rows.nested("pairs").startswith("map<")
    assert rows.nested("absent") is None


def test_a_column_that_sql_lacks_stops_nothing_unless_it_is_used(tmp_path, read, values):
    table = pa.table({"id": [1], "lasts": pa.array([5], pa.duration("s"))})
    pq.write_table(table, tmp_path / "t.parquet")
    rows = read(path="t.parquet")
    assert values(rows) == [(1,)]
    with pytest.raises(ContractError, match=r"column lasts: type duration\[s\] has no counterpart"):
        rows.require(["lasts"])


def test_a_truncated_or_damaged_parquet_is_refused_wherever_it_is_cut(tmp_path, read):
    whole = tmp_path / "whole.parquet"
    pq.write_table(pa.table({"id": list(range(5000)), "word": [str(i) for i in range(5000)]}), whole)
    content = whole.read_bytes()
    for share in (0.01, 0.5, 0.999):
        (tmp_path / "trans.parquet").write_bytes(content[: int(len(content) * share)])
        with pytest.raises(ContractError, match=r"trans.parquet.*truncated or damaged"):
            read(path="trans.parquet")
    holed = bytearray(content)
    holed[200:400] = bytes(200)
    (tmp_path / "trans.parquet").write_bytes(bytes(holed))
    with pytest.raises(ContractError, match=r"trans.parquet.*truncated or damaged"):
        read(path="trans.parquet")


def test_a_parquet_that_names_a_column_twice_is_refused(tmp_path, read):
    table = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["Date", "date"])
    pq.write_table(table, tmp_path / "t.parquet")
    with pytest.raises(ContractError, match=r"t.parquet, column Date: column occurs twice"):
        read(path="t.parquet")


@pytest.mark.parametrize("kind", ["file", "stream", "feather", "lz4"])
def test_arrow_files_and_streams_are_read_under_any_name(tmp_path, read, values, kind):
    table = pa.table(
        {"id": pa.array([2**64 - 1], pa.uint64()), "word": pa.array(["a"]).dictionary_encode(), "ts": pa.array([DAY])}
    )
    for name in ("t.arrow", "t.bin"):
        path = tmp_path / name
        if kind in ("feather", "lz4"):
            feather.write_feather(table, path, compression="lz4" if kind == "lz4" else "uncompressed")
        else:
            with (ipc.new_file if kind == "file" else ipc.new_stream)(path, table.schema) as writer:
                writer.write_table(table)
        assert values(read(path=name, format="arrow")) == [(2**64 - 1, "a", DAY)]
    if kind != "stream":
        assert values(read(path="t.bin")) == [(2**64 - 1, "a", DAY)]
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(ContractError, match=r"t.bin.*truncated or damaged"):
        read(path="t.bin", format="arrow")


@given(
    st.lists(st.one_of(st.none(), st.datetimes(dt.datetime(1678, 1, 1), dt.datetime(2262, 1, 1))), max_size=20),
    st.sampled_from(["us", "ns"]),
)
def test_every_time_that_microseconds_hold_comes_through_unchanged(times, unit):
    batch = pa.record_batch({"ts": pa.array(times, pa.timestamp(unit))})
    made = plain_batches(batch.schema, lambda: iter([batch]), "t", Plain())
    assert [value for plain in made.rows for value in plain["ts"].to_pylist()] == times
    assert not made.refused
