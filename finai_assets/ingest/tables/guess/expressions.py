"""Expressions in DuckDB's SQL for the columns of a guessed mapping, and the columns that a source has to compute for them."""

from __future__ import annotations

import re
from functools import cache

import duckdb

from finai_assets.ingest.tables.guess.kinds import COMPACT, Kind
from finai_assets.ingest.tables.guess.profile import Column
from finai_assets.ingest.tables.guess.roles import plain_name
from finai_resources.sql_text import literal, quoted

_PLAIN = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
OTHER = "other"  # the code of a name without a Latin letter or digit
_YES = ("1", "1.0", "y", "yes", "true", "t", "s", "예")
FLAG_WORDS = frozenset({"1", "1.0", "true", "t", "yes", "y", "0", "0.0", "false", "f", "no", "n"})  # that flag() reads


@cache
def _reserved() -> frozenset[str]:
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'"
        ).fetchall()
    return frozenset(str(row[0]) for row in rows)


def name_of(column: str) -> str:
    """Return a column's name as an expression writes it: in quotes only where it needs them."""
    return column if _PLAIN.match(column) and column.casefold() not in _reserved() else quoted(column)


def as_day(column: Column, *, century: int | None = None) -> str:
    """Return the expression of a date.

    Parameters
    ----------
    century
        The first two digits of the year, times 100, of a date written as ``yymmdd``.
    """
    name, form = name_of(column.name), column.kind.format
    text = name if column.is_text else f"CAST({name} AS VARCHAR)"
    if column.kind.compact_date:
        form = COMPACT
        text = text if column.is_text else f"lpad({text}, {len('yymmdd')}, '0')"
    if form is None:
        return name
    parse = "parse_time" if has_time(column.kind) else "parse_date"
    of_century = f", century := {century or 1900}" if form.startswith("%y") else ""
    return f"{parse}({text}, {literal(form)}{of_century})"


def has_time(kind: Kind) -> bool:
    """Return whether a date's format has a time of day."""
    return kind.format is not None and ("%H" in kind.format or "%I" in kind.format)


def as_number(column: Column) -> str:
    """Return the expression of a number; the reader has put its signs as DuckDB reads them."""
    name = name_of(column.name)
    return f"CAST({name} AS DOUBLE)" if column.is_text else name


def as_flag(column: Column) -> str:
    """Return the expression that is true where a flag is set."""
    name = name_of(column.name)
    if column.type == "BOOLEAN":
        return name
    if not column.is_text:
        return f"{name} = 1"
    if all(value.casefold() in FLAG_WORDS for value, _ in column.values if value not in column.kind.missing):
        return f"flag({name})"
    yes = [value for value, _ in column.values if value.casefold() in _YES]
    return f"{name} IN ({', '.join(map(literal, yes))})"


def code_of(name: str) -> str:
    """Return the code of a product or a category: lower-case letters, digits and underscores, beginning with a letter."""
    code = re.sub(r"[^0-9a-z]+", "_", plain_name(name)).strip("_") or OTHER
    return code if code[0].isalpha() else f"p_{code}"
