"""The mapping's language: DuckDB SQL of which only what is deterministic and reads no file is allowed.

A text is parsed, never searched for words: what it may not hold is found in its tree. Every cast is made strict, so that a value
that cannot be read is found with its row and never becomes null without a word.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Collection, Iterator
from functools import cache
from typing import Any

import duckdb

from finai_resources.errors import ConfigError, ContractError

# Functions of DuckDB's catalogue that are called stable but are none for our purpose.
_UNSTABLE = frozenset(
    {"getvariable", "getenv", "version", "current_user", "user", "session_user", "pg_typeof", "try", "query"}
)
_IN_ORDER = frozenset(
    {"first", "last", "any_value", "arbitrary", "list", "array_agg", "string_agg", "group_concat", "listagg", "mode"}
)  # fmt: skip
_WINDOWS_IN_ORDER = frozenset(
    f"WINDOW_{name}" for name in ("ROW_NUMBER", "LEAD", "LAG", "FIRST_VALUE", "LAST_VALUE", "NTH_VALUE", "NTILE")
)
_TABLE_FUNCTIONS = frozenset({"unnest", "range", "generate_series"})
_STRICT = {"try_strptime": "strptime"}
_TWO_DIGIT_YEAR = ("%y", "%-y", "%g", "%D", "%x")
_CLOCK = frozenset({"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"})
_PARSERS = {"parse_date", "parse_time"}

# A cast that fails stands for an error with a text: the function `error` is volatile, and TRY does not accept it.
REFUSED = "\N{REVERSED NOT SIGN}"
MACROS = (
    f"CREATE MACRO refuse(message) AS CAST(concat('{REFUSED}', message) AS TINYINT)",
    "CREATE MACRO parse_date(x, format, century := NULL) AS CASE WHEN century IS NULL THEN CAST(strptime(x, format) AS DATE) "
    "ELSE make_date(century + year(strptime(x, format)) % 100, month(strptime(x, format)), day(strptime(x, format))) END",
    "CREATE MACRO parse_time(x, format, century := NULL) AS CASE WHEN century IS NULL THEN strptime(x, format) ELSE "
    "make_date(century + year(strptime(x, format)) % 100, month(strptime(x, format)), day(strptime(x, format))) "
    "+ (strptime(x, format) - date_trunc('day', strptime(x, format))) END",
    "CREATE MACRO whole_number(x) AS CASE WHEN x = trunc(x) THEN CAST(x AS BIGINT) WHEN x IS NOT NULL THEN "
    "refuse(concat(x, ' is not a whole number')) END",
    "CREATE MACRO flag(x) AS CASE WHEN lower(trim(x)) IN ('1', '1.0', 'true', 't', 'yes', 'y') THEN true "
    "WHEN lower(trim(x)) IN ('0', '0.0', 'false', 'f', 'no', 'n') THEN false "
    "WHEN x IS NOT NULL THEN CAST(refuse(concat('''', x, ''' is neither yes nor no')) AS BOOLEAN) END",
)
OWN_FUNCTIONS = frozenset({"month_start", "cutoff", "refuse", "parse_date", "parse_time", "whole_number", "flag"})


def said(error: Exception) -> str:
    """Return what DuckDB says of an error, in a line; a refused value's own words where it has such."""
    message = str(error)
    if REFUSED in message:
        return message.split(REFUSED, 1)[1].rsplit("' to INT8", 1)[0]
    first = message.split("\n", 1)[0]
    return first.split(": ", 1)[-1].split(" when casting from", 1)[0]


@cache
def expression(sql: str, *, where: str, renamed: str = "") -> str:
    """Return an expression as it will run: parsed, allowed, its casts strict.

    Parameters
    ----------
    where
        Its place in the settings, for errors.
    renamed
        The source by whose signs ``number`` reads; the usual ones where it is empty.

    Raises
    ------
    ConfigError
        It does not parse, is more than an expression, or holds what is not allowed.
    """
    tree = _parse(f"SELECT ({sql}\n)", sql, where)
    node = tree["statements"][0]["node"]
    plain = node.get("type") == "SELECT_NODE" and len(node["select_list"]) == 1 and not node["modifiers"]
    if not plain or node["from_table"]["type"] != "EMPTY" or node["where_clause"] or node["group_expressions"]:
        raise _refused(sql, where, "it is more than one expression", "write one expression")
    for each in _nodes(node):
        if each.get("class") == "SUBQUERY":
            raise _refused(
                sql, where, "it holds a query", "write the query under tables.queries, and join it in `from`"
            )
        if each.get("type") == "FUNCTION" and each["function_name"] == "number" and renamed:
            each["qualified_name"] = {"path": [f"number_{renamed}"]}
            each["function_name"] = f"number_{renamed}"
    _allow(tree, sql, where, ())
    return _strict(tree).removeprefix("SELECT ")


