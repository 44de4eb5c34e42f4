"""The sources as they were known at a month's cutoff: a DuckDB database in memory whose views hold no later row.

Nothing is copied: a view scans Parquet. After the views are made, the database can open no other file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from finai_assets.ingest.conform import EXAMPLES, Violation, Violations
from finai_assets.ingest.tables import language
from finai_assets.ingest.tables.language import quoted, text
from finai_assets.ingest.tables.reading import Rows
from finai_assets.settings.tables import SourceSettings, TablesSettings
from finai_resources.errors import ConfigError, ContractError
from finai_resources.months import Month

POSITION = "source_row"  # the column that every source has beside its own: the number of the row, from 1
_RESERVED = (POSITION, "file_row_number", "file_index")
_ZONED = "TIMESTAMP WITH TIME ZONE"


class MonthViews:
    """A database in which sources and queries are views, named as in the settings.

    Parameters
    ----------
    tables : TablesSettings
    rows
        The rows of each source, by its name.
    month : Month or None
        None shows every row; the functions of the month are those of ``last`` then.
    last : Month
        The last month of the data set.

    Raises
    ------
    ConfigError
        An expression or a query is not allowed.
    ContractError
        An expression or a query names a column that the rows lack, or does not fit their types.
    """

    def __init__(self, tables: TablesSettings, rows: Mapping[str, Rows], month: Month | None, last: Month) -> None:
        self.tables, self.rows, self.month = tables, rows, month
        self.db = duckdb.connect(":memory:")
        # One thread: a sum of floating numbers depends on the order of its terms. The optimiser would take an expression that
        # occurs twice out of its TRY.
        self.db.execute("SET threads = 1; SET disabled_optimizers = 'common_subexpressions'; SET TimeZone = 'UTC'")
        files = [str(path) for each in rows.values() for path in each.parquet]
        self.db.execute(f"SET allowed_paths = [{', '.join(map(text, files))}]")
        self.db.execute("CREATE SCHEMA read; CREATE SCHEMA mapped")  # what users do not name
        self._macros(month or last)
        for name in tables.sources:
            self._source(name)
        self.db.execute("SET enable_external_access = false; SET lock_configuration = true")
        self.names = list(tables.sources)
        for name, sql in tables.queries.items():
            where = f"tables.queries.{name}"
            checked = language.query(sql, where=where, names=self.names)
            self.run(f"CREATE VIEW {quoted(name)} AS {checked}", sql, where=where, source=", ".join(self.names))
            self.names.append(name)

    def _macros(self, month: Month) -> None:
        for macro in language.MACROS:
            self.db.execute(macro)
        self.db.execute(f"CREATE MACRO month_start() AS DATE '{month.start:%Y-%m-%d}'")
        self.db.execute(f"CREATE MACRO cutoff() AS DATE '{month.cutoff:%Y-%m-%d}'")
        for name, meanings in self.tables.words.items():
            cases = " ".join(f"WHEN {text(word)} THEN {text(meaning)}" for word, meaning in meanings.items())
            known = text(f"; the words known are {', '.join(meanings)}")
            blank = text(meanings[""]) if "" in meanings else "NULL"
            self.db.execute(
                f"CREATE MACRO {quoted(f'words_{name}')}(x) AS CASE WHEN x IS NULL THEN {blank} ELSE CASE x {cases} ELSE "
                f"CAST(refuse(concat('unknown word ''', x, '''', {known})) AS VARCHAR) END END"
            )

    def _source(self, name: str) -> None:
        """Make the view of a source: its columns, its row number, what is computed, without what is not yet known."""
        source, rows = self.tables.sources[name], self.rows[name]
        if taken := [column for column in rows.schema if column.lower() in _RESERVED]:
            raise ContractError(
                f"the source has a column {taken[0]}, and so has every source here",
                where=f"{rows.shown}, column {taken[0]}",
                fix="rename the column, or read the source by a query",
            )
        ends = [0]
        for count in rows.counts.values():
            ends.append(ends[-1] + count)
        paths = ", ".join(text(str(path)) for path in rows.parquet)
        absent = [f"CAST(NULL AS VARCHAR) AS {quoted(each)}, " for each in source.optional if each not in rows.schema]
        self.db.execute(
            f"CREATE VIEW read.{quoted(name)} AS SELECT *, {''.join(absent)}CAST({ends}[CAST(file_index AS BIGINT) + 1] + file_row_number + 1 AS BIGINT) AS "
            f"{POSITION} FROM read_parquet([{paths}], hive_partitioning = false)"
        )
        whole = f"read.{quoted(name)}"
        for column, sql in source.computed.items():
            checked = self.bound(sql, whole, where=f"tables.sources.{name}.computed.{column}", source=rows.shown)
            if column in self.columns(whole):
                raise ConfigError(
                    f"the source has a column {column} already",
                    where=f"tables.sources.{name}.computed.{column}",
                    fix="give the computed column another name",
                )
            value = tried(checked)
            whole = f"(SELECT *, {value}.v AS {quoted(column)}, {value} IS NULL AS {quoted(f'{column}?')} FROM {whole})"
        self.db.execute(f"CREATE VIEW {computed(name)} AS SELECT * FROM {whole}")
        known = self.known(name)
        seen = f" WHERE {tried(known)}.v < cutoff()" if known and self.month is not None else ""
        hidden = ", ".join(quoted(f"{column}?") for column in source.computed)
        public = f"* EXCLUDE ({hidden})" if hidden else "*"
        self.db.execute(f"CREATE VIEW {quoted(name)} AS SELECT {public} FROM {computed(name)}{seen}")

    def known(self, name: str) -> str | None:
        """Return the expression of the time from which a source's row is known, None where the rows hold for all time."""
        source = self.tables.sources[name]
        if source.known_from is None:
            return None
        where = f"tables.sources.{name}.known_from"
        checked = self.bound(source.known_from, computed(name), where=where, source=self.rows[name].shown)
        return self.local_time(checked, computed(name), where=where)

    # ---- expressions

    def columns(self, relation: str) -> dict[str, str]:
        """Return the columns of a relation and their types in DuckDB."""
        return {name: kind for name, kind, *_ in self.db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}

    def kind(self, checked: str, relation: str) -> str:
        """Return the type of a checked expression."""
        found: str = self.db.execute(f"DESCRIBE SELECT {checked} AS v FROM {relation}").fetchall()[0][1]
        return found

    def bound(self, sql: str, relation: str, *, where: str, source: str) -> str:
        """Return an expression as it will run, its columns known to a relation.

        Raises
        ------
        ConfigError
            It is not allowed.
        ContractError
            It names a column that the relation lacks, or does not fit its types; or the column was refused when it was read.
        """
        checked = language.expression(sql, where=where)
        for rows in self.rows.values():
            if rows.shown == source:
                rows.require(language.columns_of(checked))
        try:
            self.db.execute(f"DESCRIBE SELECT {tried(checked)} FROM {relation}")
        except duckdb.Error as error:
            raise language.unbound(error, sql, where=where, have=list(self.columns(relation)), source=source) from error
        return checked

    def local_time(self, checked: str, relation: str, *, where: str) -> str:
        """Return an expression of a time as one of TIMESTAMP, in the time zone of the settings where it carries an offset.

        Raises
        ------
        ConfigError
            It is no time, or carries an offset and no zone is set.
        """
        kind = self.kind(checked, relation)
        if kind == _ZONED:
            if self.tables.time_zone is None:
                raise ConfigError(
                    f"{checked} carries an offset from UTC, and no time zone says where the bank's day begins",
                    where=where,
                    fix="set tables.time_zone, as Asia/Seoul",
                )
            return f"timezone({text(self.tables.time_zone)}, {checked})"
        if kind == "TIMESTAMP_NS":
            rest = f"concat('a time finer than a microsecond: ', {checked})"
            return f"CASE WHEN epoch_ns({checked}) % 1000 <> 0 THEN make_timestamp(refuse({rest})) ELSE CAST({checked} AS TIMESTAMP) END"
        if kind != "DATE" and not kind.startswith("TIMESTAMP"):
            raise ConfigError(
                f"{checked} is {kind}, not a date or a time",
                where=where,
                fix="write parse_date(column, '%Y-%m-%d'), or parse_time for times",
            )
        return f"CAST({checked} AS TIMESTAMP)"

    def run(self, sql: str, shown: str, *, where: str, source: str) -> Any:
        """Execute SQL made from a text of the settings.

        Raises
        ------
        ContractError
            It does not fit the rows, or a value of them cannot be read.
        """
        try:
            return self.db.execute(sql)
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            have = sorted({column for name in self.tables.sources for column in self.columns(quoted(name))})
            raise language.unbound(error, shown, where=where, have=have, source=source) from error
        except duckdb.Error as error:
            raise ContractError(
                f"a value cannot be read: {language.said(error)} (in {shown})",
                where=f"{source}, {where}",
                fix="correct the value at the source, or compute the column under tables.sources, which shows its rows",
            ) from error

    def one(self, sql: str) -> tuple[Any, ...]:
        """Return the one row of a query; the connection is free again afterwards."""
        (row,) = self.db.execute(sql).fetchall()
        return tuple(row)

    # ---- rows that break a rule

    def count(self, out: Violations, violation: Violation, relation: str, broken: str, show: list[str]) -> int:
        """Count the rows of a relation in which an SQL condition is true; the examples show some of their columns."""
        rows = int(self.one(f"SELECT count(*) FROM {relation} WHERE {broken}")[0])
        if rows:
            out.add(violation, rows, self.examples(relation, broken, show))
        return rows

    def examples(self, relation: str, broken: str, show: list[str]) -> list[str]:
        """Return the first rows in which a condition is true, as text; a column that joined rows share cannot be shown."""
        names = [row[0] for row in self.db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()]
        shown = [name for name in dict.fromkeys(show) if names.count(name) == 1 and f"{name}_1" not in names]
        numbered = names.count(POSITION) == 1 and f"{POSITION}_1" not in names
        listed = ", ".join(f"CAST({quoted(name)} AS VARCHAR)" for name in shown)
        selected = ", ".join(filter(None, [POSITION if numbered else "NULL", listed]))
        order = POSITION if numbered else listed or "1"
        sql = f"SELECT {selected} FROM {relation} WHERE {broken} ORDER BY {order} LIMIT {EXAMPLES}"
        return [_shown(row, dict(zip(shown, values, strict=True))) for row, *values in self.db.execute(sql).fetchall()]

    def unreadable(self, out: Violations, checked: str, relation: str, broken: str, *, where: str, source: str) -> None:
        """Count the rows of a relation in which a condition says that an expression cannot be read, with DuckDB's reason."""
        rows = int(self.one(f"SELECT count(*) FROM {relation} WHERE {broken}")[0])
        if not rows:
            return
        why = "it cannot be read"
        try:
            self.db.execute(f"SELECT {checked} FROM (SELECT * FROM {relation} WHERE {broken} LIMIT 1)").fetchall()
        except duckdb.Error as error:
            why = language.said(error)
        named = [column for column in language.columns_of(checked) if column in self.columns(relation)]
        fix = f"correct the values at the source, list what means missing, or change {where}"
        violation = Violation(source, ", ".join(named) or where, f"{where}: {why}", fix)
        out.add(violation, rows, self.examples(relation, broken, named))


