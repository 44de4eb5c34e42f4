"""Which columns of the raw tables a column of the source reaches through the mapping, and what a column is to it.

The mapping's expressions are parsed, never run. Where a text does not tell, more is counted as reached and never less: a query's
columns are made from every column that the query names, and a column that rows are joined, chosen or dated by reaches the whole
table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from finai_assets.asset_graph import (
    ASSET_BANDS,
    CATEGORIES,
    CONSENTS,
    CONTACTS,
    PROTECTED,
    RAW_TABLES,
    RISK_PROFILES,
    SNAPSHOTS,
    TRANSACTIONS,
    table_name,
)
from finai_assets.ingest.tables import language
from finai_assets.settings import Settings
from finai_assets.settings.tables import RowsSettings, TablesSettings

HELD = f"{SNAPSHOTS}.held"
EVERY = "*"  # stands for all columns of a table, where a query takes them all
_OFFERS = {"risk_profiles": RISK_PROFILES, "consents": CONSENTS, "contacts": CONTACTS, "asset_bands": ASSET_BANDS}


class Place(NamedTuple):
    """A column of a table of the source."""

    table: str
    column: str


@dataclass(frozen=True)
class SourceLineage:
    """What the mapping makes of the source's columns.

    Parameters
    ----------
    reaches : mapping
        Column of the source -> the raw columns made from it: ``raw/snapshots.age``, or ``raw/snapshots.`` for a whole table.
    keys : frozenset
        Columns that rows are found by: keys, references, customers, dates of becoming known.
    categorical : frozenset
        Columns whose words the mapping declares.
    whole : bool
        Whether nothing is known, as of an adapter in Python: then every column reaches everything.
    """

    reaches: Mapping[Place, frozenset[str]] = field(default_factory=dict)
    keys: frozenset[Place] = frozenset()
    categorical: frozenset[Place] = frozenset()
    whole: bool = False

    def touched(self, places: Iterable[Place]) -> frozenset[str]:
        """Return the raw columns that some columns of the source reach."""
        if self.whole:
            return frozenset(f"{table}." for table in RAW_TABLES)
        found = {every for place in places for every in (place, Place(place.table, EVERY))}
        return frozenset(raw for place in found for raw in self.reaches.get(place, ()))


def reads(inputs: Iterable[str], touched: Iterable[str]) -> bool:
    """Return whether any of some declared inputs (``raw/snapshots.age``) is among touched raw columns."""
    changed = tuple(touched)
    return any(name == raw or (raw.endswith(".") and name.startswith(raw)) for name in inputs for raw in changed)


def source_lineage(settings: Settings) -> SourceLineage:
    """Return what the mapping of a data set makes of its source's columns."""
    if settings.tables is not None:
        return _Traced(settings.tables).lineage()
    if settings.dataset.adapter != "synthetic":
        return SourceLineage(whole=True)
    # The generated source has the raw tables' own columns.
    return SourceLineage(_Everything())


class _Everything(dict[Place, frozenset[str]]):
    """The lineage of a source whose tables are the raw tables."""

    def get(self, place: Place, default: object = None) -> frozenset[str]:
        found = {table_name(path): path for path in RAW_TABLES}.get(place.table)
        return frozenset({f"{found}.{place.column}"}) if found and place.column != EVERY else frozenset()


