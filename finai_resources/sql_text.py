"""SQL as text: names and values in quotes, and the tables that a question names."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from finai_resources.errors import QueryError

ONE_SELECT = "write one SELECT (WITH, FROM, DESCRIBE and SUMMARIZE are fine too), and nothing that changes anything"


def quoted(identifier: str) -> str:
    """Return a name in quotes, for SQL."""
    return '"' + identifier.replace('"', '""') + '"'


def view_name(asset: str) -> str:
    """Return how the view of an asset is called, in quotes: ``"features"."demographics"``."""
    return ".".join(map(quoted, asset.split("/", 1)))


def literal(text: str) -> str:
    """Return a text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


def exact_path(path: str) -> str:
    """Return a path that DuckDB does not take for a pattern: its wildcards are escaped."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path)


def literals(texts: list[str]) -> str:
    """Return texts as a list of strings of SQL."""
    return "[" + ", ".join(map(literal, texts)) + "]"


def named_tables(connection: duckdb.DuckDBPyConnection, question: str) -> list[tuple[str, str]]:
    """Return the tables that a SELECT names, as pairs of schema and name; the schema is empty where none is written.

    The text is parsed and not run.

    Raises
    ------
    QueryError
        It is not SQL, is not one statement, or does more than read.
    """
    ((text,),) = connection.execute("SELECT json_serialize_sql(?)", [question]).fetchall()
    parsed = json.loads(text)
    if parsed["error"]:
        what = str(parsed["error_message"])
        message = "the statement does more than read" if what.startswith("Only SELECT") else what
        raise QueryError(message, where="SQL", fix=ONE_SELECT)
    if len(parsed["statements"]) != 1:
        raise QueryError(f"there are {len(parsed['statements'])} statements, not one", where="SQL", fix=ONE_SELECT)
    return sorted(set(_tables(parsed)))


def _tables(node: Any) -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        if node.get("type") == "BASE_TABLE":
            yield node["schema_name"], node["table_name"]
        for entry in node.values():
            yield from _tables(entry)
    elif isinstance(node, list):
        for entry in node:
            yield from _tables(entry)
