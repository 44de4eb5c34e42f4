"""The automation condition of feature groups: which months it asks for, after which change of what they read."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.asset_checks.asset_check_evaluation import AssetCheckEvaluationTargetMaterializationData

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS, group_asset, state_asset
from finai_assets.automation.conditions import STALE_MONTHS
from finai_assets.automation.specs import column_key, key_of, partitions_of
from finai_assets.definitions import build_definitions
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_resources.home import Home
from finai_resources.months import Month

BEFORE, AFTER = "before", "after"
CHECK = "C01_no_direct_identifiers"


class Filled:
    """A Dagster instance in which each input of the groups, and each of their months, was stored once."""

    def __init__(
        self, definitions: dg.Definitions, platform: Platform, instance: dg.DagsterInstance, *, but: str = ""
    ) -> None:
        self.definitions, self.platform, self.instance = definitions, platform, instance
        self.groups = [group_asset(group.name) for group in platform.registry.available]
        for path in dict.fromkeys(read for group in self.groups for read, _ in platform.graph.reads(group)):
            self.store(path, BEFORE)
        self.months = list(platform.settings.dataset.snapshot_months)
        for group in self.groups:
            self.store(group, BEFORE, *(month.key for month in self.months if month.key != but))
        self.cursor = None
        self.ask()

    def store(self, path: str, version: str, *months: str) -> None:
        definition = partitions_of(self.platform, path)
        every = definition.get_partition_keys() if definition is not None else [None]
        for month in [Month.parse(key).partition_key for key in months] or every:
            tags = {"dagster/data_version": version}
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key_of(path), partition=month, tags=tags))

    def refuse(self, path: str, month: str) -> None:
        key = Month.parse(month).partition_key
        filtered = dg.AssetRecordsFilter(key_of(path), asset_partitions=[key])
        (latest,) = self.instance.fetch_materializations(filtered, limit=1).records
        judged = AssetCheckEvaluationTargetMaterializationData(
            storage_id=latest.storage_id, run_id=latest.run_id, timestamp=latest.timestamp
        )
        evaluation = dg.AssetCheckEvaluation(
            key_of(path), CHECK, False, partition=key, target_materialization_data=judged
        )
        self.instance.report_runless_asset_event(evaluation)

    def ask(self) -> dict[str, list[str]]:
        """Return the months that a tick asks for, by group."""
        answer = dg.evaluate_automation_conditions(self.definitions, self.instance, cursor=self.cursor)
        self.cursor = answer.cursor
        asked = {path: sorted(answer.get_requested_partitions(key_of(path))) for path in self.groups}
        assert answer.total_requested == sum(map(len, asked.values()))  # and of nothing else
        return {path: [key[:7] for key in keys] for path, keys in asked.items() if keys}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings("synthetic", "smoke")


@pytest.fixture(scope="module")
def definitions(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> dg.Definitions:
    return build_definitions(settings=settings, home=Home.at(tmp_path_factory.mktemp("home")))


@pytest.fixture
def filled(definitions: dg.Definitions, settings: Settings) -> Iterator[Filled]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Filled(definitions, Platform.of(settings), instance)


def test_a_changed_month_asks_once_for_the_months_whose_windows_read_it(filled: Filled) -> None:
    assert filled.ask() == {}
    changed = filled.months[-2].key
    filled.store(TRANSACTIONS, AFTER, changed)
    asked = filled.ask()
    months = filled.months
    assert asked
    for path, found in asked.items():
        read = next(read for upstream, read in filled.platform.graph.reads(path) if upstream == TRANSACTIONS)
        reach = {m.key: filled.platform.graph.months_read(read.window, m) for m in months}
        assert found == [key for key, each in reach.items() if changed in {str(month) for month in each}]
        assert found == [months[-2].key, months[-1].key]
    reading = {path for path in filled.groups if TRANSACTIONS in dict(filled.platform.graph.reads(path))}
    assert set(asked) == reading
    assert filled.ask() == {}


def test_the_same_bytes_stored_again_ask_for_nothing(filled: Filled) -> None:
    filled.store(SNAPSHOTS, BEFORE, filled.months[-1].key)
    assert filled.ask() == {}


def test_a_refitted_state_asks_for_every_month_of_its_group_alone(filled: Filled) -> None:
    group = filled.platform.registry.available[0].name
    filled.store(state_asset(group), AFTER)
    months = [month.key for month in filled.months]
    assert filled.ask() == {group_asset(group): months}


def test_nothing_is_asked_for_while_a_blocking_check_of_an_input_has_failed(filled: Filled) -> None:
    last = filled.months[-1].key
    filled.store(SNAPSHOTS, AFTER, last)
    filled.refuse(SNAPSHOTS, last)
    assert filled.ask() == {}
    filled.store(SNAPSHOTS, "corrected", last)
    assert filled.ask() == {path: [last] for path in filled.groups}


def test_a_month_that_was_never_stored_is_left_to_others(definitions: dg.Definitions, settings: Settings) -> None:
    last = list(settings.dataset.snapshot_months)[-1].key
    with dg.DagsterInstance.ephemeral() as instance:
        filled = Filled(definitions, Platform.of(settings), instance, but=last)
        filled.store(SNAPSHOTS, AFTER, last)
        assert filled.ask() == {}


def test_groups_alone_have_a_condition_and_their_sensor_is_off(definitions: dg.Definitions, settings: Settings) -> None:
    platform = Platform.of(settings)
    groups = {key_of(group_asset(group.name)) for group in platform.registry.available}
    specs = list(definitions.resolve_all_asset_specs())
    assert {spec.key for spec in specs if spec.automation_condition is not None} == groups
    assert {column_key(column) for column in platform.registry.columns} <= {spec.key for spec in specs} - groups
    (sensor,) = [each for each in definitions.sensors or () if each.name == STALE_MONTHS]
    assert isinstance(sensor, dg.AutomationConditionSensorDefinition)
    assert sensor.default_status == dg.DefaultSensorStatus.STOPPED
