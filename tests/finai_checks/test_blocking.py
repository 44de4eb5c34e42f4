"""A failed gate stops what follows it, in the definitions that production runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from finai_assets.definitions import build_definitions, default_resources
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.run import run_check
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@pytest.fixture(scope="module")
def small() -> Settings:
    return load_settings("synthetic", "smoke", overrides={"generator": {"customers": 60}})


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home.at(tmp_path)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        yield ephemeral


def lake_of(settings: Settings, home: Home) -> Lake:
    return default_resources(settings, home)["lake"].open()  # type: ignore[attr-defined]


def context_of(lake: Lake, settings: Settings, home: Home, month: Month | None = None) -> CheckContext:
    return CheckContext(LakeSession(lake), Platform.of(settings, SecretStore(home.root)), month)


def test_a_check_that_raises_is_a_failure_with_its_traceback_and_a_record(small: Settings, home: Home) -> None:
    check = next(c for c in declared_checks(Platform.of(small)) if c.id == "C13")
    lake = lake_of(small, home)
    outcome = run_check(check, context_of(lake, small, home))
    assert not outcome.passed
    assert "not been written" in outcome.reason
    assert "Traceback" in outcome.observed["traceback"]
    assert not Ledger(lake, SecretStore(home.root)).has_passed(check, None)


@pytest.mark.slow
def test_a_month_of_broken_raw_data_is_refused_by_its_check_and_the_record_says_why(
    small: Settings, home: Home, instance: dg.DagsterInstance
) -> None:
    definitions = build_definitions(settings=small, home=home)
    month = small.dataset.raw_months.first

    def run(job: str, partition: str | None = None) -> dg.ExecuteInProcessResult:
        return definitions.resolve_job_def(job).execute_in_process(
            instance=instance, partition_key=partition, raise_on_error=False, run_config=QUIET
        )

    assert run("source").success
    assert run("ingest_month", month.partition_key).success
    lake = lake_of(small, home)
    check = next(c for c in declared_checks(Platform.of(small)) if c.id == "C05")
    assert Ledger(lake, SecretStore(home.root)).has_passed(check, month.key)
    # Somebody edits the stored month behind the contract's back: one customer twice.
    table = lake.read("raw/snapshots", month.key)
    with lake.write("raw/snapshots", month.key) as out:
        out.write(table)
        out.write(table.slice(0, 1))
    assert not Ledger(lake, SecretStore(home.root)).has_passed(check, month.key)
    outcome = run_check(check, context_of(lake, small, home, month))
    assert not outcome.passed
    record = Ledger(lake, SecretStore(home.root)).find(check, month.key)
    assert record is not None
    assert record["passed"] is False
