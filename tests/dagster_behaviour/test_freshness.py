"""What Dagster 1.13's freshness by partition does with old backfills, and why it is asked for by its check factory."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import dagster as dg
import pytest
from dagster._core.test_utils import freeze_time
from dagster._time import get_current_datetime

KEY = dg.AssetKey(["features", "g"])
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
DEADLINE = "0 9 5 * *"  # on the fifth, the month that ended is expected


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def freshness(instance: dg.DagsterInstance, now: datetime, *months: str, end: str | None = None) -> tuple[bool, str]:
    """Materialise months, evaluate the check at a time, and return its verdict and its words."""

    @dg.asset(key=KEY, partitions_def=dg.MonthlyPartitionsDefinition("2016-01-01", end_date=end))
    def g() -> None: ...

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.SupersessionWarning)
        checks = dg.build_time_partition_freshness_checks(assets=[KEY], deadline_cron=DEADLINE)
    built = dg.Definitions(
        assets=[g],
        asset_checks=checks,
        jobs=[
            dg.define_asset_job("fill", dg.AssetSelection.assets(KEY).without_checks()),
            dg.define_asset_job("fresh", dg.AssetSelection.checks_for_assets(KEY)),
        ],
    )
    with freeze_time(now):
        assert get_current_datetime() == now
        for month in months:
            assert (
                built.resolve_job_def("fill")
                .execute_in_process(instance=instance, partition_key=month, run_config=QUIET)
                .success
            )
        result = built.resolve_job_def("fresh").execute_in_process(instance=instance, run_config=QUIET)
    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.blocking
    assert evaluation.partition is None  # one verdict of the whole asset: about the one month that is expected
    return evaluation.passed, evaluation.description or ""


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2016, 6, day, hour, tzinfo=UTC)


def test_a_backfill_of_an_old_month_makes_nothing_fresh(instance: dg.DagsterInstance) -> None:
    passed, told = freshness(instance, at(6), "2016-01-01", "2016-02-01")
    assert not passed
    assert "expected partition 2016-05-01" in told


def test_the_month_that_ended_makes_it_fresh_and_a_later_backfill_of_an_old_one_changes_nothing(
    instance: dg.DagsterInstance,
) -> None:
    assert freshness(instance, at(6), "2016-05-01")[0]
    assert freshness(instance, at(20), "2016-01-01")[0]


def test_before_the_deadline_the_month_before_is_expected(instance: dg.DagsterInstance) -> None:
    passed, told = freshness(instance, at(5, hour=8), "2016-03-01")
    assert not passed
    assert "2016-04-01" in told
    assert freshness(instance, at(5, hour=8), "2016-04-01")[0]


def test_where_months_have_an_end_the_last_one_stays_the_expected_one(instance: dg.DagsterInstance) -> None:
    """So a data set whose months end in the configuration is fresh for ever once its last month is there."""
    late = datetime(2026, 6, 6, 12, tzinfo=UTC)
    passed, told = freshness(instance, late, "2016-02-01", end="2016-04-01")
    assert not passed
    assert "2016-03-01" in told
    assert freshness(instance, late, "2016-03-01", end="2016-04-01")[0]
