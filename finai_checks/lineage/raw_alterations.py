"""Raw tables of a sample of customers, and copies of them that differ in one column, for the input probe.

Values are replaced by other valid ones: those of other rows where the column has more than one value. Everything stays within
the look-back, and keys, order and months stay as the data contract wants them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.inputs import (
    CATEGORIES,
    L1,
    L2,
    LEAF,
    PRODUCTS,
    SNAPSHOT_MONTH,
    SNAPSHOTS,
    TRANSACTIONS,
    TS,
)
from finai_assets.partitions import look_back
from finai_assets.settings import Settings
from finai_checks.framework.raw import catalogue_table, sampled_rows, sampled_transactions
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

CUSTOMER = f"{SNAPSHOTS}.customer_id"
Monthly = Mapping[Month, pa.Table]


@dataclass(frozen=True, slots=True)
class RawTables:
    """The raw tables of some customers of a month: their rows of the look-back, and the catalogue."""

    snapshots: Monthly
    transactions: Monthly
    products: pa.Table
    categories: pa.Table

    def partitions(self) -> Iterator[tuple[str, str | None, pa.Table]]:
        """Yield every table with its asset and its month."""
        for asset, monthly in ((SNAPSHOTS, self.snapshots), (TRANSACTIONS, self.transactions)):
            yield from ((asset, month.key, table) for month, table in monthly.items())
        yield PRODUCTS, None, self.products
        yield CATEGORIES, None, self.categories

    def write(self, lake: Lake, before: RawTables | None = None) -> None:
        """Store the tables; where the lake holds those of ``before``, only the ones that differ."""
        stored = {(asset, month): table for asset, month, table in before.partitions()} if before else {}
        for asset, month, table in self.partitions():
            if stored.get((asset, month)) is not table:
                with lake.write(asset, month) as out:
                    out.write(table)


@dataclass(frozen=True, slots=True)
class Alteration:
    """Two sets of raw tables that differ in one column.

    Parameters
    ----------
    column : str
        As features name their inputs: ``raw/transactions.amount``.
    before, after : RawTables
    values : int
        How many values differ.
    """

    column: str
    before: RawTables
    after: RawTables
    values: int


def read_raw(session: LakeSession, month: Month, sample: np.ndarray, settings: Settings) -> RawTables:
    """Read the data up to the cutoff of the customers in a sample (ascending ids)."""
    months = look_back(month, settings)
    snapshots = {past: sampled_rows(session, SNAPSHOTS, past, sample).combine_chunks() for past in months}
    lines = {past: sampled_transactions(session, settings, past, sample).combine_chunks() for past in months}
    cut = {past: table.filter(pc.less(table["ts"].cast(pa.int64()), month.cutoff_us)) for past, table in lines.items()}
    products, categories = (catalogue_table(session, settings, asset) for asset in (PRODUCTS, CATEGORIES))
    return RawTables(snapshots, cut, products, categories)


def alterations(tables: RawTables, rng: np.random.Generator) -> Iterator[Alteration]:
    """Yield one alteration for each column of the raw tables.

    The key of the transactions is altered with that of the snapshots, and ``product_id`` not at all: to number the products anew
    is to alter all other columns of the catalogue of products at once.
    """
    yield _renamed(tables, rng)
    yield _absent(tables, rng)
    for name in _columns(tables.snapshots):
        if f"{SNAPSHOTS}.{name}" not in (CUSTOMER, SNAPSHOT_MONTH):
            changed, count = _redraw_monthly(tables.snapshots, name, rng)
            yield Alteration(f"{SNAPSHOTS}.{name}", tables, replace(tables, snapshots=changed), count)
    for name in _columns(tables.transactions):
        column = f"{TRANSACTIONS}.{name}"
        if name != "customer_id":
            redraw = _redraw_times if column == TS else _redraw_monthly
            changed, count = redraw(tables.transactions, name, rng)
            yield Alteration(column, tables, replace(tables, transactions=changed), count)
    for name in tables.products.column_names:
        if name != "product_id":
            table, count = _put(tables.products, name, _redrawn(tables.products[name], rng))
            yield Alteration(f"{PRODUCTS}.{name}", tables, replace(tables, products=table), count)
    for name in tables.categories.column_names:
        values = _tree_values(tables.categories, f"{CATEGORIES}.{name}", rng)
        table, count = _put(tables.categories, name, values)
        yield Alteration(f"{CATEGORIES}.{name}", tables, replace(tables, categories=table), count)


def _columns(monthly: Monthly) -> list[str]:
    return list(next(iter(monthly.values())).column_names)


def _renamed(tables: RawTables, rng: np.random.Generator) -> Alteration:
    """Give every customer another id in both tables, in the same order; nothing else differs."""
    old = np.unique(np.concatenate([t["customer_id"].to_numpy() for t in tables.snapshots.values()]))
    new = np.sort(rng.choice(1 << 40, len(old), replace=False)).astype(np.int64)

    def rename(monthly: Monthly) -> dict[Month, pa.Table]:
        return {
            month: _put(table, "customer_id", pa.array(new[np.searchsorted(old, table["customer_id"].to_numpy())]))[0]
            for month, table in monthly.items()
        }

    after = replace(tables, snapshots=rename(tables.snapshots), transactions=rename(tables.transactions))
    return Alteration(CUSTOMER, tables, after, int((old != new).sum()))


def _absent(tables: RawTables, rng: np.random.Generator) -> Alteration:
    """Remove the first snapshots of every customer: a row's ``snapshot_month`` says that the customer was present.

    In those months nothing is held and nothing is bought before either, so that nothing but the absence differs.
    """
    months = list(tables.snapshots)
    ids = np.unique(np.concatenate([table["customer_id"].to_numpy() for table in tables.snapshots.values()]))
    first = rng.integers(0, len(months), len(ids))  # the month of the look-back that a customer's history begins in
    idle, gone, lines, count = {}, {}, {}, 0
    for position, month in enumerate(months):

        def early(table: pa.Table, position: int = position) -> np.ndarray:
            return np.asarray(position < first[np.searchsorted(ids, table["customer_id"].to_numpy())])

        table, bought = tables.snapshots[month], tables.transactions[month]
        out = early(table)
        holdings = [
            [] if gone_now else row for gone_now, row in zip(out.tolist(), table["held"].to_pylist(), strict=True)
        ]
        idle[month] = _put(table, "held", pa.array(holdings, table.schema.field("held").type))[0]
        gone[month] = idle[month].filter(pa.array(~out))
        lines[month] = bought.filter(pa.array(~early(bought)))
        count += int(out.sum())
    before = replace(tables, snapshots=idle, transactions=lines)
    return Alteration(SNAPSHOT_MONTH, before, replace(before, snapshots=gone), count)


def _redraw_monthly(monthly: Monthly, name: str, rng: np.random.Generator) -> tuple[dict[Month, pa.Table], int]:
    """Redraw a column over all months at once."""
    values = _redrawn(pa.chunked_array([c for table in monthly.values() for c in table[name].chunks]), rng)
    bounds = np.cumsum([0, *(table.num_rows for table in monthly.values())]).tolist()
    changed, count = {}, 0
    for (month, table), (low, high) in zip(monthly.items(), pairwise(bounds), strict=True):
        changed[month], differ = _put(table, name, values[low:high])
        count += differ
    return changed, count


def _redraw_times(monthly: Monthly, name: str, rng: np.random.Generator) -> tuple[dict[Month, pa.Table], int]:
    """Draw another instant of the look-back for every transaction, and put it into the month of that instant."""
    months = list(monthly)
    lines = pa.concat_tables(monthly.values())
    ts = rng.integers(months[0].start_us, months[-1].cutoff_us, lines.num_rows)
    moved, count = _put(lines, name, pa.array(ts).cast(lines.schema.field(name).type))
    order = np.lexsort((ts, moved["customer_id"].to_numpy()))
    moved, ts = moved.take(order), ts[order]
    inside = {month: (ts >= month.start_us) & (ts < month.cutoff_us) for month in months}
    return {month: moved.filter(pa.array(rows)) for month, rows in inside.items()}, count


def _tree_values(categories: pa.Table, column: str, rng: np.random.Generator) -> pa.Array:
    """Return a column of the merchant tree with every leaf elsewhere, each L2 still below one L1."""
    values = categories[column.rpartition(".")[2]]
    l1, l2 = (np.asarray(categories[name].to_numpy(), np.int64) for name in ("l1", "l2"))
    if column == LEAF:
        return values.combine_chunks().take(pa.array(_derangement(len(values), rng)))
    if column == L1:  # the branches trade places
        nodes, first, inverse = np.unique(l2, return_index=True, return_inverse=True)
        above = l1[first]
        return pa.array(above[_derangement(len(nodes), rng)][inverse]).cast(values.type)
    if (
        column == L2
    ):  # leaves trade places within their branch; where it has one node, the first leaf gets a node of its own
        moved = l2.copy()
        for branch in np.unique(l1).tolist():
            leaves = np.flatnonzero(l1 == branch)
            moved[leaves] = l2[leaves][_derangement(len(leaves), rng)]
        if (moved == l2).all():
            moved[0] = l2.max() + 1
        return pa.array(moved).cast(values.type)
    return _redrawn(values, rng)


def _derangement(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return an order in which nothing stays in its place, where there are two places or more."""
    cycle = rng.permutation(count)
    order = np.empty(count, np.int64)
    order[cycle] = np.roll(cycle, 1)
    return order


