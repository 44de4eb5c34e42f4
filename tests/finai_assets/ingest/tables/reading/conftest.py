"""A source that is read and scanned by DuckDB, as the mapping does it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from finai_assets.ingest.tables.reading import Rows, read_source
from finai_assets.settings.tables import SourceSettings


def ignore(label: str, done: int, total: int) -> None:
    """Take progress that a test does not look at."""


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Rows]:
    """Return a function that reads a source of a folder."""

    def reader(
        folder: Path | None = tmp_path, *, time_zone: str | None = None, progress: Any = ignore, **source: Any
    ) -> Rows:
        settings = SourceSettings(static="a test", **source)
        return read_source("trans", settings, folder, tmp_path / "cache", progress, time_zone=time_zone)

    return reader


@pytest.fixture
def values() -> Callable[[Rows], list[tuple[Any, ...]]]:
    """Return a function that gives the rows of a source as DuckDB sees them."""

    def scan(rows: Rows) -> list[tuple[Any, ...]]:
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'America/New_York'")  # what is read must not depend on it
            return connection.execute(f"FROM {rows.scan()}").fetchall()

    return scan
