"""A feature group that fails takes no other group with it, and shows as failed with its columns, in one month or in a range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.storage.partition_status_cache import get_and_update_asset_status_cache_value

from finai_assets.automation.specs import column_key, key_of, partitions_of
from finai_assets.definitions import build_definitions
from finai_assets.features.by_group import GroupFailures
from finai_assets.features.fit import store_states
from finai_assets.platform import Platform
from finai_resources.errors import LakeError, PartError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
GROUPS = ("demographics", "product_holdings", "txn_rolling_stats", "derived_temporal")


class OpenGates:
    """Gates that let everything pass: the panel of these tests was checked by nobody."""

    def demand(self, _lake: Lake, _asked: Sequence[tuple[str, str | None]]) -> None: ...


class Months:
    """Feature months of a few groups, run through Dagster on a small panel."""

    def __init__(self, world: Any, folder: Path, instance: dg.DagsterInstance) -> None:
        home = Home.at(folder)
        self.lake = world.panel.write(Lake.on_disk(home.lake_root))
        self.platform, self.instance = Platform.of(world.settings), instance
        store_states(LakeSession(self.lake), world.states, versions=one_version("test"))
        resources = {"gates": dg.ResourceDefinition.hardcoded_resource(OpenGates())}
        definitions = build_definitions(settings=world.settings, home=home, resources=resources)
        job = definitions.resolve_implicit_global_asset_job_def()
        keys = {key_of(f"features/{name}") for name in GROUPS}
        self.job = job.get_subset(asset_selection=keys, asset_check_selection=set())

    def run(self, first: Month, last: Month) -> dg.ExecuteInProcessResult:
        if first == last:
            return self._execute(partition_key=first.partition_key)
        ends = {"start": first.partition_key, "end": last.partition_key}
        return self._execute(tags={f"dagster/asset_partition_range_{end}": key for end, key in ends.items()})

    def _execute(self, **more: Any) -> dg.ExecuteInProcessResult:
        return self.job.execute_in_process(instance=self.instance, raise_on_error=False, run_config=QUIET, **more)

    def shown(self, key: dg.AssetKey) -> tuple[set[str], set[str]]:
        """Return the months that show as filled and those that show as failed."""
        months = partitions_of(self.platform, "features/demographics")
        status = get_and_update_asset_status_cache_value(self.instance, key, months)
        assert status is not None
        failed = status.deserialize_failed_partition_subsets(months)
        filled = status.deserialize_materialized_partition_subsets(months)
        return set(filled.get_partition_keys()), set(failed.get_partition_keys())

    def made_by(self, name: str) -> str:
        """Return the id of the run that last materialised a group."""
        latest = self.instance.get_latest_materialization_event(key_of(f"features/{name}"))
        assert latest is not None
        return latest.run_id

    def shown_columns(self, name: str) -> list[tuple[set[str], set[str]]]:
        return [self.shown(column_key(column)) for column in self.platform.registry.group(name).columns]


@pytest.fixture
def months(world: Any, tmp_path: Path) -> Iterator[Months]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Months(world, tmp_path, instance)


def breaks(name: str, platform: Platform, monkeypatch: pytest.MonkeyPatch, *, of: Month | None = None) -> None:
    """Let a group's function fail, in each month or in one."""
    module = platform.registry.group(name).module
    right = module.transform

    def wrong(block: Any, *rest: Any) -> Any:
        if of is None or block.month == of:
            raise ZeroDivisionError(f"nothing to divide in {name}")
        return right(block, *rest)

    monkeypatch.setattr(module, "transform", wrong)


def error_of(result: dg.ExecuteInProcessResult) -> str:
    (failed,) = [event for event in result.all_events if event.is_step_failure]
    assert failed.step_failure_data.error is not None
    return failed.step_failure_data.error.cause.message if failed.step_failure_data.error.cause else ""


@pytest.mark.slow
def test_two_broken_groups_leave_the_others_stored_and_show_as_failed_with_their_columns(
    months: Months, month: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert months.run(month, month).success
    before = {name: months.lake.manifest(f"features/{name}", month.key) for name in GROUPS}
    breaks("demographics", months.platform, monkeypatch)  # a function that fails
    months.lake.delete("feature_state/txn_rolling_stats")  # what a group reads is gone
    result = months.run(month, month)
    assert not result.success
    told = error_of(result)
    assert "2 feature groups could not be computed; the other 2 are stored" in told
    assert f"features/demographics@{month.key}: ZeroDivisionError: nothing to divide in demographics" in told
    assert f"features/txn_rolling_stats@{month.key}: feature_state/txn_rolling_stats" in told

    key = month.partition_key
    for name in ("product_holdings", "derived_temporal"):
        assert months.made_by(name) == result.run_id
        assert months.shown(key_of(f"features/{name}")) == ({key}, set())
        assert all(shown == ({key}, set()) for shown in months.shown_columns(name))
    for name in ("demographics", "txn_rolling_stats"):
        assert months.made_by(name) != result.run_id
        assert months.lake.manifest(f"features/{name}", month.key) == before[name]
        assert key in months.shown(key_of(f"features/{name}"))[1]
        assert all(key in failed for _, failed in months.shown_columns(name))


@pytest.mark.slow
def test_a_group_that_fails_in_one_month_of_a_range_is_stored_in_the_others(
    months: Months, month: Month, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaks("demographics", months.platform, monkeypatch, of=month)
    result = months.run(month - 1, month)
    assert not result.success
    assert "1 feature groups could not be computed; the other 7 are stored" in error_of(result)
    first, second = (month - 1).partition_key, month.partition_key
    assert months.shown(key_of("features/demographics")) == ({first}, {second})
    assert months.shown(key_of("features/product_holdings")) == ({first, second}, set())
    assert all(shown == ({first}, {second}) for shown in months.shown_columns("demographics"))


def test_what_fails_all_groups_for_one_reason_is_raised_as_it_is(world: Any, month: Month) -> None:
    groups = [world.registry.group(name) for name in GROUPS]
    failures, gone = GroupFailures(), LakeError("the partition is absent", where="raw/snapshots@2015-03")

    def work(_part: object) -> list[str]:
        raise gone

    assert failures.compute(month, groups, work) == []
    with pytest.raises(LakeError) as raised:
        failures.demand_none()
    assert raised.value is gone


def test_groups_that_fail_for_different_reasons_are_each_named(world: Any, month: Month) -> None:
    groups = [world.registry.group(name) for name in GROUPS[:2]]
    failures = GroupFailures()

    def work(part: Sequence[Any]) -> list[str]:
        raise ValueError(part[-1].name)

    failures.compute(month, groups, work)
    with pytest.raises(PartError, match=r"none is stored(.|\n)*ValueError: demographics(.|\n)*: product_holdings"):
        failures.demand_none()


def test_a_month_without_failures_is_computed_once(world: Any, month: Month) -> None:
    groups = [world.registry.group(name) for name in GROUPS]
    asked: list[int] = []

    def work(part: Sequence[Any]) -> list[str]:
        asked.append(len(part))
        return [group.name for group in part]

    failures = GroupFailures()
    assert failures.compute(month, groups, work) == list(GROUPS)
    failures.demand_none()
    assert asked == [len(GROUPS)]
