"""Reads a source as a load would, month by month, and collects every finding instead of stopping at the first; writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import TypeVar

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import CATEGORIES, OFFER_TABLES, PRODUCTS, PROTECTED, SNAPSHOTS, TRANSACTIONS, table_name
from finai_assets.ingest.adapter import Adapter, MonthTables, Piece, product_terms
from finai_assets.ingest.contract_checker import (
    MonthChecker,
    check_merchant_categories,
    check_months,
    check_product_terms,
    check_products,
)
from finai_assets.ingest.findings import Finding, Findings
from finai_assets.ingest.tables.adapter import TablesAdapter
from finai_assets.settings import Settings
from finai_resources.errors import ConfigError, ContractError, FinaiError
from finai_resources.months import Month
from finai_resources.progress import report_progress

FEW = 0.5  # of the usual rows: an end month below it may have been cut off
_FEWEST_MONTHS = 3  # before a usual number of rows is known

Result = TypeVar("Result")
Schema = Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class SourceReport:
    """What a source holds: its findings, and the rows and nulls of each table by month."""

    findings: list[Finding]
    months: tuple[Month, ...] = ()
    rows: dict[str, dict[str, int]] = field(default_factory=dict)  # table -> month -> rows
    schema: Schema = field(default_factory=dict)

    @property
    def refused(self) -> bool:
        """Return whether a load would stop."""
        return any(finding.verdict == "refused" for finding in self.findings)


def check_source(
    open_source: Callable[[], Adapter], settings: Settings, *, sample: int | None = None, before: Schema | None = None
) -> SourceReport:
    """Read a source and return everything that is to be said of it.

    Parameters
    ----------
    open_source
        Opens the adapter.
    sample
        How many months to read, spread over the span; None for all.
    before
        The columns of the source's tables when it was loaded last, for what was added, dropped or changed since.
    """
    findings = Findings()
    adapter = _tried(findings, open_source)
    if adapter is None:
        return SourceReport(findings.all())
    if isinstance(adapter, TablesAdapter):
        for error in adapter.unreadable():
            findings.add_error(error)
        if findings:
            return SourceReport(findings.all())
        for rows in adapter.rows.values():
            findings.holds(rows.shown, sum(rows.counts.values()))
            for note in rows.notes:
                findings.note(note, rows.shown, "", "nothing, if it is so at the source")
            for column, error in rows.refused.items():
                findings.note(f"the column cannot be mapped: {error.what}", rows.shown, column, error.fix)
    schema = _tried(findings, adapter.source_schema) or {}
    _compare_schemas(before or {}, schema, findings)
    mccs = _catalogue(adapter, settings, findings)
    span = settings.dataset.raw_months
    available = _tried(findings, adapter.months)
    if available is None:
        return SourceReport(findings.all(), schema=schema)
    _tried(findings, lambda: check_months(available, span.first, span.last, source=adapter.name))
    outside = [month for month in available if month not in span]
    if outside:
        text = f"{len(outside)} months of the source lie outside dataset.raw_months {span.first}..{span.last}"
        fix = "widen raw_months, snapshot_months and splits to use them"
        if span.goes_on and min(outside) > span.last:
            fix = f"nothing: months go on, and {span.last + 1} counts when it is full"
        findings.note(text, adapter.name, "month", fix, [month.key for month in outside])
    wanted = _spread([month for month in available if month in span], sample)
    seen = _Seen()
    for done, month in enumerate(wanted):
        report_progress(f"reading {month}", done, len(wanted))
        _month(adapter, month, settings, mccs, findings, seen)
    whole = [month for month in wanted if month not in seen.failed]
    _volumes(seen, whole, adapter.name, findings)
    _emptied(seen, whole, adapter.name, findings)
    return SourceReport(findings.all(), tuple(wanted), seen.rows, schema)


class _Seen:
    """Rows by table and month, and rows without a value by table, column and month."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, int]] = {}
        self.nulls: dict[tuple[str, str], dict[str, int]] = {}
        self.failed: set[Month] = set()  # months that could not be read whole

    def add(self, table: str, month: Month, piece: pa.Table) -> None:
        rows = self.rows.setdefault(table, {})
        rows[month.key] = rows.get(month.key, 0) + piece.num_rows
        for name in piece.column_names:
            counts = self.nulls.setdefault((table, name), {})
            counts[month.key] = counts.get(month.key, 0) + piece[name].null_count


def _tried(findings: Findings, action: Callable[[], Result]) -> Result | None:
    """Return the result of an action, or None where it ends with an error, which becomes findings."""
    try:
        return action()
    except (ContractError, ConfigError) as error:
        findings.add_error(error)
        return None


def _catalogue(adapter: Adapter, settings: Settings, findings: Findings) -> np.ndarray:
    """Check the tables without months; return the codes of categories, int32 [n]."""
    absent = settings.dataset.unavailable_tables
    if table_name(PRODUCTS) not in absent:
        source = f"{adapter.name} products"
        _tried(findings, lambda: check_products(adapter.products(), settings=settings, source=source))
        terms = f"{adapter.name} product terms"
        _tried(findings, lambda: check_product_terms(product_terms(settings), settings=settings, source=terms))
    if table_name(CATEGORIES) in absent:
        return np.zeros(0, np.int32)
    source = f"{adapter.name} merchant categories"
    table = _tried(
        findings, lambda: check_merchant_categories(adapter.merchant_categories(), settings=settings, source=source)
    )
    return np.zeros(0, np.int32) if table is None else np.asarray(table["mcc"].to_numpy())


