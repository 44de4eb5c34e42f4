"""The sources as they were known at a month's cutoff: views that hold no later row, and what is wrong with the rows they hold.

Nothing is copied: a view scans Parquet. After the views are made, the database can open no other file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from finai_assets.ingest.conform import Violation, Violations
from finai_assets.ingest.tables import language
from finai_assets.ingest.tables.computed import KNOWN, unread
from finai_assets.ingest.tables.database import POSITION, Database
from finai_assets.ingest.tables.reading import Rows
from finai_assets.settings.tables import SourceSettings, TablesSettings
from finai_resources.errors import ConfigError
from finai_resources.months import Month
from finai_resources.sql_text import exact_path, literal, literals, quoted


class MonthViews(Database):
    """A database in which sources and queries are views, named as in the settings.

    Parameters
    ----------
    tables : TablesSettings
    rows
        The rows of each source, by its name.
    parquet
        The same with what is computed, from :func:`~finai_assets.ingest.tables.computed.compute_sources`.
    month : Month or None
        None shows every row; the functions of the month are those of ``last`` then.
    last : Month
        The last month of the data set.

    Raises
    ------
    ConfigError
        A query is not allowed.
    ContractError
        A query names a column that the rows lack, or does not fit their types.
    """

    def __init__(
        self,
        tables: TablesSettings,
        rows: Mapping[str, Rows],
        parquet: Mapping[str, Path],
        month: Month | None,
        last: Month,
    ) -> None:
        super().__init__(tables, rows)
        self.kept: object = None  # what the Parquet lies in, where it goes with its last user
        self.month = month or last
        self.db.execute(f"CREATE MACRO month_start() AS DATE '{self.month.start:%Y-%m-%d}'")
        self.db.execute(f"CREATE MACRO cutoff() AS DATE '{self.month.cutoff:%Y-%m-%d}'")
        self.db.execute(f"SET allowed_paths = {literals([str(path) for path in parquet.values()])}")
        self.db.execute("CREATE SCHEMA read; CREATE SCHEMA mapped")  # what users do not name
        for name, source in tables.sources.items():
            path = literal(exact_path(str(parquet[name])))
            self.db.execute(f"CREATE VIEW {every(name)} AS SELECT * FROM read_parquet({path})")
            hidden = [unread(column) for column in source.computed]
            hidden += [KNOWN, unread(KNOWN)] if source.known_from is not None else []
            public = f"* EXCLUDE ({', '.join(map(quoted, hidden))})" if hidden else "*"
            seen = f" WHERE {quoted(KNOWN)} < cutoff()" if source.known_from is not None and month is not None else ""
            self.db.execute(f"CREATE VIEW {quoted(name)} AS SELECT {public} FROM {every(name)}{seen}")
        self.db.execute("SET enable_external_access = false; SET lock_configuration = true")
        self.names = list(tables.sources)
        for name, sql in tables.queries.items():
            where = f"tables.queries.{name}"
            checked = language.query(sql, where=where, names=tuple(self.names))
            self.run(f"CREATE VIEW {quoted(name)} AS {checked}", sql, where=where, source=", ".join(self.names))
            self.names.append(name)


def every(name: str) -> str:
    """Return the view of all rows of a source with what is computed."""
    return f"read.{quoted(name)}"


def check_sources(views: MonthViews, out: Violations) -> None:
    """Count what is wrong with the visible rows of the sources: values that cannot be computed, dates, keys, references.

    Parameters
    ----------
    out
        Takes the violations; nothing is raised for a value.
    """
    for name, source in views.tables.sources.items():
        shown, relation = views.rows[name].shown, every(name)
        dated = source.known_from is not None
        seen = f"coalesce({quoted(KNOWN)} < cutoff(), true)" if dated else "true"
        for column, sql in source.computed.items():
            checked = language.expression(sql, where="", renamed=name)
            broken, where = f"{quoted(unread(column))} AND {seen}", f"tables.sources.{name}.computed.{column}"
            views.unreadable(out, checked, relation, broken, where=where, source=shown)
        if source.known_from is not None:
            where = f"tables.sources.{name}.known_from"
            checked = language.expression(source.known_from, where="", renamed=name)
            views.unreadable(out, checked, relation, quoted(unread(KNOWN)), where=where, source=shown)
            columns = language.columns_of(checked)
            fix = "deliver the date, or leave the row out"
            undated = Violation(shown, ", ".join(columns), f"{where}: a row without it", fix)
            blank = [f"NOT {quoted(unread(column))}" for column in columns if column in source.computed]
            broken = " AND ".join([f"{quoted(KNOWN)} IS NULL", f"NOT {quoted(unread(KNOWN))}", *blank])
            views.count(out, undated, relation, broken, columns)
        _check_keys(views, name, source, out)


def _check_keys(views: MonthViews, name: str, source: SourceSettings, out: Violations) -> None:
    shown, visible = views.rows[name].shown, quoted(name)
    have = views.columns(visible)
    for column in (*source.key, *source.references):
        if column not in have:
            raise language.unknown_column(column, where=f"tables.sources.{name}", have=have, source=shown)
    if source.key:
        key = ", ".join(map(quoted, source.key))
        whole = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in source.key)
        numbered = f"(SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {POSITION}) AS again FROM {visible} WHERE {whole})"
        twice = Violation(shown, ", ".join(source.key), "duplicate key", "deliver each key once")
        views.count(out, twice, numbered, "again > 1", list(source.key))
    for column, other in source.references.items():
        table, _, there = other.partition(".")
        if table not in views.tables.sources or there not in views.columns(quoted(table)):
            raise ConfigError(
                f"there is no column {other!r}",
                where=f"tables.sources.{name}.references.{column}",
                fix="write source.column",
            )
        lost = (
            f"{quoted(column)} IS NOT NULL AND CAST({quoted(column)} AS VARCHAR) NOT IN "
            f"(SELECT CAST({quoted(there)} AS VARCHAR) FROM {quoted(table)} WHERE {quoted(there)} IS NOT NULL)"
        )
        rule = f"a value that {other} does not have"
        views.count(
            out,
            Violation(shown, column, rule, f"deliver the rows of {table} that belong to these"),
            visible,
            lost,
            [column],
        )
