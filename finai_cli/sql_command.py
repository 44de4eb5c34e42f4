"""``finai sql``: the lake asked in SQL."""

from __future__ import annotations

import json
import sys
from typing import Annotated

import typer
from rich.console import Console

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, chosen_settings

SHOWN = 100


def sql_command(
    question: Annotated[
        str | None,
        typer.Argument(
            help="one SELECT, in quotes: finai sql 'SELECT month, count(*) FROM raw.snapshots GROUP BY month'"
        ),
    ] = None,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    tables: Annotated[bool, typer.Option("--tables", help="list the tables with their rows and months")] = False,
    rows: Annotated[int, typer.Option(min=1, help="rows to print; --json prints all of them")] = SHOWN,
    as_json: AsJson = False,
) -> None:
    """Ask the lake in SQL: every table is a view, the asset features/demographics is features.demographics.

    Tables in months have a column month (2015-01). A question is in DuckDB's SQL and only reads; see docs/ask-the-lake-in-sql.md.
    """
    from finai_resources.errors import QueryError

    if (question is None) != tables:
        raise QueryError(
            "there is no question" if question is None else "a question and --tables exclude one another",
            where="finai sql",
            fix="write one SELECT in quotes, or --tables",
        )
    settings = chosen_settings(dataset, profile, None)
    from finai_cli.run import warehouse_of
    from finai_cli.sql import answer_rows, answer_table, list_of_tables, print_whole, table_rows
    from finai_resources.home import Home

    warehouse = warehouse_of(settings, Home.choose(dataset, profile, home))
    console = Console()
    if question is None:
        found = warehouse.tables()
        _print_json(table_rows(found)) if as_json else print_whole(console, list_of_tables(found))
        return
    answer = warehouse.query(question)
    if as_json:
        _print_json(answer_rows(answer))
        return
    print_whole(console, answer_table(answer, rows))
    if answer.num_rows > rows:
        console.print(f"{answer.num_rows - rows:,} of {answer.num_rows:,} rows are not shown (--rows, --json)")


def _print_json(rows: list[dict[str, object]]) -> None:
    sys.stdout.write(json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
