"""Answers of the warehouse and its tables, for a terminal and as JSON."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
from rich import box
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from finai_cli.output import Terminal, styled
from finai_resources.home import Home
from finai_resources.lake_resource import lake_of_home
from finai_resources.warehouse import Warehouse
from finai_resources.warehouse_resource import WarehouseResource
from finai_resources.warehouse_views import LakeTable

LETTERS = 120  # of a cell on a terminal; JSON has all
MEASURED = 100_000


def warehouse_of(home: Home) -> Warehouse:
    """Open the warehouse of a home, with a session of its own.

    Raises
    ------
    LakeError
        There is no lake.
    """
    return WarehouseResource(lake=lake_of_home(home)).over()


def answer_rows(answer: pa.Table) -> list[dict[str, Any]]:
    """Return an answer's rows as JSON holds them: whole numbers, numbers or null, texts, lists and objects."""
    return [{name: _plain(value) for name, value in row.items()} for row in _unique(answer).to_pylist()]


def answer_table(answer: pa.Table, shown: int) -> Table:
    """Return the first rows of an answer as a table; a long text is cut, and no cell wraps."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for field in answer.schema:
        number = pa.types.is_integer(field.type) or pa.types.is_floating(field.type) or pa.types.is_decimal(field.type)
        table.add_column(field.name, justify="right" if number else "left", no_wrap=True)
    for row in answer_rows(answer.slice(0, shown)):
        table.add_row(*(_cell(value) for value in row.values()))
    return table


def print_whole(console: Console, table: Table) -> None:
    """Print a table in its full width; a narrower terminal wraps or scrolls it."""
    wide = Measurement.get(Terminal(width=MEASURED, file=console.file), console.options.update(width=MEASURED), table)
    Terminal(file=console.file, width=max(console.width, wide.maximum)).print(table)


def table_rows(tables: list[LakeTable]) -> list[dict[str, Any]]:
    """Return the name, the rows and the months of each table."""
    return [{"table": table.name, "rows": table.rows, "months": table.months} for table in tables]


def list_of_tables(tables: list[LakeTable]) -> Table:
    """Return the tables of the lake as a table."""
    listed = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    listed.add_column("table", no_wrap=True)
    listed.add_column("rows", justify="right", no_wrap=True)
    listed.add_column("months", no_wrap=True)
    for table in tables:
        months = table.months
        span = f"{months[0]}..{months[-1]} ({len(months)})" if months else ""
        listed.add_row(table.name, f"{table.rows:,}", span)
    return listed


def _unique(answer: pa.Table) -> pa.Table:
    """Return an answer with distinct column names, as JSON objects need; a repeated name gets a number."""
    names: list[str] = []
    for name in answer.column_names:
        written, number = name, 1
        while written in names:
            written, number = f"{name}_{number}", number + 1
        names.append(written)
    return answer.rename_columns(names)


def _cell(value: Any) -> Text:
    if value is None:
        return styled(("null", "dim"))
    if isinstance(value, float):
        return styled(f"{value:.6g}")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return styled(text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}…")


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value if value is None or isinstance(value, str | int | bool) else str(value)
