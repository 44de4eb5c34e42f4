"""The newest partitions of an asset whose months have ended: what Dagster answers, and what our webserver answers."""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import PartitionLoadingContext
from dagster._core.definitions.temporal_context import TemporalContext

from finai_cli.webserver import newest_that_exist

ENDED = dg.MonthlyPartitionsDefinition("2014-11-01", end_date="2015-03-01")
OPEN = dg.MonthlyPartitionsDefinition("2026-08-01")
MONTHS = ["2015-02-01", "2015-01-01", "2014-12-01", "2014-11-01"]


@pytest.fixture
def context() -> PartitionLoadingContext:
    now = TemporalContext(effective_dt=datetime(2026, 11, 30, tzinfo=UTC), last_event_id=None)
    return PartitionLoadingContext(temporal_context=now, dynamic_partitions_store=None)


def test_dagster_counts_backwards_from_today_past_the_end_of_a_definition(context: PartitionLoadingContext) -> None:
    newest = ENDED.get_paginated_partition_keys(context, 120, ascending=False).results
    assert newest[0] == "2026-10-01"  # a failure here means that it no longer does, and that finai_cli.webserver may go
    assert not set(newest) & set(MONTHS)


def test_the_newest_partitions_are_those_that_the_asset_has(context: PartitionLoadingContext) -> None:
    found = newest_that_exist(ENDED, context, 120, ascending=False)
    assert found.results == MONTHS
    assert not found.has_more


def test_further_pages_follow_on_the_first(context: PartitionLoadingContext) -> None:
    first = newest_that_exist(ENDED, context, 3, ascending=False)
    assert (first.results, first.has_more) == (MONTHS[:3], True)
    assert newest_that_exist(ENDED, context, 3, ascending=False, cursor=first.cursor).results == MONTHS[3:]


@pytest.mark.parametrize(("definition", "ascending"), [(ENDED, True), (OPEN, False), (OPEN, True)])
def test_all_else_is_as_dagster_answers(
    definition: dg.MonthlyPartitionsDefinition, ascending: bool, context: PartitionLoadingContext
) -> None:
    ours = newest_that_exist(definition, context, 3, ascending=ascending)
    assert ours == definition.get_paginated_partition_keys(context, 3, ascending=ascending)
