"""The invented bank files that differ from a good one in one way each."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from finai_assets.ingest.tables.reading.numbers import NumberFormat
from finai_resources.errors import ContractError

CASES = Path(__file__).resolve().parents[6] / "shared" / "data" / "cases"


@pytest.fixture
def case() -> Path:
    if not CASES.is_dir():
        pytest.skip("the shared cases are not at hand: there is no ../shared/data/cases beside the repository")
    return CASES


def test_05_times_in_parquet_are_the_dates_of_the_base(case, read, values):
    base = values(read(case / "00_base", path="trans"))
    found = values(read(case / "05_parquet_timestamps", path="trans"))
    assert [row[2].strftime("%y%m%d") for row in found] == [row[2] for row in base]
    assert all(isinstance(row[2], dt.datetime) for row in found)
    assert [row[5] for row in found] == [float(row[5]) for row in base]


def test_06_a_column_that_is_named_twice_is_one_error(case, read):
    with pytest.raises(ContractError, match=r"loan.csv, column date: column occurs twice: date"):
        read(case / "06_column_twice", path="loan")


def test_07_brackets_are_part_of_the_names_that_are_shown(case, read):
    assert list(read(case / "07_brackets", path="account").schema) == [
        "[account_id]",
        "[district_id]",
        "[frequency]",
        "[date]",
    ]


def test_10_identifiers_of_19_digits_keep_each(case, read, values):
    found = {row[1] for row in values(read(case / "10_ids_of_19_digits", path="trans"))}
    assert found == {"9000000000000000001", "9000000000000000002", "9000000000000000003"}


def test_12_a_number_may_begin_with_its_point(case, read, values):
    texts = [row[5] for row in values(read(case / "12_leading_point", path="trans"))]
    import pyarrow as pa

    numbers = NumberFormat().values(pa.array(texts)).to_pylist()
    assert texts[0] == ".50"
    assert numbers[0] == 0.5
    assert None not in numbers


def test_13_a_folder_of_part_files_is_the_base(case, read, values):
    rows = read(case / "13_spark_folder", path="trans")
    assert sum(rows.counts.values()) == 90
    base = values(read(case / "00_base", path="trans"))
    assert sorted(str(row[0]) for row in values(rows)) == sorted(row[0] for row in base)


def test_14_a_struct_tells_its_type(case, read):
    assert read(case / "14_struct_amount", path="trans").nested("amount") == "struct<value: double, currency: string>"
