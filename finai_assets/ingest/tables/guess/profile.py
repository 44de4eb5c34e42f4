"""The columns of a table that lies in DuckDB: what their values are, tried on every row, and how many are missing or repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import duckdb

from finai_assets.ingest.tables.guess.kinds import Kind, kind_of
from finai_resources.sql_text import literal, quoted

LISTED = 1_000  # distinct values that are looked at
_EXCEPTIONS = 0.01  # share of values that may contradict a kind, and are told
_NESTED = ("STRUCT", "MAP", "UNION")


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it was seen.

    Parameters
    ----------
    type
        DuckDB's type; ``VARCHAR`` for every column of a text file.
    values
        The most frequent values with their rows, at most :data:`LISTED`.
    low, high
        First and last day, of a date.
    negative
        Share of the rows that are below zero, of a number.
    """

    name: str
    type: str
    kind: Kind
    rows: int
    nulls: int
    distinct: int
    values: tuple[tuple[str, int], ...]
    low: date | None = None
    high: date | None = None
    doubts: tuple[str, ...] = ()
    negative: float = 0.0

    @property
    def unique(self) -> bool:
        """Return whether every row has another value."""
        return self.nulls == 0 and self.rows > 1 and self.distinct == self.rows

    @property
    def is_text(self) -> bool:
        """Return whether the values reach an expression as text."""
        return self.type == "VARCHAR"


def parsed(name: str, kind: Kind, *, is_text: bool, attempt: bool = False) -> str:
    """Return the SQL that turns a column into its kind's values; where it is an attempt, null for a value that is none.

    A date without a time of day becomes a DATE.
    """
    column, text = quoted(name), f"CAST({quoted(name)} AS VARCHAR)"
    text = column if is_text else text
    if kind.name == "date":
        if kind.format is None:
            return column
        as_time = f"{'try_' if attempt else ''}strptime({text}, {literal(kind.format)})"
        return as_time if "%H" in kind.format or "%I" in kind.format else f"CAST({as_time} AS DATE)"
    if kind.name == "number" and is_text:
        return f"{'TRY_CAST' if attempt else 'CAST'}({text} AS DOUBLE)"
    return column


def columns_of(connection: duckdb.DuckDBPyConnection, table: str) -> tuple[Column, ...]:
    """Return the columns of a table."""
    described = connection.execute(f"DESCRIBE {quoted(table)}").fetchall()
    return tuple(_column(connection, table, str(row[0]), str(row[1])) for row in described)


def _column(connection: duckdb.DuckDBPyConnection, table: str, name: str, kind_name: str) -> Column:
    source, column = quoted(table), quoted(name)
    if kind_name.startswith(_NESTED) or kind_name.endswith("]"):
        rows, known = _one(connection, f"SELECT count(*), count({column}) FROM {source}")
        return Column(name, kind_name, Kind("nested"), rows, rows - known, 0, ())
    text = column if kind_name == "VARCHAR" else f"CAST({column} AS VARCHAR)"
    rows, known, distinct = _one(
        connection, f"SELECT count(*), count({column}), count(DISTINCT {column}) FROM {source}"
    )
    values = connection.execute(
        f"SELECT {text}, count(*) AS n FROM {source} WHERE {column} IS NOT NULL GROUP BY 1 ORDER BY n DESC, 1 LIMIT {LISTED}"
    ).fetchall()
    ends = connection.execute(f"SELECT min({text}), max({text}) FROM {source}").fetchall()[0]
    listed = tuple((str(value), int(count)) for value, count in values)
    found = Column(name, kind_name, Kind("empty"), rows, rows - known, distinct, listed)
    if kind_name.startswith(("DATE", "TIMESTAMP")):
        return _with_days(connection, table, replace(found, kind=Kind("date")))
    if kind_name == "BOOLEAN":
        return replace(found, kind=Kind("flag"))
    kind = kind_of(dict.fromkeys([*(value for value, _ in listed), *(str(end) for end in ends if end is not None)]))
    if kind.name == "number":
        (below,) = _one(connection, f"SELECT count(*) FILTER (starts_with({text}, '-')) FROM {source}")
        found = replace(found, negative=below / max(1, known))
    return _with_days(connection, table, _tried(connection, table, replace(found, kind=kind)))


def _tried(connection: duckdb.DuckDBPyConnection, table: str, column: Column) -> Column:
    """Return the column with its kind tried on every row; what contradicts it is told, or makes it text."""
    kind = column.kind
    if kind.name not in {"date", "number"} or (column.type != "VARCHAR" and kind.name == "number"):
        return column
    as_text = quoted(column.name) if column.is_text else f"CAST({quoted(column.name)} AS VARCHAR)"
    plain = as_text
    if kind.name == "number":
        plain = f"replace({plain}, {literal(kind.thousands)}, '')" if kind.thousands else plain
        plain = f"replace({plain}, {literal(kind.decimal)}, '.')" if kind.decimal != "." else plain
        attempt = f"TRY_CAST({plain} AS DOUBLE)"
    else:
        attempt = f"try_strptime({plain}, {literal(kind.format or '')})"
    marks = ", ".join(literal(text) for text in kind.missing)
    asked = f"{quoted(column.name)} IS NOT NULL" + (f" AND {as_text} NOT IN ({marks})" if marks else "")
    broken, example = _one(
        connection,
        f"SELECT count(*), any_value({as_text}) FROM {quoted(table)} WHERE {asked} AND {attempt} IS NULL",
    )
    if not broken:
        return column
    if broken > _EXCEPTIONS * column.rows:
        return replace(column, kind=Kind("text"))
    what = f"{broken:,} of {column.rows:,} values are no {kind.name}, for example {example!r}"
    return replace(column, doubts=(*column.doubts, what))


def _with_days(connection: duckdb.DuckDBPyConnection, table: str, column: Column) -> Column:
    if column.kind.name != "date":
        return column
    value = parsed(column.name, column.kind, is_text=column.is_text, attempt=True)
    shown = quoted(column.name) if column.is_text else f"CAST({quoted(column.name)} AS VARCHAR)"
    marks = ", ".join(literal(text) for text in column.kind.missing)
    where = f" WHERE {shown} NOT IN ({marks})" if marks else ""
    ends = connection.execute(
        f"SELECT CAST(min({value}) AS DATE), CAST(max({value}) AS DATE) FROM {quoted(table)}{where}"
    ).fetchall()[0]
    return replace(column, low=ends[0], high=ends[1])


def month_counts(connection: duckdb.DuckDBPyConnection, table: str, column: Column) -> list[tuple[date, int]]:
    """Return the rows of each month of a date, ascending; rows without a date are left out."""
    value = parsed(column.name, column.kind, is_text=column.is_text, attempt=True)
    rows: Sequence[tuple[date, int]] = connection.execute(
        f"SELECT CAST(date_trunc('month', {value}) AS DATE) AS m, count(*) FROM {quoted(table)} "
        f"WHERE {value} IS NOT NULL GROUP BY 1 ORDER BY 1"
    ).fetchall()
    return [(month, int(count)) for month, count in rows]


def _one(connection: duckdb.DuckDBPyConnection, question: str) -> tuple:  # type: ignore[type-arg]
    return connection.execute(question).fetchall()[0]