def _month(
    adapter: Adapter, month: Month, settings: Settings, mccs: np.ndarray, findings: Findings, seen: _Seen
) -> None:
    streams = _tried(findings, lambda: adapter.month(month))
    if streams is None:
        seen.failed.add(month)
        return
    checker = MonthChecker(month, settings, mccs)
    whole = True
    for table, stream, check in _steps(streams, checker, settings):
        whole &= _stream(table, stream, check, month, findings, seen)
    findings.add_violations(checker.violations)
    if not whole:
        seen.failed.add(month)
    if whole and not checker.violations:
        needed = [table_name(path) for path in (SNAPSHOTS, TRANSACTIONS)]
        absent = settings.dataset.unavailable_tables
        _tried(findings, lambda: checker.finish([name for name in needed if name not in absent]))


_Check = Callable[..., pa.Table]


def _steps(
    streams: MonthTables, checker: MonthChecker, settings: Settings
) -> Iterable[tuple[str, Iterable[Piece] | None, _Check]]:
    absent = settings.dataset.unavailable_tables
    for path, check in (
        (SNAPSHOTS, checker.snapshots),
        (TRANSACTIONS, checker.transactions),
        (PROTECTED, checker.protected),
    ):
        name = table_name(path)
        if name not in absent:
            stream = {SNAPSHOTS: streams.snapshots, TRANSACTIONS: streams.transactions, PROTECTED: streams.protected}[
                path
            ]
            yield name, stream, check
    for path in OFFER_TABLES:
        name = table_name(path)
        if name in checker.offers:
            yield (
                name,
                getattr(streams, name),
                lambda piece, *, source, name=name: checker.offer(name, piece, source=source),
            )


def _stream(
    table: str, stream: Iterable[Piece] | None, check: _Check, month: Month, findings: Findings, seen: _Seen
) -> bool:
    """Check the pieces of one table; return whether all of them could be read."""
    if stream is None:
        fix = f"deliver the table, or declare it in dataset.unavailable_tables.{table} with the reason"
        findings.add(Finding("refused", f"the source has no {table}", table, "", None, None, (), fix))
        return False
    pieces = iter(stream)
    while True:
        try:
            piece = next(pieces, None)
            if piece is None:
                return True
            findings.read(piece.source, piece.table.num_rows)
            seen.add(table, month, check(piece.table, source=piece.source))
        except FinaiError as error:
            findings.add_error(error)
            return False


def _spread(months: Sequence[Month], count: int | None) -> list[Month]:
    """Return so many months, evenly spread, the first and the last among them."""
    if count is None or count >= len(months):
        return list(months)
    if count == 1:
        return list(months[-1:])
    return [months[round(at * (len(months) - 1) / (count - 1))] for at in range(count)]


def _volumes(seen: _Seen, months: Sequence[Month], source: str, findings: Findings) -> None:
    """Note a month at either end that has far fewer rows than the others: a file may have been cut off."""
    for table, rows in seen.rows.items():
        if len(months) <= _FEWEST_MONTHS:
            continue
        for month, others in ((months[-1], months[:-1]), (months[0], months[1:])):
            usual = median(rows.get(other.key, 0) for other in others)
            here = rows.get(month.key, 0)
            if here < FEW * usual:
                which = "last" if month == months[-1] else "first"
                text = f"the {which} month has far fewer rows than usual: was the file cut off, or the month not over?"
                fix = "deliver the whole month, or take it out of dataset.raw_months"
                findings.note(text, source, table, fix, [f"{month}: {here:,} {table}, usually {usual:,.0f}"])


def _emptied(seen: _Seen, months: Sequence[Month], source: str, findings: Findings) -> None:
    """Note a column that has values in some months and none in others."""
    for (table, column), nulls in seen.nulls.items():
        rows = seen.rows[table]
        held = [month for month in months if rows.get(month.key)]
        empty = [month for month in held if nulls.get(month.key, 0) == rows[month.key]]
        if empty and len(empty) < len(held):
            text = f"the column has no value in {len(empty)} of {len(held)} months"
            fix = "ask whether the delivery changed; a column that is empty from now on belongs in dataset.lacks"
            findings.note(text, source, f"{table}.{column}", fix, [month.key for month in empty])


def _compare_schemas(before: Schema, now: Schema, findings: Findings) -> None:
    """Note columns that were added, dropped or changed since the source was loaded last."""
    for table in before.keys() & now.keys():
        old, new = before[table], now[table]
        for column in new:
            if column not in old:
                findings.note(
                    "the column was added since the last load", table, column, "nothing: only mapped columns are read"
                )
            elif old[column] != new[column]:
                text = f"the column's type was {old[column]}, now it is {new[column]}"
                findings.note(text, table, column, "look whether its values still mean the same")
        for column in old.keys() - new.keys():
            findings.note(
                "the column was dropped since the last load", table, column, "nothing, unless the mapping reads it"
            )