def _redrawn(column: pa.ChunkedArray, rng: np.random.Generator) -> pa.Array:
    """Return a column in which every value is another one of the column; a single distinct value becomes an invented one."""
    rows = [tuple(value) if isinstance(value, list) else value for value in column.to_pylist()]
    distinct = list(dict.fromkeys(rows))
    if len(distinct) == 1:
        return pa.array([_invented(distinct[0], column.type)] * len(rows), column.type)
    place = {value: index for index, value in enumerate(distinct)}
    codes = np.array([place[value] for value in rows], np.int64)
    others = (codes + rng.integers(1, max(2, len(distinct)), len(codes))) % max(1, len(distinct))
    return pa.array([distinct[index] for index in others.tolist()], column.type)


def _invented(value: Any, kind: pa.DataType) -> Any:
    """Return a valid value of a type that is not the one given."""
    if pa.types.is_boolean(kind):
        return not value
    if pa.types.is_string(kind):
        return "other" if value != "other" else "another"
    if pa.types.is_list(kind):
        return [] if value else [0]
    return 1 if value is None or value != 1 else 2


def _put(table: pa.Table, name: str, values: pa.Array) -> tuple[pa.Table, int]:
    """Return the table with a column replaced, and the number of rows in which the column differs."""
    index = table.schema.get_field_index(name)
    before, after = table[name].to_pylist(), values.to_pylist()
    differ = sum(left != right for left, right in zip(before, after, strict=True))
    return table.set_column(index, table.schema.field(index), values), differ
