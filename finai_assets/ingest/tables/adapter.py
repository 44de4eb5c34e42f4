"""The adapter of a bank's own tables: what `tables` in the settings maps, in the terms of the data contract."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from finai_assets.ingest.adapter import MonthTables, product_catalogue
from finai_assets.ingest.conform import Violations
from finai_assets.ingest.contract import MERCHANT_CATEGORIES
from finai_assets.ingest.files import source_folder
from finai_assets.ingest.pseudonym import witness
from finai_assets.ingest.tables import language
from finai_assets.ingest.tables.computed import compute_sources
from finai_assets.ingest.tables.database import tried
from finai_assets.ingest.tables.mapping import MonthMapping
from finai_assets.ingest.tables.reading import Rows, read_source
from finai_assets.ingest.tables.selection import Selection
from finai_assets.ingest.tables.views import MonthViews
from finai_assets.settings import Settings
from finai_assets.settings.tables import CategoryRows
from finai_resources.errors import ConfigError, ContractError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.sql_text import quoted


class TablesAdapter:
    """Files and databases, mapped by YAML alone.

    Parameters
    ----------
    settings : Settings
        With the section ``tables``.
    key : bytes
        Pseudonym key.
    session : LakeSession, optional
        What is read from text and databases is kept beside its lake, for the next month.

    Raises
    ------
    ConfigError
        A source is relative and no folder is named; an expression is not allowed.
    ContractError
        A source cannot be read.
    """

    def __init__(self, settings: Settings, key: bytes, session: LakeSession | None = None) -> None:
        if settings.tables is None:
            raise ConfigError("nothing says how the tables are read", where="tables", fix="write the section `tables`")
        self.settings, self.tables, self._key = settings, settings.tables, key
        self.name = settings.dataset.name
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self.cache = self._cache(session)

    def _cache(self, session: LakeSession | None) -> Path:
        if session is not None and session.lake.is_local:
            return Path(session.lake.root).parent / "cache" / "sources"
        self._temporary = tempfile.TemporaryDirectory(prefix="finai-sources-")
        return Path(self._temporary.name)

    @cached_property
    def rows(self) -> dict[str, Rows]:
        """Return the rows of each source, read or found in the cache."""
        named = self.settings.dataset.source
        folder = source_folder(named) if named is not None or self._needs_folder() else None
        return {
            name: read_source(name, source, folder, self.cache, time_zone=self.tables.time_zone)
            for name, source in self.tables.sources.items()
        }

    @cached_property
    def computed(self) -> dict[str, Path]:
        """Return the Parquet of each source with what is computed for its rows."""
        return compute_sources(self.tables, self.rows, self.cache)

    def _needs_folder(self) -> bool:
        places = [place for source in self.tables.sources.values() for place in _paths(source.path)]
        return any("://" not in place and not Path(place).expanduser().is_absolute() for place in places)

    def views(self, month: Month | None) -> MonthViews:
        """Return the sources as known at a month's cutoff, or all their rows."""
        views = MonthViews(self.tables, self.rows, self.computed, month, self.settings.dataset.raw_months.last)
        views.kept = self._temporary  # streams of a month may outlive the adapter
        return views

    def months(self) -> list[Month]:
        """Return the months that the source has rows of: of the panel, or of transactions."""
        return list(self._months)

    @cached_property
    def _months(self) -> list[Month]:
        snapshots, transactions = self.tables.snapshots, self.tables.transactions
        views = self.views(None)
        if snapshots.month is not None:
            chosen, time, name = Selection(views, snapshots, "tables.snapshots"), snapshots.month, "month"
        elif transactions is not None:
            chosen, time, name = Selection(views, transactions, "tables.transactions"), transactions.ts, "ts"
        else:
            return list(self.settings.dataset.raw_months)
        value = f"{tried(chosen.value(time, name, pa.timestamp('us')))}.v"
        found = views.run(
            f"SELECT DISTINCT date_trunc('month', {value}) AS m FROM {chosen.relation} "
            f"WHERE {chosen.condition} AND {value} IS NOT NULL ORDER BY m",
            time,
            where=f"{chosen.where}.{name}",
            source=chosen.source,
        )
        return [Month.parse(f"{day:%Y-%m}") for (day,) in found]

    def products(self) -> pa.Table:
        """Return the catalogue of the settings."""
        return product_catalogue(self.settings)

    def merchant_categories(self) -> pa.Table:
        """Return the categories of the mapping; the ids of l2 and l1 follow the order of first appearance."""
        l1: dict[str, int] = {}
        l2: dict[str, int] = {}
        rows = [
            {"mcc": mcc, "name": name, "l2": l2.setdefault(second, len(l2)), "l1": l1.setdefault(first, len(l1))}
            for (_, name, second, first), mcc in zip(self._categories, self._codes(), strict=True)
        ]
        return pa.Table.from_pylist(rows, schema=MERCHANT_CATEGORIES)

    @cached_property
    def _categories(self) -> list[tuple[str, str, str, str]]:
        """Return code, name, l2 and l1 of each category, as text."""
        tree = self.tables.categories
        if tree is None:
            return []
        if tree.rows is None:
            return [(str(code), leaf.name, leaf.l2, leaf.l1) for code, leaf in tree.codes.items()]
        return _listed(self.views(None), tree.rows)

    def _codes(self) -> list[int]:
        texts = [code for code, *_ in self._categories]
        numbers = all(text.isdecimal() and str(int(text)) == text and 0 < int(text) < 2**31 for text in texts)
        return [int(text) for text in texts] if numbers else list(range(1, len(texts) + 1))

    def source_files(self) -> dict[str, str]:
        """Return the digest of each file."""
        return {shown: digest for rows in self.rows.values() for shown, digest in rows.files.items()}

    def source_schema(self) -> dict[str, dict[str, str]]:
        """Return the columns and types of each source."""
        return {name: dict(rows.schema) for name, rows in self.rows.items()}

    def pseudonym_witness(self) -> dict[str, Any]:
        """Return the witness of the key that turned identifiers into tokens."""
        return witness(self._key)

    def month(self, month: Month) -> MonthTables:
        """Return one month.

        Raises
        ------
        ContractError
            Rows of the month, or of the sources as known at its cutoff, break a rule of the mapping.
        """
        out = Violations()
        mapping = self.mapping(month, out)
        out.raise_if_any()
        return mapping.tables()

    def mapping(self, month: Month, out: Violations) -> MonthMapping:
        """Return the mapping of one month; what is wrong with its rows is added to ``out`` and not raised."""
        codes = pa.table(
            {
                "code": pa.array([code for code, *_ in self._categories], pa.string()),
                "mcc": pa.array(self._codes(), pa.int32()),
            }
        )
        return MonthMapping(self.views(month), self.settings, codes, self._key, month, out)