class _Traced:
    """The mapping, traced from the raw tables back to the source's columns."""

    def __init__(self, tables: TablesSettings) -> None:
        self.tables = tables
        self.found: dict[Place, set[str]] = {}
        self.keys: set[Place] = set()
        self.categorical: set[Place] = set()
        self._queries: dict[str, frozenset[Place]] = {}
        for name, sql in tables.queries.items():
            columns, rows, everything = language.names_of(f"({sql})")
            self._queries[name] = frozenset(self._of(rows, None if everything else columns))

    def lineage(self) -> SourceLineage:
        """Return what was found."""
        tables = self.tables
        snapshots = tables.snapshots
        self._rows(SNAPSHOTS, snapshots)
        self._read(f"{SNAPSHOTS}.", snapshots, snapshots.month)
        for mapped, sql in snapshots.columns.items():
            self._read(f"{SNAPSHOTS}.{mapped}", snapshots, sql)
        if tables.protected is not None:
            self._rows(PROTECTED, snapshots)
            for column, sql in tables.protected.columns.items():
                self._read(f"{PROTECTED}.{column}", snapshots, sql)
        self._transactions()
        self._holdings()
        for name, path in _OFFERS.items():
            if (rows := getattr(tables, name)) is not None:
                self._rows(path, rows)
                for column, sql in rows.columns.items():
                    self._read(f"{path}.{column}", rows, sql)
        if tables.categories is not None and (listed := tables.categories.rows) is not None:
            for sql in (listed.code, listed.name, listed.l2, listed.l1):
                self._add(f"{CATEGORIES}.", self._of(self._joined(listed.from_), language.references_of(sql)))
        self._sources()
        frozen = {place: frozenset(raw) for place, raw in self.found.items()}
        return SourceLineage(frozen, frozenset(self.keys), frozenset(self.categorical))

    def _transactions(self) -> None:
        rows = self.tables.transactions
        if rows is None:
            return
        self._rows(TRANSACTIONS, rows)
        for part in (rows.id, rows.order):
            self._read(f"{TRANSACTIONS}.", rows, part)
        debit = rows.debit.column if rows.debit is not None else None
        parts = {
            "ts": (rows.ts,),
            "amount": (rows.amount, debit),
            "mcc": (rows.category,),
            "merchant_id": (rows.merchant,),
        }
        for column, texts in parts.items():
            for sql in texts:
                self._read(f"{TRANSACTIONS}.{column}", rows, sql)
                if self.tables.holdings.derived:
                    self._read(HELD, rows, sql)
        self._words(rows, rows.category)
        self._words(rows, debit)

    def _holdings(self) -> None:
        held = self.tables.holdings
        for sql in held.flags.columns if held.flags is not None else ():
            self._read(HELD, self.tables.snapshots, sql)
        for rows in held.rows:
            self._read(HELD, rows, rows.where, rows.customer, rows.product, rows.opened, rows.closed)
            self._add(HELD, self._joining(rows))
            self.keys.update(self._own(rows, rows.customer))
            self._words(rows, rows.product)

    def _sources(self) -> None:
        """Count what rows of a source are found by, wherever a column of that source leads."""
        for name, source in self.tables.sources.items():
            leads = {raw for place, found in self.found.items() if place.table == name for raw in found}
            named: list[language.Reference] = [(column,) for column in (*source.key, *source.references)]
            if source.known_from is not None:
                named += language.references_of(source.known_from)
            places = self._of([name], named)
            self.keys.update(places)
            for place in places:
                self.found.setdefault(place, set()).update(leads)
            for sql in source.computed.values():
                self.categorical.update(self._of([name], language.words_of(sql)))

    def _rows(self, path: str, rows: RowsSettings) -> None:
        self._read(f"{path}.", rows, rows.where, rows.customer)
        self._add(f"{path}.", self._joining(rows))
        self.keys.update(self._own(rows, rows.customer))

    def _read(self, raw: str, rows: RowsSettings, *texts: str | None) -> None:
        for sql in texts:
            if sql is not None:
                self._add(raw, self._of(self._joined(rows.from_), language.references_of(sql)))

    def _words(self, rows: RowsSettings, sql: str | None) -> None:
        if sql is not None:
            self.categorical.update(self._own(rows, sql))

    def _own(self, rows: RowsSettings, sql: str) -> Iterator[Place]:
        """Yield the source's columns that an expression on rows names itself, not those that a joined query reads."""
        names = [name for name in self._joined(rows.from_) if name in self.tables.sources]
        yield from self._of(names, language.references_of(sql))

    def _add(self, raw: str, places: Iterable[Place]) -> None:
        for place in places:
            self.found.setdefault(place, set()).add(raw)

    def _joining(self, rows: RowsSettings) -> Iterator[Place]:
        columns, names, _ = language.names_of(rows.from_)
        yield from self._of(names, columns)
        for name in names:
            yield from self._queries.get(name, ())

    @staticmethod
    def _joined(relation: str) -> tuple[str, ...]:
        return language.names_of(relation)[1]

    def _of(self, names: Iterable[str], columns: Iterable[language.Reference] | None) -> Iterator[Place]:
        """Yield the columns of sources that columns of joined rows are made from; None stands for all of them.

        A name that no source computes may be a column of any of the joined sources.
        """
        joined = tuple(names)
        for name in joined:
            if name in self._queries:
                yield from self._queries[name]
            elif name not in self.tables.sources:
                continue
            elif columns is None:
                yield Place(name, EVERY)
                for column in self.tables.sources[name].computed:
                    yield from self._raw(name, column)
            else:
                for reference in columns:
                    if reference[0] == name and len(reference) > 1:
                        yield from self._raw(name, reference[1])
                    elif reference[0] not in joined:
                        yield from self._raw(name, reference[0])

    def _raw(self, table: str, column: str) -> Iterator[Place]:
        computed = self.tables.sources[table].computed
        if column not in computed:
            yield Place(table, column)
            return
        before = list(computed)[: list(computed).index(column)]
        for reference in language.references_of(computed[column]):
            if reference[0] in before:
                yield from self._raw(table, reference[0])
            else:  # a column of the source, maybe under the same name
                yield Place(table, reference[0])
