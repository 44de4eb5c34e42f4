"""Months of a range are told apart, and no consumer reads what a blocking check did not let through."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import pytest
from vouched import tell

from finai_assets.definitions import build_definitions, default_resources
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_checks import assets as door
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome, Declared
from finai_checks.gates import CheckGates
from finai_resources.errors import GateError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
SNAPSHOTS = dg.AssetKey(["raw", "snapshots"])


@pytest.fixture(scope="module")
def small() -> Settings:
    return load_settings("synthetic", "smoke", overrides={"generator": {"customers": 60}})


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def contract_that_fails(month: Month, platform: Platform) -> list[Declared]:
    """Return the schema contract alone, with a verdict of its own on one month."""
    real = next(check for check in declared_checks(platform) if check.name == "schema_contract")

    def evaluate(context: CheckContext, _asset: str) -> CheckOutcome:
        bad = context.month == month
        return CheckOutcome(False, f"bad {context.month}", 3) if bad else real.evaluate(context)

    return [replace(real, alone=evaluate)]


@pytest.mark.slow
def test_each_month_of_a_ranged_run_has_its_own_figures_and_its_own_verdict(
    small: Settings, tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = small.dataset.raw_months.first
    monkeypatch.setattr(door, "declared_checks", lambda platform: contract_that_fails(first + 1, platform))
    home = Home.at(tmp_path)
    definitions = build_definitions(settings=small, home=home)

    def run(job: str, **more: object) -> dg.ExecuteInProcessResult:
        found = definitions.resolve_job_def(job)
        return found.execute_in_process(instance=instance, raise_on_error=False, run_config=QUIET, **more)  # type: ignore[arg-type]

    assert run("source").success
    range_tags = {
        "dagster/asset_partition_range_start": first.partition_key,
        "dagster/asset_partition_range_end": (first + 2).partition_key,
    }
    assert not run("ingest_month", tags=range_tags).success

    check = dg.AssetCheckKey(SNAPSHOTS, "C05_schema_contract")
    info = instance.event_log_storage.get_asset_check_partition_info([check])
    verdicts = {entry.partition_key: entry.latest_execution_status.value for entry in info if entry.partition_key}
    assert verdicts == {
        first.partition_key: "SUCCEEDED",
        (first + 1).partition_key: "FAILED",
        (first + 2).partition_key: "SUCCEEDED",
    }
    lake: Lake = default_resources(small, home)["lake"].open()  # type: ignore[attr-defined]
    for offset in range(3):
        month = first + offset
        (latest, *_) = instance.fetch_materializations(
            dg.AssetRecordsFilter(SNAPSHOTS, asset_partitions=[month.partition_key]), limit=1
        ).records
        assert latest.asset_materialization is not None
        stored = lake.manifest("raw/snapshots", month.key)
        figures = latest.asset_materialization.metadata
        assert figures["dagster/row_count"].value == stored.rows
        assert figures["content_hash"].value == stored.content_hash[:16]
        assert (latest.asset_materialization.tags or {})["dagster/data_version"] == stored.content_hash


def platform_of(lake: Lake, small: Settings) -> Platform:
    return Platform.of(small, SecretStore(Path(lake.root).parent))


def gates_on(lake: Lake, small: Settings) -> CheckGates:
    with lake.write("labels/splits") as out:
        out.put("splits.json", b"{}")
    return CheckGates(platform_of(lake, small))


def gap_split(small: Settings) -> Declared:
    return next(check for check in declared_checks(Platform.of(small)) if check.name == "gap_split")


def test_a_gate_refuses_content_without_a_result(lake: Lake, small: Settings) -> None:
    with pytest.raises(GateError, match="C13 gap_split on labels/splits: no result for what is stored now"):
        gates_on(lake, small).demand(lake, [("labels/splits", None)])


def test_a_gate_lets_pass_what_has_passed_until_it_is_written_anew(lake: Lake, small: Settings) -> None:
    gates = gates_on(lake, small)
    tell(lake, platform_of(lake, small), [(gap_split(small), None)])
    gates.demand(lake, [("labels/splits", None)])
    with lake.write("labels/splits") as out:
        out.put("splits.json", b'{"train": []}')
    with pytest.raises(GateError, match="no result"):
        gates.demand(lake, [("labels/splits", None)])


def test_a_gate_names_why_a_check_failed(lake: Lake, small: Settings) -> None:
    gates = gates_on(lake, small)
    tell(lake, platform_of(lake, small), [(gap_split(small), None)], CheckOutcome(False, "the gap has 3 days", 3))
    with pytest.raises(GateError, match="the gap has 3 days"):
        gates.demand(lake, [("labels/splits", None)])


def test_a_warning_closes_no_gate(lake: Lake, small: Settings) -> None:
    platform = Platform.of(small)
    warned = {check.asset for check in declared_checks(platform) if not check.blocking}
    blocked = {check.asset for check in declared_checks(platform) if check.blocking and not check.kind.audit}
    assert warned - blocked or warned  # there are warnings at all
    CheckGates(platform).demand(lake, [(asset, None) for asset in warned - blocked])


@pytest.mark.slow
def test_a_run_of_the_consumer_alone_is_refused_after_a_failed_gate(
    small: Settings, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    definitions = build_definitions(settings=small, home=Home.at(tmp_path))
    lake: Lake = default_resources(small, Home.at(tmp_path))["lake"].open()  # type: ignore[attr-defined]
    with lake.write("labels/splits") as out:
        out.put("splits.json", b"{}")
    result = definitions.resolve_job_def("train").execute_in_process(
        instance=instance,
        raise_on_error=False,
        run_config=QUIET,
        asset_selection=[dg.AssetKey(["teacher", "training_matrix"])],
    )
    assert not result.success
    told = "".join(e.step_failure_data.error.to_string() for e in result.all_events if e.is_step_failure)
    assert "GateError" in told
    assert "gap_split" in told