def relation(sql: str, *, where: str, names: Collection[str]) -> str:
    """Return the text behind FROM as it will run: names of sources and queries, joined.

    Raises
    ------
    ConfigError
        It does not parse, is more than that, or names unknown rows.
    """
    tree = _parse(f"SELECT * FROM {sql}\n", sql, where)
    node = tree["statements"][0]["node"]
    extra = node.get("where_clause") or node.get("group_expressions") or node.get("modifiers") or node.get("having")
    if node.get("type") != "SELECT_NODE" or extra:
        raise _refused(
            sql, where, "it is more than names that are joined", "put conditions under `where`, or write a query"
        )
    _allow(tree, sql, where, names)
    return _strict(tree).removeprefix("SELECT * FROM ")


def query(sql: str, *, where: str, names: Collection[str]) -> str:
    """Return a query as it will run.

    Raises
    ------
    ConfigError
        It does not parse, is no SELECT, or holds what is not allowed.
    """
    tree = _parse(sql, sql, where)
    _allow(tree, sql, where, names)
    return _strict(tree)


@cache
def _columns_of(sql: str) -> tuple[str, ...]:
    tree = _parse(f"SELECT ({sql}\n)", sql, "")
    found = [node["column_names"][-1] for node in _nodes(tree) if node.get("class") == "COLUMN_REF"]
    return tuple(dict.fromkeys(found))


def columns_of(sql: str) -> list[str]:
    """Return the names of the columns that a checked expression reads, in order."""
    return list(_columns_of(sql))


def tables_of(relation: str) -> list[str]:
    """Return the names of the rows that a checked relation reads, in order."""
    nodes = _nodes(_parse(f"SELECT * FROM {relation}", relation, ""))
    return list(dict.fromkeys(node["table_name"] for node in nodes if node.get("type") == "BASE_TABLE"))


Reference = tuple[str, ...]  # a column as it is named, with the rows' name before it where that is given


@cache
def references_of(sql: str) -> tuple[Reference, ...]:
    """Return the columns that an expression reads, as it names them."""
    return _references(_nodes(_parse(f"SELECT ({sql}\n)", sql, "")))


@cache
def words_of(sql: str) -> tuple[Reference, ...]:
    """Return the columns of which an expression asks a vocabulary of the settings (``words_NAME``) for the meaning."""
    calls = [
        node
        for node in _nodes(_parse(f"SELECT ({sql}\n)", sql, ""))
        if node.get("type") == "FUNCTION" and node["function_name"].startswith("words_")
    ]
    return _references(node for call in calls for node in _nodes(call["arguments"]))


@cache
def names_of(relation: str) -> tuple[tuple[Reference, ...], tuple[str, ...], bool]:
    """Return the columns and the rows that a relation or a query in brackets names, and whether it takes all columns of a row.

    Columns that rows are joined by are among them.
    """
    nodes = list(_nodes(_parse(f"SELECT 0 FROM {relation}", relation, "")))
    joined = tuple((name,) for node in nodes for name in node.get("using_columns") or ())
    tables = [node["table_name"] for node in nodes if node.get("type") == "BASE_TABLE"]
    whole = any(node.get("class") == "STAR" for node in nodes)
    return tuple(dict.fromkeys((*_references(iter(nodes)), *joined))), tuple(dict.fromkeys(tables)), whole


def _references(nodes: Iterator[dict[str, Any]]) -> tuple[Reference, ...]:
    return tuple(dict.fromkeys(tuple(node["column_names"]) for node in nodes if node.get("class") == "COLUMN_REF"))


