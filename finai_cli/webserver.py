"""Dagster's webserver, for which the newest partitions of an asset are the newest that it has.

Dagster 1.13 counts partitions backwards from today, past the end of a definition that ends (a test of this module pins it). An
asset's page plots the newest 120: of months that ended more than ten years ago it showed none.
"""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.partitions.context import PartitionLoadingContext
from dagster._core.definitions.partitions.utils.time_window import TimeWindowCursor
from dagster._core.types.pagination import PaginatedResults
from dagster_webserver.cli import main

_counted = dg.TimeWindowPartitionsDefinition.get_paginated_partition_keys


def newest_that_exist(
    definition: dg.TimeWindowPartitionsDefinition,
    context: PartitionLoadingContext,
    limit: int,
    ascending: bool,
    cursor: str | None = None,
) -> PaginatedResults[str]:
    """Return a page of partition keys; the first page of the newest begins at the end of the definition, if that is past."""
    end = definition.end_timestamp
    if not ascending and cursor is None and end is not None and end < context.effective_dt.timestamp():
        start = int(definition.start_timestamp)
        cursor = TimeWindowCursor(start_timestamp=start, end_timestamp=int(end), offset_partition_count=0).to_string()
    return _counted(definition, context, limit, ascending, cursor)


if __name__ == "__main__":
    setattr(dg.TimeWindowPartitionsDefinition, _counted.__name__, newest_that_exist)
    main()  # type: ignore[no-untyped-call]
