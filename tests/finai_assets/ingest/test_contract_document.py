"""The documentation of the data contract is what the contract says."""

from __future__ import annotations

import pytest

from finai_assets.ingest import contract
from finai_assets.ingest.contract import Range
from finai_assets.ingest.contract_document import TARGET, columns_table, render, rules_table


def test_the_page_is_as_the_contract_would_write_it() -> None:
    page = TARGET.read_text(encoding="utf-8")
    assert render(page) == page, "run python -m finai_assets.ingest.contract_document"


def test_every_rule_and_every_column_stands_in_the_tables() -> None:
    assert "age int16?, income float64?" in columns_table()
    assert "held list of int16 |" in columns_table()
    assert "| age: value outside 0..130 or not finite | snapshots |" in rules_table()
    assert "| ts: transaction outside its month (in the future of its month) | transactions |" in rules_table()


def test_a_changed_rule_changes_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    before = rules_table()
    monkeypatch.setattr(contract, "_range", lambda column, low, high: Range(column, f"not {low}..9", "", low, high))
    assert rules_table() != before
