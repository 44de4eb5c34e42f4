"""A failed gate stops what follows it, in the definitions that production runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from finai_assets.definitions import build_definitions, default_resources
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_assets.students.card import CARD, untrained
from finai_checks.catalogue import declared_checks
from finai_checks.framework.record import has_passed, read_record
from finai_checks.framework.run import run_check
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

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


def test_a_check_that_raises_is_a_failure_with_its_traceback_and_a_record(small: Settings, home: Home) -> None:
    check = next(c for c in declared_checks(Platform.of(small)) if c.id == "C13")
    lake = lake_of(small, home)
    outcome = run_check(check, LakeSession(lake), None)
    assert not outcome.passed
    assert "not been written" in outcome.reason
    assert "Traceback" in outcome.observed["traceback"]
    assert not has_passed(lake, check.name, check.asset, None)


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
    assert has_passed(lake, "schema_contract", "raw/snapshots", month.key)
    # Somebody edits the stored month behind the contract's back: one customer twice.
    table = lake.read("raw/snapshots", month.key)
    with lake.write("raw/snapshots", month.key) as out:
        out.write(table)
        out.write(table.slice(0, 1))
    assert not has_passed(lake, "schema_contract", "raw/snapshots", month.key)
    check = next(c for c in declared_checks(Platform.of(small)) if c.id == "C05")
    outcome = run_check(check, LakeSession(lake), Month.parse(month.key))
    assert not outcome.passed
    record = read_record(lake, "schema_contract", "raw/snapshots", month.key)
    assert record is not None
    assert record["passed"] is False


def test_a_distilled_student_over_its_floor_fails_the_gate_on_the_stored_asset(small: Settings, home: Home) -> None:
    lake = lake_of(small, home)
    missed = {"n": 100, "verdicts": [{"measure": "kl", "observed": 0.9, "floor": 0.2, "passed": False}]}
    card = untrained("churn_signal", route="DISTILL", fidelity=missed)
    with lake.write("students/churn_signal") as out:
        out.put(CARD, card.to_bytes())
    check = next(c for c in declared_checks(Platform.of(small)) if (c.id, c.asset) == ("C23", "students/churn_signal"))
    outcome = run_check(check, LakeSession(lake), None)
    assert not outcome.passed
    assert outcome.reason == "kl 0.9 (floor 0.2)"
    assert check.blocking


@pytest.mark.parametrize(("validation", "passed"), [("2015-05", True), ("2015-04", False)])
def test_the_gap_is_measured_on_the_splits_as_stored(
    small: Settings, home: Home, validation: str, *, passed: bool
) -> None:
    lake = lake_of(small, home)
    months = {"train": ["2015-01", "2015-02", "2015-03"], "validation": [validation], "test": ["2015-07"], "purged": []}
    with lake.write("labels/splits") as out:
        out.put("splits.json", json.dumps(months).encode())
    check = next(c for c in declared_checks(Platform.of(small)) if c.id == "C13")
    outcome = run_check(check, LakeSession(lake), None)
    assert outcome.passed is passed, outcome.reason
    assert passed or "the gap before validation has 0 days" in outcome.reason
