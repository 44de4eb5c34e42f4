"""Months that go on end with the last full month of the source, and the question is asked once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from going_on import SPANS, deliver

from finai_assets.asset_graph import SNAPSHOTS, Partitions
from finai_assets.ingest import last_month
from finai_assets.ingest.last_month import with_last_month
from finai_assets.partitions import existing_months, is_mature
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ConfigError, ContractError
from finai_resources.lake import Lake
from finai_resources.months import Month
from tests.finai_assets.ingest.tables.test_berka import write_czech

LAKE = Lake.on_disk("/nowhere")


def settings_of(source: Path | None, **dataset: Any) -> Settings:
    named = {"source": str(source)} if source else {}
    return load_settings("berka", "demo", overrides={"dataset": {**SPANS, **named, **dataset}})


@pytest.fixture
def bank(tmp_path: Path) -> Path:
    folder = tmp_path / "bank"
    folder.mkdir()
    return deliver(write_czech(folder), "1993-04", "1993-05", "1993-06")


def ends(settings: Settings, cache: Path | None = None) -> tuple[str, str, tuple[str, ...]]:
    told, notes = with_last_month(settings, LAKE, cache, ask=True)
    return told.dataset.raw_months.last.key, told.dataset.snapshot_months.last.key, notes


def test_the_last_full_month_is_the_end_of_raw_and_of_snapshot_months(bank: Path) -> None:
    assert ends(settings_of(bank)) == ("1993-06", "1993-06", ())
    deliver(bank, "1993-07")
    assert ends(settings_of(bank)) == ("1993-07", "1993-07", ())


def test_a_month_that_is_not_over_waits_and_the_note_says_for_what(bank: Path) -> None:
    deliver(bank, "1993-07", days=(1, 3, 5, 7, 9, 11, 13, 15, 17, 19))
    last, _, notes = ends(settings_of(bank))
    assert last == "1993-06"
    (note,) = notes
    assert "rows reach 1993-07-19" in note
    assert "go on to 1993-06: 1993-07 counts when it is full" in note


def test_a_month_with_a_few_rows_alone_waits_too(bank: Path) -> None:
    deliver(bank, "1993-07", days=(30,))
    assert ends(settings_of(bank))[0] == "1993-06"


def test_a_row_far_ahead_is_no_month(bank: Path) -> None:
    deliver(bank, "1999-07")
    assert ends(settings_of(bank))[0] == "1993-06"


def test_snapshot_months_that_are_written_stay(bank: Path) -> None:
    deliver(bank, "1993-07")
    assert ends(settings_of(bank, snapshot_months=["1993-01", "1993-05"]))[:2] == ("1993-07", "1993-05")


def test_months_that_are_written_are_not_asked_for(bank: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(last_month, "source_end", None)
    written = settings_of(bank, raw_months=["1993-01", "1993-06"], snapshot_months=["1993-01", "1993-05"])
    assert ends(written)[:2] == ("1993-06", "1993-05")


def test_the_months_end_where_the_source_does_and_labels_a_window_before(bank: Path) -> None:
    settings, _ = with_last_month(settings_of(bank), LAKE, None, ask=True)
    assert [months[-1].key for kind in Partitions if (months := existing_months(kind, settings))] == [
        "1993-06",
        "1993-06",
        "1993-05",
    ]
    assert not is_mature(Month.parse("1993-06"), settings)


def test_the_rows_are_read_once_for_the_same_files(bank: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache"
    first = ends(settings_of(bank), cache)
    kept = last_month._ask
    monkeypatch.setattr(last_month, "_ask", None)
    assert ends(settings_of(bank), cache) == first
    deliver(bank, "1993-07")
    with pytest.raises(TypeError):
        ends(settings_of(bank), cache)
    monkeypatch.setattr(last_month, "_ask", kept)
    assert ends(settings_of(bank), cache)[0] == "1993-07"


def test_without_the_source_the_home_tells_what_it_remembers_or_holds_and_else_the_splits_do(
    bank: Path, tmp_path: Path
) -> None:
    lake, cache, nameless = Lake.on_disk(tmp_path / "lake"), tmp_path / "cache", settings_of(None)

    def told() -> str:
        asked, _ = with_last_month(nameless, lake, cache, ask=True)
        known, _ = with_last_month(nameless, lake, cache, ask=False)
        assert asked == known
        return known.dataset.raw_months.last.key

    assert told() == "1993-06"  # the last label of the splits
    for month in ("1993-07", "1993-08"):
        with lake.write(SNAPSHOTS, month, code_version="1") as out:
            out.put("nothing.json", b"{}")
    assert told() == "1993-08"
    deliver(bank, "1993-07")
    assert ends(settings_of(bank), cache)[0] == "1993-07"
    assert told() == "1993-07"


def test_a_source_that_ends_before_the_splits_is_refused(bank: Path) -> None:
    late = {**SPANS["splits"], "test": ["1993-06", "1993-06"]}
    with pytest.raises(
        ContractError, match=r"last full month is 1993-06, and the labels of 1993-06.* end with 1993-07"
    ):
        ends(settings_of(bank, splits=late))


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        ends(settings_of(tmp_path / "gone"))


def test_a_query_that_holds_nothing_after_the_last_month_hides_no_month(bank: Path) -> None:
    deliver(bank, "1993-07")
    settings = settings_of(bank)
    assert settings.tables is not None
    assert settings.tables.transactions is not None
    moves = settings.tables.transactions.model_copy(update={"from_": "seen"})
    queries = {**settings.tables.queries, "seen": "SELECT * FROM trans WHERE day < cutoff()"}
    tables = settings.tables.model_copy(update={"transactions": moves, "queries": queries})
    assert ends(settings.model_copy(update={"tables": tables}))[0] == "1993-07"
