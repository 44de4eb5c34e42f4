"""The protocol of adapters, the choice between them, and the adapter of the generated panel.

An adapter turns a source into pieces of the contract's tables; checking and storing them is ``load``'s.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow as pa

from finai_assets.asset_graph import SOURCE, SOURCE_SNAPSHOTS, SOURCE_TABLES, table_name
from finai_assets.ingest.contract import PRODUCT_TERMS, PRODUCTS
from finai_assets.ingest.pseudonym import witness
from finai_assets.settings import Settings
from finai_resources.errors import ConfigError
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import address
from finai_resources.months import Month


@dataclass(frozen=True, slots=True)
class Piece:
    """Rows of one table for a run of ascending customers; ``source`` names them in errors."""

    source: str
    table: pa.Table


@dataclass(frozen=True, slots=True)
class MonthTables:
    """One month as streams of pieces, each in the order that the table's contract asks for.

    Every stream but that of the snapshots is None where the source lacks it; ``dataset.unavailable_tables`` must say so too.
    ``figures`` are what an adapter reports of a month, by table.
    """

    snapshots: Iterable[Piece]
    transactions: Iterable[Piece] | None
    protected: Iterable[Piece] | None
    risk_profiles: Iterable[Piece] | None = None
    consents: Iterable[Piece] | None = None
    contacts: Iterable[Piece] | None = None
    asset_bands: Iterable[Piece] | None = None
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


class Adapter(Protocol):
    """A source, in the terms of the data contract."""

    @property
    def name(self) -> str:
        """Return the source's name in errors and manifests."""

    def months(self) -> list[Month]:
        """Return the months for which the source has rows, ascending."""

    def products(self) -> pa.Table:
        """Return ``raw/products``."""

    def merchant_categories(self) -> pa.Table:
        """Return ``raw/merchant_categories``."""

    def source_files(self) -> dict[str, str]:
        """Return the SHA-256 of each file (or the content hash of each partition) that the source consists of."""

    def source_schema(self) -> dict[str, dict[str, str]]:
        """Return the columns and types of each of the source's tables, as the source has them."""

    def pseudonym_witness(self) -> dict[str, Any]:
        """Return the :func:`~finai_assets.ingest.pseudonym.witness` of the key that tokens are made with."""

    def month(self, month: Month) -> MonthTables:
        """Return one month; nothing in it may depend on anything at or after the month's cutoff."""


SOURCE_OF = {table_name(path): path for path in SOURCE_TABLES}
# By path, so that a data set imports, and is versioned by, its own adapter alone.
ADAPTERS = {
    "synthetic": "finai_assets.ingest.adapter:SyntheticAdapter",
    "tables": "finai_assets.ingest.tables.adapter:TablesAdapter",
}


def open_adapter(settings: Settings, key: bytes, session: LakeSession) -> Adapter:
    """Return the adapter of the data set.

    Parameters
    ----------
    key : bytes
        Pseudonym key; customer identifiers of the source leave the adapter only as tokens made with it.
    session : LakeSession
        Where the generated panel is read from.

    Raises
    ------
    ConfigError
        The source folder is not named or not there.
    ContractError
        A source file cannot be read or lacks a column.
    """
    module, _, name = ADAPTERS[settings.dataset.adapter].partition(":")
    opened: Adapter = getattr(importlib.import_module(module), name)(settings, key, session)
    return opened


def product_catalogue(settings: Settings) -> pa.Table:
    """Return ``raw/products`` from the settings: a product's id is its position, its terms are not known."""
    rows = [
        {
            "product_id": index,
            "name": product.name,
            "family": settings.families.index(product.family),
            "product_class": product.product_class,
            "risk_grade": product.risk_grade,
            "terms": "{}",
        }
        for index, product in enumerate(settings.products)
    ]
    return pa.Table.from_pylist(rows, schema=PRODUCTS)


def product_terms(settings: Settings) -> pa.Table:
    """Return ``raw/product_terms`` from the settings, one row for each product."""
    rows = [{"product_id": index, **product.terms.model_dump()} for index, product in enumerate(settings.products)]
    return pa.Table.from_pylist(rows, schema=PRODUCT_TERMS)


class SyntheticAdapter:
    """The generated panel, read from the lake's ``source/`` partitions one row group after the other."""

    def __init__(self, settings: Settings, key: bytes, session: LakeSession) -> None:
        self.settings, self.session, self._key = settings, session, key
        self.name = "synthetic"

    def months(self) -> list[Month]:
        """Return the months that were generated."""
        return [Month.parse(key) for key in self.session.lake.partitions(SOURCE_SNAPSHOTS)]

    def products(self) -> pa.Table:
        """Return the generator's products."""
        from finai_assets.ingest.synthetic.tables import product_table  # noqa: PLC0415 - compiles kernels; see module

        return product_table(self.settings)

    def merchant_categories(self) -> pa.Table:
        """Return the generator's tree of merchant categories."""
        from finai_assets.ingest.synthetic.tables import category_table  # noqa: PLC0415 - compiles kernels; see module

        return category_table(self.settings)

    def source_files(self) -> dict[str, str]:
        """Return nothing: a generated panel has no files; its partitions are the upstream of the raw tables."""
        return {}

    def source_schema(self) -> dict[str, dict[str, str]]:
        """Return the schemas of the source partitions of the first generated month."""
        schemas: dict[str, dict[str, str]] = {}
        for month in self.months()[:1]:
            for table, asset in SOURCE_OF.items():
                manifest = self.session.lake.manifest(asset, month.key)
                for file in self.session.lake.open_parquet(manifest):
                    schemas[table] = {field.name: str(field.type) for field in file.schema_arrow}
        return schemas

    def pseudonym_witness(self) -> dict[str, Any]:
        """Return the witness of the key that the panel's tokens were made with."""
        return witness(self._key)

    def month(self, month: Month) -> MonthTables:
        """Return one generated month."""
        if self.session.lake.find(SOURCE_SNAPSHOTS, month.key) is None:
            raise ConfigError(
                f"the panel has no month {month}",
                where=address(SOURCE_SNAPSHOTS, month.key),
                fix=f"materialise {SOURCE} with the settings in use; it generates every month of dataset.raw_months",
            )
        return MonthTables(*(self._stream(SOURCE_OF[table], month) for table in SOURCE_OF))

    def _stream(self, asset: str, month: Month) -> Iterator[Piece]:
        manifest = self.session.manifest(asset, month.key)
        for file in self.session.lake.open_parquet(manifest):
            for index in range(file.num_row_groups):
                yield Piece(address(asset, month.key), file.read_row_group(index))
