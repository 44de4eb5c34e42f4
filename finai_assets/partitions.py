"""The month partitions: which months each kind of asset has, and which raw months a snapshot month reads.

Key ``2016-05-01`` is the snapshot of that month. Features of the partition use events before its cutoff only, labels use
``[cutoff, cutoff + horizon)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.asset_graph import Partitions
from finai_resources.months import Month

if TYPE_CHECKING:
    from collections.abc import Iterable

    from finai_assets.settings import MonthSpan, Settings


def look_back(month: Month, settings: Settings) -> list[Month]:
    """Return the raw months that features of a month read, oldest first, the month itself included.

    Months before the first raw month do not exist and are left out.
    """
    first = max(month - (settings.look_back_months - 1), settings.dataset.raw_months.first)
    return [Month(ordinal) for ordinal in range(first.ordinal, month.ordinal + 1)]


def is_mature(month: Month, settings: Settings) -> bool:
    """Return whether the label window of a month has fully passed within the data."""
    return month + settings.horizon_months <= settings.dataset.raw_months.last


def existing_months(kind: Partitions, settings: Settings) -> list[Month]:
    """Return the months of the assets of a kind, oldest first; none of those without months.

    Where months go on, they end as the source does: nobody is offered a month that it has not, nor misses it.
    """
    if kind is Partitions.NONE:
        return []
    if kind is Partitions.RAW:
        return list(settings.dataset.raw_months)
    snapshots = list(settings.dataset.snapshot_months)
    return snapshots if kind is Partitions.SNAPSHOT else [month for month in snapshots if is_mature(month, settings)]


def partition_keys(months: MonthSpan | Iterable[Month]) -> list[str]:
    """Return the Dagster keys of some months."""
    return [month.partition_key for month in months]