def unknown_column(column: str, *, where: str, have: Collection[str], source: str) -> ContractError:
    """Return the error about a column that rows lack."""
    near = difflib.get_close_matches(column, have, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return ContractError(
        f"{where} names a column {column!r} that is not there",
        where=f"{source}, column {column}",
        fix=f"{hint}the rows have {', '.join(have)}",
    )


def unbound(error: duckdb.Error, sql: str, *, where: str, have: Collection[str], source: str) -> ContractError:
    """Return the error about a text that does not fit the rows: an unknown column, or a type that a function does not take."""
    message = said(error)
    if "not found in FROM clause" in message:
        return unknown_column(message.split('"')[1], where=where, have=have, source=source)
    return ContractError(
        f"{where} does not fit the rows: {message} (in {sql})",
        where=f"{source}, column {', '.join(columns_of(sql)) or where}"
        if not sql.lower().startswith(("select", "with"))
        else source,
        fix=f"change the expression; the rows have {', '.join(have)}",
    )


def _parse(sql: str, shown: str, where: str) -> dict[str, Any]:
    tree: dict[str, Any] = json.loads(_parser().execute("SELECT json_serialize_sql(?)", [sql]).fetchone()[0])
    if tree["error"]:
        fix = "write DuckDB SQL: one SELECT for a query, one expression elsewhere"
        raise _refused(shown, where, tree["error_message"].split("\n")[0], fix)
    if len(tree["statements"]) != 1:
        raise _refused(shown, where, f"it holds {len(tree['statements'])} statements", "write one, without a semicolon")
    return tree


def _refused(sql: str, where: str, why: str, fix: str) -> ConfigError:
    return ConfigError(f"{sql!r} is not allowed here: {why}", where=where, fix=fix)


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _allow(tree: dict[str, Any], sql: str, where: str, names: Collection[str]) -> None:
    """Refuse what is not deterministic, reads what is no source, or guesses a century."""

    def refuse(why: str, fix: str) -> None:
        raise _refused(sql, where, why, fix)

    own = {entry["key"] for node in _nodes(tree) for entry in (node.get("cte_map") or {}).get("map", [])}
    for node in _nodes(tree):
        kind = node.get("type")
        if kind == "BASE_TABLE" and (node["schema_name"] or node["table_name"] not in {*names, *own}):
            near = difflib.get_close_matches(node["table_name"], names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            refuse(
                f"there are no rows {node['table_name']!r}", f"{hint}name one of {', '.join(names) or 'tables.sources'}"
            )
        elif kind == "TABLE_FUNCTION" and node["function"]["function_name"] not in _TABLE_FUNCTIONS:
            refuse(f"{node['function']['function_name']} reads what is no source", "name it under tables.sources")
        elif kind == "OPERATOR_TRY":
            refuse("TRY makes a value that cannot be read null", "say by CASE WHEN which values are meant to be null")
        elif node.get("sample"):
            refuse("a sample is another one every time", "use a condition")
        elif kind == "LIMIT_MODIFIER" or (kind == "DISTINCT_MODIFIER" and node.get("distinct_on_targets")):
            refuse("which rows remain would depend on their order", "use GROUP BY, min, max, arg_min or arg_max")
        elif kind in _WINDOWS_IN_ORDER and not node["orders"]:
            refuse(f"{kind[7:].lower()} depends on the order of the rows", "give it ORDER BY")
        elif kind == "FUNCTION":
            _allow_function(node, refuse)
        elif kind == "COLUMN_REF" and len(node["column_names"]) == 1 and node["column_names"][0].lower() in _CLOCK:
            refuse(f"{node['column_names'][0]} is another one in another run", "use month_start() or cutoff()")


def _allow_function(node: dict[str, Any], refuse: Callable[[str, str], None]) -> None:
    name = node["function_name"].lower()
    if name in _volatile():
        refuse(
            f"{name} gives another value in another run", "use month_start() or cutoff() for the month, and no chance"
        )
    ordered = (node.get("order_bys") or {}).get("orders")
    if name in _IN_ORDER and not ordered:
        refuse(f"{name} depends on the order of the rows", f"write {name}(... ORDER BY ...), or use min or max")
    if name in {"strptime", "try_strptime", *_PARSERS}:
        texts = [n["literal"]["text"] for n in _nodes(node["arguments"]) if n.get("type") == "VALUE_CONSTANT"]
        short = any(mark in str(value) for value in texts for mark in _TWO_DIGIT_YEAR)
        century = name in _PARSERS and len(node["arguments"]) == 3
        if short and not century:
            refuse(
                "a year of two digits has no century",
                "write parse_date(x, '%y%m%d', 1900), or parse_time for times, with the first year of the century",
            )
        if century and not short:
            refuse("a century is given, but the format has no year of two digits (%y)", "remove the century")


def _strict(tree: dict[str, Any]) -> str:
    """Return the SQL of a tree in which every cast refuses what it cannot read."""
    for node in _nodes(tree):
        if node.get("type") == "OPERATOR_CAST":
            node["try_cast"] = False
        elif node.get("type") == "FUNCTION" and (strict := _STRICT.get(node["function_name"])):
            node["function_name"] = strict
            node["qualified_name"] = {"path": [strict]}
    found: str = _parser().execute("SELECT json_deserialize_sql(CAST(? AS JSON))", [json.dumps(tree)]).fetchone()[0]
    return found


@cache
def _parser() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:")


@cache
def _volatile() -> frozenset[str]:
    rows = _parser().execute(
        "SELECT DISTINCT function_name FROM duckdb_functions() WHERE stability IN ('VOLATILE', 'CONSISTENT_WITHIN_QUERY')"
    )
    return frozenset(name for (name,) in rows.fetchall()) | _UNSTABLE