def _shown(row: int | None, values: Mapping[str, str | None]) -> str:
    """Return a row as text: its number where it is known, and some values."""
    named = [f"{name}={value!r}" for name, value in values.items()]
    return "(" + (f"row {row}: " if row else "") + ", ".join(named) + ")"


def tried(checked: str) -> str:
    """Return an expression as a struct of its value ``v``: null where the value cannot be read, and only there."""
    return f"TRY(struct_pack(v := {checked}))"


def computed(name: str) -> str:
    """Return the name of the view of all rows of a source with what is computed."""
    return f"read.{quoted(f'{name} computed')}"


def check_sources(views: MonthViews, out: Violations) -> None:
    """Count what is wrong with the visible rows of the sources: values that cannot be computed, dates, keys, references.

    Parameters
    ----------
    out
        Takes the violations; nothing is raised for a value.
    """
    for name, source in views.tables.sources.items():
        shown, whole = views.rows[name].shown, computed(name)
        known = views.known(name)
        seen = "true" if known is None else f"coalesce({tried(known)}.v < cutoff(), true)"
        for column, sql in source.computed.items():
            checked = language.expression(sql, where="")
            broken = f"{quoted(f'{column}?')} AND {seen}"
            views.unreadable(
                out, checked, whole, broken, where=f"tables.sources.{name}.computed.{column}", source=shown
            )
        if known is not None and source.known_from is not None:
            where, plain = f"tables.sources.{name}.known_from", language.expression(source.known_from, where="")
            views.unreadable(out, known, whole, f"{tried(known)} IS NULL", where=where, source=shown)
            columns = language.columns_of(plain)
            undated = Violation(
                shown, ", ".join(columns), f"{where}: a row without it", "deliver the date, or leave the row out"
            )
            flags = [f"NOT {quoted(f'{column}?')}" for column in columns if column in source.computed]
            views.count(
                out,
                undated,
                whole,
                " AND ".join([f"{tried(known)}.v IS NULL", f"{tried(known)} IS NOT NULL", *flags]),
                columns,
            )
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
