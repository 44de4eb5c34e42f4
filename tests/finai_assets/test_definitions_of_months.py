"""The months that Dagster is given where they go on: the source's, and those that the home knows where it cannot be asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from going_on import SPANS, deliver

from finai_assets import definitions
from finai_assets.settings import Settings, load_settings
from finai_resources.home import Home
from tests.finai_assets.ingest.tables.test_berka import write_czech


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "bank").mkdir()
    (tmp_path / "home").mkdir()
    deliver(write_czech(tmp_path / "bank"), "1993-04", "1993-05", "1993-06", "1993-07")
    return Home.at(tmp_path / "home")


def settings_of(source: Path) -> Settings:
    return load_settings("berka", "demo", overrides={"dataset": {**SPANS, "source": str(source)}})


def last(settings: Settings, home: Home) -> str:
    return definitions._with_end(settings, home).dataset.raw_months.last.key


def test_the_source_is_asked_and_what_it_said_holds_where_it_is_gone(home: Home) -> None:
    bank = home.root.parent / "bank"
    assert last(settings_of(bank), home) == "1993-07"
    deliver(bank, "1993-08")
    assert last(settings_of(bank), home) == "1993-08"
    bank.rename(bank.with_name("moved"))
    assert last(settings_of(bank), home) == "1993-08"


def test_a_source_that_cannot_be_read_leaves_the_months_of_the_splits_and_the_definitions_load(home: Home) -> None:
    (home.root.parent / "bank" / "trans.asc").write_text("nothing\n")
    assert last(settings_of(home.root.parent / "bank"), home) == "1993-06"


def test_a_database_is_not_queried_by_every_process_that_loads_the_definitions(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_of(home.root.parent / "bank")
    assert last(settings, home) == "1993-07"
    assert settings.tables is not None
    of_database = {"path": None, "url": "sqlite:///bank.db", "table": "trans"}
    sources = {**settings.tables.sources, "trans": settings.tables.sources["trans"].model_copy(update=of_database)}
    tables = settings.tables.model_copy(update={"sources": sources})
    asked: list[bool] = []
    real = definitions.with_last_month
    monkeypatch.setattr(
        definitions, "with_last_month", lambda *given, ask: (asked.append(ask), real(*given, ask=ask))[1]
    )
    assert last(settings.model_copy(update={"tables": tables}), home) == "1993-07"
    assert asked == [False]
