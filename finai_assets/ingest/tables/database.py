"""A DuckDB database in memory with the functions of the mapping: expressions bound to rows, and broken rules counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from finai_assets.ingest.conform import EXAMPLES, Violation, Violations
from finai_assets.ingest.tables import language
from finai_assets.ingest.tables.reading import Rows
from finai_assets.ingest.tables.reading.numbers import NumberFormat
from finai_assets.settings.tables import TablesSettings
from finai_resources.errors import ConfigError, ContractError
from finai_resources.printable import excerpt
from finai_resources.sql_text import literal, quoted

POSITION = "source_row"  # the column that every source has beside its own: the number of the row, from 1
INTEGERS = frozenset(
    f"{sign}{size}" for sign in ("", "U") for size in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
)
NUMBERS = INTEGERS | {"FLOAT", "DOUBLE"}
NESTED = ("STRUCT", "MAP", "UNION", "BLOB")
_ZONED = "TIMESTAMP WITH TIME ZONE"


class Database:
    """A database with the functions of the mapping.

    Parameters
    ----------
    tables : TablesSettings
    rows
        The rows of each source, by its name.
    """

    def __init__(self, tables: TablesSettings, rows: Mapping[str, Rows]) -> None:
        self.tables, self.rows = tables, rows
        self.db = duckdb.connect(":memory:")
        # One thread: a sum of floating numbers depends on the order of its terms. The optimiser would take an expression that
        # occurs twice out of its TRY.
        self.db.execute("SET threads = 1; SET disabled_optimizers = 'common_subexpressions'; SET TimeZone = 'UTC'")
        for macro in language.MACROS:
            self.db.execute(macro)
        self.db.execute(_number("number", NumberFormat()))
        for name, source in tables.sources.items():
            self.db.execute(_number(f"number_{name}", NumberFormat(source.decimal, source.thousands)))
        for name, meanings in tables.words.items():
            self.db.execute(_vocabulary(f"words_{name}", meanings))

    def have(self) -> list[str]:
        """Return the columns of all sources, for errors."""
        return sorted({column for rows in self.rows.values() for column in rows.schema})

    # ---- expressions

    def columns(self, relation: str) -> dict[str, str]:
        """Return the columns of a relation and their types in DuckDB."""
        return {name: kind for name, kind, *_ in self.db.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()}

    def kind(self, checked: str, relation: str) -> str:
        """Return the type of a checked expression."""
        found: str = self.db.execute(f"DESCRIBE SELECT {checked} AS v FROM {relation}").fetchall()[0][1]
        return found

    def bound(self, sql: str, relation: str, *, where: str, source: str, renamed: str = "") -> str:
        """Return an expression as it will run, its columns known to a relation.

        Parameters
        ----------
        source
            How errors name the rows.
        renamed
            The source by whose signs ``number`` reads, where it is not the usual way of writing.

        Raises
        ------
        ConfigError
            It is not allowed.
        ContractError
            It names a column that the relation lacks, or does not fit its types; or the column was refused when it was read.
        """
        checked = language.expression(sql, where=where, renamed=renamed)
        for rows in self.rows.values():
            if rows.shown == source:
                rows.require(language.columns_of(checked))
        have = self.columns(relation)
        for column in language.columns_of(checked):
            kind = have.get(column, "")
            if kind.startswith(NESTED) or kind.endswith("]"):
                raise ContractError(
                    f"wrong type {excerpt(kind)}: the column holds no single value, and {where} names it whole",
                    where=f"{source}, column {excerpt(column)}",
                    fix=f"name the part of it that is meant, as {column}.part, or flatten the column at the source",
                )
        try:
            self.db.execute(f"DESCRIBE SELECT {tried(checked)} FROM {relation}").fetchall()
        except duckdb.Error as error:
            raise language.unbound(error, sql, where=where, have=list(have), source=source) from error
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
            return f"timezone({literal(self.tables.time_zone)}, {checked})"
        if kind == "TIMESTAMP_NS":
            rest = f"concat('a time finer than a microsecond: ', {checked})"
            refused = f"CASE WHEN epoch_ns({checked}) % 1000 <> 0 THEN make_timestamp(refuse({rest}))"
            return f"{refused} ELSE CAST({checked} AS TIMESTAMP) END"
        if kind != "DATE" and not kind.startswith("TIMESTAMP"):
            raise ConfigError(
                f"{checked} is {kind}, not a date or a time",
                where=where,
                fix="write parse_date(column, '%Y-%m-%d'), or parse_time for times",
            )
        return f"CAST({checked} AS TIMESTAMP)"

    def run(self, sql: str, shown: str, *, where: str, source: str) -> list[Any]:
        """Execute SQL made from a text of the settings, and return its rows.

        Raises
        ------
        ContractError
            It does not fit the rows, or a value of them cannot be read.
        """
        try:
            return self.db.execute(sql).fetchall()
        except (duckdb.BinderException, duckdb.CatalogException) as error:
            raise language.unbound(error, shown, where=where, have=self.have(), source=source) from error
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


def _number(name: str, signs: NumberFormat) -> str:
    """Return the statement that makes ``name(x)`` the number of a text, which refuses what is none."""
    return (
        f"CREATE MACRO {quoted(name)}(x) AS CASE WHEN trim(CAST(x AS VARCHAR)) <> '' THEN coalesce({signs.values_sql('x')}, "
        "CAST(refuse(concat('''', x, ''' is not a number')) AS DOUBLE)) END"
    )


def _vocabulary(name: str, meanings: Mapping[str, str]) -> str:
    """Return the statement that makes ``name(x)`` the meaning of a word, which refuses unknown words; null is the empty word."""
    cases = " ".join(f"WHEN {literal(word)} THEN {literal(meaning)}" for word, meaning in meanings.items())
    known = literal(f"; the words known are {', '.join(word or '(none)' for word in meanings)}")
    blank = literal(meanings[""]) if "" in meanings else "NULL"
    return (
        f"CREATE MACRO {quoted(name)}(x) AS CASE WHEN x IS NULL THEN {blank} ELSE CASE x {cases} ELSE "
        f"CAST(refuse(concat('unknown word ''', x, '''', {known})) AS VARCHAR) END END"
    )


def tried(checked: str) -> str:
    """Return an expression as a struct of its value ``v``: null where the value cannot be read, and only there."""
    return f"TRY(struct_pack(v := {checked}))"
