"""How many rows a bank's own tables have in each month, of the tables that date rows."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

import pyarrow as pa

from finai_assets.ingest.tables.adapter import TablesAdapter
from finai_assets.ingest.tables.database import tried
from finai_assets.ingest.tables.selection import Selection
from finai_assets.settings.tables import RowsSettings
from finai_resources.errors import ConfigError


class RowsByMonth(NamedTuple):
    """The first day and the rows of each month of a table, ascending, and the last day of all.

    There is no last day where a row stands for its month, whatever day it is dated by.
    """

    counts: Sequence[tuple[date, int]]
    last_day: date | None


def rows_by_month(adapter: TablesAdapter) -> list[RowsByMonth]:
    """Return the rows of the panel of snapshots and of the transactions, as far as there are such.

    Raises
    ------
    ConfigError
        The mapping has neither.
    ContractError
        The source cannot be read, or an expression does not fit it.
    """
    snapshots, transactions = adapter.tables.snapshots, adapter.tables.transactions
    found: list[RowsByMonth] = []
    if snapshots.month is not None:
        counts, _ = _count(adapter, snapshots, "tables.snapshots", snapshots.month, "month")
        found.append(RowsByMonth(counts, None))
    if transactions is not None:
        found.append(_count(adapter, transactions, "tables.transactions", transactions.ts, "ts"))
    if not found:
        raise ConfigError(
            "the mapping dates no rows by month, so that the source tells no last one",
            where="dataset.raw_months",
            fix="write the last month, or map tables.snapshots.month or tables.transactions",
        )
    return found


def _count(adapter: TablesAdapter, rows: RowsSettings, where: str, time: str, name: str) -> RowsByMonth:
    views = adapter.views(None)
    chosen = Selection(views, rows, where)
    value = f"{tried(chosen.value(time, name, pa.timestamp('us')))}.v"
    found = views.run(
        f"SELECT CAST(date_trunc('month', {value}) AS DATE) AS m, count(*), CAST(max({value}) AS DATE) FROM {chosen.relation} "
        f"WHERE {chosen.condition} AND {value} IS NOT NULL GROUP BY m ORDER BY m",
        time,
        where=f"{where}.{name}",
        source=chosen.source,
    )
    return RowsByMonth([(month, count) for month, count, _ in found], max((day for *_, day in found), default=None))
