"""Loads an adapter's months into the lake: each is checked whole against the contract, and written whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import (
    CATEGORIES,
    OFFER_TABLES,
    PRODUCT_TERMS,
    PRODUCTS,
    PROTECTED,
    SNAPSHOTS,
    TRANSACTIONS,
    table_name,
)
from finai_assets.ingest.adapter import Adapter, MonthTables, Piece, product_terms
from finai_assets.ingest.contract_checker import (
    MonthChecker,
    check_merchant_categories,
    check_months,
    check_product_terms,
    check_products,
)
from finai_assets.ingest.files import schema_hash
from finai_assets.settings import Settings
from finai_resources.errors import ContractError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.partition_writer import PartitionWriter

ROW_GROUP = 16_384  # a block of customers decodes the row groups that it reaches into
Figures = dict[str, dict[str, Any]]
Step = tuple[str, Iterable[Piece], Callable[..., pa.Table]]  # an asset, its stream, and the check of a piece


def load_catalogue(
    adapter: Adapter, session: LakeSession, settings: Settings, *, code_version: str, config_hash: str = ""
) -> Figures:
    """Check and write ``raw/products``, ``raw/product_terms`` and ``raw/merchant_categories``, as far as there are such.

    Returns
    -------
    dict
        Rows of each table, under the asset's name.

    Raises
    ------
    ContractError
        A rule of the contract is broken; no table is written.
    """
    absent, tables = settings.dataset.unavailable_tables, {}
    if table_name(PRODUCTS) not in absent:
        tables[PRODUCTS] = check_products(adapter.products(), settings=settings, source=f"{adapter.name} products")
        tables[PRODUCT_TERMS] = check_product_terms(
            product_terms(settings), settings=settings, source=f"{adapter.name} product terms"
        )
    if table_name(CATEGORIES) not in absent:
        tables[CATEGORIES] = check_merchant_categories(
            adapter.merchant_categories(), settings=settings, source=f"{adapter.name} merchant categories"
        )
    extra = provenance(adapter)
    for asset, table in tables.items():
        with session.write(asset, code_version=code_version, config_hash=config_hash, extra=extra) as out:
            out.write(table)
    return {asset: {"rows": table.num_rows} for asset, table in tables.items()}


def provenance(adapter: Adapter) -> dict[str, Any]:
    """Return a manifest's record of a source: its schema, the digest of every file, the witness of the pseudonym key."""
    schemas = adapter.source_schema()
    return {
        "source": adapter.name,
        "source_schema_hash": schema_hash(schemas),
        "source_schema": schemas,
        "source_files": adapter.source_files(),
        "pseudonym": adapter.pseudonym_witness(),
    }


def load_month(
    adapter: Adapter,
    session: LakeSession,
    month: Month,
    settings: Settings,
    *,
    code_version: str,
    config_hash: str = "",
) -> Figures:
    """Check and write one month of the raw tables, those left out that the data set declares not to have.

    Pieces are checked and staged as they stream by, so memory is bounded by one piece; the partitions appear only when every
    rule held for the whole month.

    Returns
    -------
    dict
        Per asset: rows, customers, null shares by column, and for transactions the first and last ``ts``.

    Raises
    ------
    ContractError
        A rule of the contract is broken, or the source lacks a table; nothing of the month was written.
    """
    span = settings.dataset.raw_months
    check_months(adapter.months(), span.first, span.last, source=adapter.name)
    absent = settings.dataset.unavailable_tables
    mccs = [] if table_name(CATEGORIES) in absent else adapter.merchant_categories()["mcc"].to_numpy()
    checker = MonthChecker(month, settings, np.asarray(mccs, np.int32))
    streams = adapter.month(month)
    steps: list[Step] = [(SNAPSHOTS, streams.snapshots, checker.snapshots)]
    for asset, stream, check in (
        (TRANSACTIONS, streams.transactions, checker.transactions),
        (PROTECTED, streams.protected, checker.protected),
    ):
        if table_name(asset) not in absent:
            steps.append((asset, _delivered(stream, table_name(asset), adapter.name), check))
    steps += _offers(streams, adapter.name, checker)
    figures: Figures = {}
    extra = provenance(adapter)
    with ExitStack() as stack:
        for asset, pieces, check in steps:
            out = stack.enter_context(
                session.write(asset, month.key, code_version=code_version, config_hash=config_hash, extra=extra)
            )
            figures[asset] = _stage(pieces, check, checker, out) | dict(streams.figures.get(table_name(asset), {}))
        checker.finish([table_name(asset) for asset in (SNAPSHOTS, TRANSACTIONS) if table_name(asset) not in absent])
    return figures


def _delivered(stream: Iterable[Piece] | None, table: str, source: str) -> Iterable[Piece]:
    """Return the stream of a table that the data set does not declare absent."""
    if stream is None:
        raise ContractError(
            f"the source has no {table}",
            where=f"{source}, table {table}",
            fix=f"deliver the table, or declare it in dataset.unavailable_tables.{table} with the reason",
        )
    return stream


def _offers(streams: MonthTables, source: str, checker: MonthChecker) -> list[Step]:
    """Return the step of each table for offering that the data set has; any of them may have no row in a month."""
    found: list[Step] = []
    for asset in OFFER_TABLES:
        contract = checker.offers.get(table_name(asset))
        if contract is None:
            continue
        stream = _delivered(getattr(streams, contract.name), contract.name, source)
        empty = Piece(source, contract.schema.empty_table())
        found.append((asset, chain([empty], stream), partial(checker.offer, contract.name)))
    return found


def _stage(
    pieces: Iterable[Piece], check: Callable[..., pa.Table], checker: MonthChecker, out: PartitionWriter
) -> dict[str, Any]:
    """Check the pieces of one table and stage them, unless a rule is already broken; return the table's figures."""
    counts = _Counts()
    table: pa.Table | None = None
    for piece in pieces:
        table = check(piece.table, source=piece.source)
        if not checker.violations and table.num_rows:
            out.write(table, row_group_size=ROW_GROUP)
            counts.add(table)
    if table is not None and not counts.rows:
        out.write(table)  # a table without rows is still a table
    return counts.figures()


class _Counts:
    """Rows, customers, nulls and time span of a table that streams by in ascending order of customer."""

    def __init__(self) -> None:
        self.rows = self.customers = 0
        self.nulls: dict[str, int] = {}
        self.last: int | None = None
        self.span: list[Any] = []

    def add(self, table: pa.Table) -> None:
        ids = table["customer_id"].to_numpy()
        self.rows += len(ids)
        self.customers += int(np.count_nonzero(ids[1:] != ids[:-1])) + int(ids[0] != self.last)
        self.last = int(ids[-1])
        for name in table.column_names:
            self.nulls[name] = self.nulls.get(name, 0) + table[name].null_count
        if "ts" in table.column_names:
            found = pc.min_max(table["ts"]).as_py()
            self.span = [min([found["min"], *self.span[:1]]), max([found["max"], *self.span[1:]])]

    def figures(self) -> dict[str, Any]:
        shares = {name: round(count / self.rows, 6) for name, count in self.nulls.items() if count}
        found: dict[str, Any] = {"rows": self.rows, "customers": self.customers, "null_share": shares}
        if self.span:
            found |= {"first_ts": self.span[0].isoformat(), "last_ts": self.span[1].isoformat()}
        return found