def violations(adapter: TablesAdapter, months: Iterable[Month]) -> Violations:
    """Return everything that is wrong with some months, the largest count of each: a source's row is seen by many of them.

    Raises
    ------
    ConfigError, ContractError
        A source cannot be read, or an expression does not fit it, so that no row can be judged.
    """
    found = Violations()
    for month in months:
        of_month = Violations()
        adapter.mapping(month, of_month)
        for violation, count in of_month.counts.items():
            if count > found.counts.get(violation, 0):
                found.counts[violation] = count
                found.examples[violation] = of_month.examples[violation]
    return found


def _paths(path: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if path is None else (path,) if isinstance(path, str) else path


def _listed(views: MonthViews, rows: CategoryRows) -> list[tuple[str, str, str, str]]:
    where = "tables.categories.rows"
    relation = language.relation(rows.from_, where=f"{where}.from", names=views.names)
    parts = {"code": rows.code, "name": rows.name, "l2": rows.l2, "l1": rows.l1}
    values = [
        f"CAST({views.bound(sql, relation, where=f'{where}.{part}', source=rows.from_)} AS VARCHAR)"
        for part, sql in parts.items()
    ]
    found = views.run(
        f"SELECT DISTINCT {', '.join(values)} FROM {relation} ORDER BY ALL", where, where=where, source=rows.from_
    )
    listed: list[tuple[str, str, str, str]] = found
    codes = [code for code, *_ in listed]
    if twice := sorted({str(code) for code in codes if codes.count(code) > 1}):
        raise ContractError(
            f"duplicate code of a category: {', '.join(twice[:3])} ({len(twice)} codes)",
            where=f"{rows.from_}, column {rows.code}",
            fix="list each category once",
        )
    if broken := [row for row in listed if None in row]:
        raise ContractError(
            f"a category without a code, a name, an l2 or an l1: {len(broken)} rows, for example {broken[0]}",
            where=f"{rows.from_}, {quoted(rows.code)}",
            fix="deliver all four",
        )
    return listed
