"""``finai sql``: asks the lake in SQL."""

from __future__ import annotations

from typing import Annotated

import typer

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, chosen_settings, filled_home
from finai_cli.output import Terminal, print_json

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
    """Ask the lake in SQL: every table is a view; the asset features/demographics is features.demographics.

    A table with months has a column month (2015-01). A question is one SELECT in DuckDB's SQL: see docs/ask-the-lake-in-sql.md.
    """
    from finai_resources.errors import QueryError

    if (question is None) != tables:
        raise QueryError(
            "no question is given" if question is None else "a question and --tables exclude each other",
            where="finai sql",
            fix="write one SELECT in quotes, or --tables",
        )
    chosen_settings(dataset, profile, None)  # refuses a data set or profile that does not exist
    from finai_cli.sql import answer_rows, answer_table, list_of_tables, print_whole, table_rows, warehouse_of

    warehouse = warehouse_of(filled_home(dataset, profile, home))
    console = Terminal()
    if question is None:
        found = warehouse.tables()
        print_json(table_rows(found)) if as_json else print_whole(console, list_of_tables(found))
        return
    answer = warehouse.query(question)
    if as_json:
        print_json(answer_rows(answer))
        return
    print_whole(console, answer_table(answer, rows))
    if answer.num_rows > rows:
        console.print(f"{answer.num_rows - rows:,} of {answer.num_rows:,} rows are not shown (--rows, --json)")
