"""All findings of a source are told at once: broken rules, months that were cut off, columns that came, went or were emptied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest

from finai_assets.ingest.adapter import MonthTables, Piece, product_catalogue
from finai_assets.ingest.contract import MERCHANT_CATEGORIES, SNAPSHOTS, TRANSACTIONS, protected_contract
from finai_assets.ingest.findings import Finding
from finai_assets.ingest.source_check import SourceReport, check_source
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ContractError
from finai_resources.months import Month

MONTHS = [Month.parse("1993-01") + at for at in range(15)]
Alter = Callable[[Month, str, list[dict[str, Any]]], list[dict[str, Any]]]


class Source:
    """Three customers with two transactions a month, altered month by month."""

    name = "a bank"

    def __init__(self, settings: Settings, alter: Alter, months: list[Month] = MONTHS) -> None:
        self.settings, self.alter, self._months = settings, alter, months

    def months(self) -> list[Month]:
        return self._months

    def products(self) -> pa.Table:
        return product_catalogue(self.settings)

    def merchant_categories(self) -> pa.Table:
        return pa.Table.from_pylist([{"mcc": 1, "name": "a", "l2": 0, "l1": 0}], schema=MERCHANT_CATEGORIES)

    def source_files(self) -> dict[str, str]:
        return {}

    def source_schema(self) -> dict[str, dict[str, str]]:
        return {"trans": {"id": "string", "channel": "string"}}

    def pseudonym_witness(self) -> dict[str, Any]:
        return {}

    def month(self, month: Month) -> MonthTables:
        return MonthTables(
            self._stream(month, "snapshots", SNAPSHOTS, self._snapshots(month)),
            self._stream(month, "transactions", TRANSACTIONS, self._transactions(month)),
            self._stream(month, "protected", protected_contract(["gender"]).schema, self._protected()),
        )

    def _stream(self, month: Month, table: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> Iterator[Piece]:
        yield Piece(f"{table}.csv", pa.Table.from_pylist(self.alter(month, table, rows), schema=schema))

    def _snapshots(self, month: Month) -> list[dict[str, Any]]:
        fixed = {"snapshot_month": month.start.date(), "age": 30, "gender": "F", "segment": "under_10k", "held": [0]}
        return [{"customer_id": at, **fixed} for at in range(3)]

    def _transactions(self, month: Month) -> list[dict[str, Any]]:
        days = [month.start.replace(day=day) for day in (5, 20)]
        return [{"customer_id": at, "ts": day, "amount": 1.0, "mcc": 1} for at in range(3) for day in days]

    def _protected(self) -> list[dict[str, Any]]:
        return [{"customer_id": at, "gender": "F"} for at in range(3)]


def unaltered(_month: Month, _table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return rows


@pytest.fixture
def berka() -> Settings:
    return load_settings("berka", "smoke")


def checked(settings: Settings, alter: Alter = unaltered, **options: Any) -> SourceReport:
    return check_source(lambda: Source(settings, alter), settings, **options)


def the_one(report: SourceReport) -> Finding:
    assert len(report.findings) == 1, report.findings
    return report.findings[0]


def test_a_source_without_a_fault_has_no_finding(berka: Settings) -> None:
    report = checked(berka)
    assert report.findings == []
    assert sum(report.rows["transactions"].values()) == 6 * len(MONTHS)


def test_every_broken_rule_of_every_month_is_counted_with_its_share(berka: Settings) -> None:
    def alter(month: Month, table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        if table == "snapshots" and month in MONTHS[:2]:
            return [{**row, "age": 200, "segment": "nobody"} for row in rows]
        return rows

    report = checked(berka, alter)
    assert report.refused
    assert [(each.column, each.rows, len(each.examples)) for each in report.findings] == [
        ("age", 6, 3),
        ("segment", 6, 3),
    ]
    assert report.findings[0].share == pytest.approx(6 / 45)
    assert "age=200" in report.findings[0].examples[0]


def test_a_last_month_that_was_cut_off_is_told_and_does_not_refuse(berka: Settings) -> None:
    def alter(month: Month, table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return rows[:2] if table == "transactions" and month == MONTHS[-1] else rows

    report = checked(berka, alter)
    finding = the_one(report)
    assert not report.refused
    assert "the last month has far fewer rows than usual" in finding.rule
    assert finding.examples == ("1994-03: 2 transactions, usually 6",)


def test_a_column_that_was_emptied_is_told_with_its_months(berka: Settings) -> None:
    def alter(month: Month, table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{**row, "gender": None} for row in rows] if table == "snapshots" and month >= MONTHS[13] else rows

    finding = the_one(checked(berka, alter))
    assert (finding.column, finding.verdict) == ("snapshots.gender", "note")
    assert finding.examples == ("1994-02", "1994-03")


def test_columns_that_came_and_went_since_the_last_load_are_told(berka: Settings) -> None:
    before = {"trans": {"id": "int64", "bank": "string"}}
    told = {finding.column: finding.rule for finding in checked(berka, before=before).findings}
    assert "added" in told["channel"]
    assert "dropped" in told["bank"]
    assert "int64, now it is string" in told["id"]


def test_a_month_without_rows_and_one_in_the_middle_that_is_missing_are_both_told(berka: Settings) -> None:
    def alter(month: Month, table: str, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [] if table == "transactions" and month == MONTHS[3] else rows

    months = [month for month in MONTHS if month != MONTHS[8]]
    report = check_source(lambda: Source(berka, alter, months), berka)
    rules = " ".join(finding.rule for finding in report.findings)
    assert "empty month: 0 rows of transactions for 1993-04" in rules
    assert "month missing in the middle" in rules


def test_a_sample_reads_so_many_months_with_the_first_and_the_last(berka: Settings) -> None:
    report = checked(berka, sample=4)
    assert len(report.months) == 4
    assert (report.months[0], report.months[-1]) == (MONTHS[0], MONTHS[-1])
    assert checked(berka, sample=1).months == (MONTHS[-1],)


def test_a_source_that_cannot_be_opened_is_one_finding(berka: Settings) -> None:
    def broken() -> Source:
        raise ContractError(
            "text where a number belongs (12 rows), for example (row 3: x)",
            where="a.csv, column amount",
            fix="correct it",
        )

    finding = the_one(check_source(broken, berka))
    assert (finding.source, finding.column, finding.rows) == ("a.csv", "amount", 12)
    assert finding.examples == ("(row 3: x)",)


def test_a_table_that_fails_in_its_middle_does_not_hide_the_others(berka: Settings) -> None:
    class Broken(Source):
        def _stream(self, month: Month, table: str, schema: pa.Schema, rows: list[dict[str, Any]]) -> Iterator[Piece]:
            if table == "transactions":
                raise ContractError("it cannot be read", where="trans.csv", fix="export it")
            if table == "snapshots":
                rows = [{**row, "age": -1} for row in rows]
            yield from super()._stream(month, table, schema, rows)

    report = check_source(lambda: Broken(berka, unaltered), berka)
    assert {finding.source for finding in report.findings} == {"trans.csv", "snapshots.csv"}
