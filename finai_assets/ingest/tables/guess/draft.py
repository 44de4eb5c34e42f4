"""The draft of a data set's YAML from files that nobody described: what could be told is written, what could not is asked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from finai_assets.ingest.tables.guess.document import document, open_questions
from finai_assets.ingest.tables.guess.look import look
from finai_assets.ingest.tables.guess.mapping import Mapped, map_tables
from finai_assets.ingest.tables.guess.months import LOOK_BACK, Months, plan_months
from finai_assets.ingest.tables.guess.products import Products
from finai_assets.ingest.tables.guess.profile import month_counts, parsed
from finai_assets.ingest.tables.guess.roles import Table, TableKind, understand
from finai_assets.ingest.tables.guess.sources import Sources
from finai_resources.errors import ConfigError
from finai_resources.sql_text import quoted

_SHARES = (0.2, 0.4, 0.6, 0.8)  # where the classes of amounts end
_LONGEST_SEQUENCE = 200
_LACKS = {
    "age": "no column tells an age or a date of birth",
    "income": "no column tells an income",
    "is_active": "no column tells whether a customer is active",
    "gender": "no column tells a gender",
    "country": "no column tells a country",
    "channel": "no column tells a sales channel",
    "tenure_months": "no column tells since when a customer is one",
}
_UNMAPPED_TABLES = {
    "risk_profiles": "the tables hold no assessment of how much risk suits a customer",
    "consents": "the tables hold neither consents nor objections to offers",
    "contacts": "the tables record no message to a customer",
    "asset_bands": "the tables do not tell what a customer owns in all",
}


_OFFERING = (
    "who agreed to offers, and who got messages? Without consents or contacts no product is offered to anybody, without risk "
    "profiles no investment: map them under `tables`, and delete their lines here"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """The text of a data set's file, and what was recognised.

    Parameters
    ----------
    tables
        Name, kind and rows of each table.
    questions
        Line and text of each question that is open.
    """

    text: str
    tables: tuple[tuple[str, TableKind, int], ...]
    questions: tuple[tuple[int, str], ...]


def draft(name: str, files: Sequence[Path], *, currency: str | None = None, gap_days: int = 30) -> Draft:
    """Look at files and draft a data set's file.

    Parameters
    ----------
    files
        Text files, Parquet files, SQLite and DuckDB databases, and folders of them.
    currency
        Of all amounts; None where nobody said it.
    gap_days
        Days that have to lie between the splits.

    Raises
    ------
    ConfigError
        A file does not exist or is no table, or nothing in the tables is dated by customer.
    ContractError
        A file is empty or damaged.
    """
    files = [file.expanduser().resolve() for file in files]
    folder = source_folder(files)
    with (
        tempfile.TemporaryDirectory() as scratch,
        duckdb.connect(str(Path(scratch) / "looked_at.duckdb")) as connection,
    ):
        connection.execute(f"SET temp_directory = '{scratch}'")
        seen = look(files, folder, connection)
        tables = understand(seen)
        content, questions = _content(name, tables, folder, connection, currency, gap_days)
    header = (
        f"{name}: a first draft by `finai init`, from {', '.join(table.seen.name for table in tables)}.\n"
        "Each line `# ?` is a question that the files do not answer: answer it, then delete the line.\n"
        f"Then: finai source check -d {name} (what the files hold, what the data set can carry), finai run -d {name}"
    )
    text = document(header, content, questions)
    kinds = tuple((table.seen.name, table.kind, table.seen.rows) for table in tables)
    return Draft(text, kinds, tuple(open_questions(text)))


def source_folder(files: Sequence[Path]) -> Path:
    """Return the folder that paths in the file are relative to: the nearest one that holds every named file."""
    if len(files) == 1 and files[0].is_dir() and files[0].suffix != ".parquet":
        return files[0]
    return Path(os.path.commonpath([file.parent for file in files]))


def _content(
    name: str,
    tables: list[Table],
    folder: Path,
    connection: duckdb.DuckDBPyConnection,
    currency: str | None,
    gap_days: int,
) -> tuple[dict[str, Any], dict[tuple[str, ...], list[str]]]:
    questions: dict[tuple[str, ...], list[str]] = {}
    found = Mapped({}, Sources(questions), Products())
    base = map_tables(tables, _bounds(tables, connection), found)
    dated = base.column("month" if base.kind == "panel" else "time")
    counts = month_counts(connection, base.seen.name, dated)
    months = plan_months(counts, last_day=None if base.kind == "panel" else dated.high, gap_days=gap_days)
    if months is None:
        span = f"{counts[0][0]:%Y-%m}..{counts[-1][0]:%Y-%m}" if counts else "none"
        raise ConfigError(
            f"the rows of {base.seen.name} cover too few whole months for train, validation and test ({span})",
            where="finai init",
            fix="name files with at least 6 months; between the splits lies a gap of 30 days",
        )
    for question in months.questions:
        found.ask(("dataset", "raw_months"), question)
    if currency is None:
        found.ask(("dataset", "currency"), "which currency are the amounts in?")
    found.ask(("dataset", "real_customers"), "are these real people? true demands a key of your own for their tokens")
    if found.products.catalogue:
        found.ask(("dataset", "unavailable_tables"), _OFFERING)
    section = _section(found)
    catalogue = found.products.sections()
    content: dict[str, Any] = {
        "dataset": _dataset(name, folder, months, found, currency or "XXX"),
        **catalogue,
        "feature_groups": _groups(tables, months, found, connection),
        "tables": section,
    }
    return {key: value for key, value in content.items() if value != {} or key == "acquisition_sets"}, questions


def _section(found: Mapped) -> dict[str, Any]:
    section = {"sources": found.sources.content, **found.section}
    if found.products.holdings:
        section["holdings"] = found.products.holdings
    order = ("sources", "queries", "snapshots", "transactions", "holdings", "categories", "protected")
    return {key: section[key] for key in order if section.get(key)}


def _dataset(name: str, folder: Path, months: Months, found: Mapped, currency: str) -> dict[str, Any]:
    def span(ends: tuple[Any, Any]) -> list[str]:
        return [ends[0].key, ends[1].key]

    absent = dict(_UNMAPPED_TABLES)
    lacks = {part: reason for part, reason in _LACKS.items() if part not in found.mapped}
    if not found.products.catalogue:
        absent["products"] = "the tables tell no product that a customer holds"
    elif not found.products.closes:
        lacks["closures"] = "no column tells when a product ends"
    if "transactions" not in found.section:
        absent |= {
            "transactions": "the tables hold no transactions",
            "merchant_categories": "the tables hold no transactions",
        }
    else:
        if "time_of_day" not in found.mapped:
            lacks["time_of_day"] = "transactions are dated by the day, without a time"
        if "merchants" not in found.mapped:
            lacks["merchants"] = "no column names a merchant"
    if "protected" not in found.section:
        absent["protected_attributes"] = "the tables hold no attribute that only fairness checks read"
    return {
        "name": name,
        "adapter": "tables",
        "source": str(folder),
        "real_customers": True,
        "currency": currency,
        "raw_months": span(months.raw),
        "snapshot_months": span(months.snapshots),
        "splits": {
            "train": span(months.train),
            "validation": span(months.validation),
            "test": span(months.test),
        },
        "segments": found.segments,
        "sentinels": {},
        "unknown_mcc": "error",
        "lacks": lacks,
        **({"derived": found.derived} if found.derived else {}),
        "unavailable_columns": {},
        "unavailable_tasks": {},
        "unavailable_tables": absent,
    }


def _groups(
    tables: Sequence[Table], months: Months, found: Mapped, connection: duckdb.DuckDBPyConnection
) -> dict[str, Any]:
    """Return the sizes of feature groups that follow from the data: no column of them may be constant in the train months."""
    if not found.categories:
        return {}
    groups: dict[str, Any] = {
        "mcc_top30_multihot": {"top": max(1, min(30, found.categories - 1))},  # the others are one column
        "merchant_hierarchy": {"leaves": min(50, found.categories), "l1_categories": min(10, found.l1_categories)},
    }
    table = _transactions(tables)
    if table is not None:
        last = months.train[1]
        time = table.column("time")
        day = parsed(time.name, time.kind, is_text=time.is_text, attempt=True)
        most = connection.execute(
            f"SELECT quantile_disc(n, 0.97) FROM (SELECT count(*) AS n FROM {quoted(table.seen.name)} "
            f"WHERE {day} >= ? AND {day} < ? GROUP BY {quoted(table.roles['customer'])})",
            [(last - (LOOK_BACK - 1)).start, last.cutoff],
        ).fetchall()[0][0]
        groups["txn_lag_tensor"] = {"transactions": max(5, min(_LONGEST_SEQUENCE, int(most or 0)))}
    return groups


def _transactions(tables: Sequence[Table]) -> Table | None:
    return max((t for t in tables if t.kind == "transactions"), key=lambda t: t.seen.rows, default=None)


def _bounds(tables: Sequence[Table], connection: duckdb.DuckDBPyConnection) -> list[float]:
    """Return bounds of classes of amounts, of two digits, for transactions without a category."""
    table = _transactions(tables)
    if table is None or "category" in table.roles:
        return []
    column = table.column("amount")
    value = parsed(column.name, column.kind, is_text=column.is_text, attempt=True)
    shares = connection.execute(
        f"SELECT quantile_cont(abs({value}), {list(_SHARES)}) FROM {quoted(table.seen.name)}"
    ).fetchall()[0][0]
    return sorted({float(f"{bound:.2g}") for bound in shares if bound}) or [1.0]
