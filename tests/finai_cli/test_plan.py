"""Which checks a run asks again of assets that stay, and that a failed check makes no asset stale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vouched import tell

from finai_assets.asset_graph import (
    BASELINES,
    COLUMNS,
    EVALUATION,
    EXPLANATIONS,
    MATRIX,
    PREDICTIONS,
    SPLITS,
    TEACHER,
    TRANSFER,
    student_asset,
)
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckOutcome, Declared
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.record import record_path
from finai_cli.plan import Unit, main_job, outdated_checks, parts_of, stale_assets, waits_of
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore

UNIT = Unit("fit_features", (SPLITS,))


@pytest.fixture
def platform(settings: Settings, secrets: SecretStore) -> Platform:
    return Platform.of(settings, secrets)


@pytest.fixture
def checks(platform: Platform) -> list[Declared]:
    return [check for check in declared_checks(platform) if check.asset == SPLITS]


@pytest.fixture
def ledger(lake: Lake, platform: Platform, checks: list[Declared]) -> Ledger:
    with lake.write(SPLITS, **platform.graph.versions(SPLITS)) as out:
        out.put("splits.json", b"{}")
    tell(lake, platform, [(check, None) for check in checks])
    return Ledger(lake, platform.secrets)


def test_what_has_passed_is_not_asked_again(ledger: Ledger, platform: Platform, checks: list[Declared]) -> None:
    assert checks
    assert outdated_checks(ledger, platform, UNIT, checks) == []
    assert stale_assets(ledger.lake, platform, UNIT, checks) == []


def test_a_blocking_check_that_failed_is_asked_again_and_its_asset_is_not_computed_again(
    ledger: Ledger, platform: Platform, checks: list[Declared]
) -> None:
    (gap,) = (check for check in checks if check.name == "gap_split")
    tell(ledger.lake, platform, [(gap, None)], CheckOutcome(False, "the gap has 3 days", 3))
    assert outdated_checks(ledger, platform, UNIT, checks) == [gap]
    assert stale_assets(ledger.lake, platform, UNIT, checks) == []


def test_records_of_a_home_of_before_the_signatures_are_asked_again(
    ledger: Ledger, platform: Platform, checks: list[Declared]
) -> None:
    for check in checks:
        path = Path(record_path(ledger.lake, check.name, SPLITS, None))
        path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "mac"}))
    assert outdated_checks(ledger, platform, UNIT, checks) == checks
    assert len(ledger.disbelieved) == len(checks)


def test_parts_of_a_training_wait_for_what_they_read_and_for_nothing_else(platform: Platform) -> None:
    (train,) = next(stage for stage in main_job(platform) if stage.name == "train").units
    parts = parts_of(platform, train, train.assets, 2)
    waits = [{parts[other].assets[0] for other in waited} for waited in waits_of(platform, parts)]
    by_first = dict(zip([part.assets[0] for part in parts], waits, strict=True))
    assert sorted(path for part in parts for path in part.assets) == sorted(train.assets)
    assert parts[0].assets == (MATRIX,)
    assert by_first[MATRIX] == set()
    assert by_first[TEACHER] == by_first[BASELINES] == {MATRIX}
    assert by_first[EVALUATION] == {MATRIX, TEACHER, PREDICTIONS, BASELINES}
    students = next(part.assets for part in parts if student_asset("next_mcc") in part.assets)
    assert set(students) == {student_asset(task.name) for task in platform.available_tasks}
    assert by_first[students[0]] == {MATRIX, TEACHER, PREDICTIONS, COLUMNS, TRANSFER}
    place = {part.assets[0]: number for number, part in enumerate(parts)}
    assert place[COLUMNS] < place[EXPLANATIONS]  # the students wait for the columns


def test_states_are_dealt_to_the_workers_and_a_chain_stays_whole(platform: Platform) -> None:
    stages = {stage.name: stage for stage in main_job(platform)}
    (fit,) = stages["fit"].units
    parts = parts_of(platform, fit, fit.assets, 2)
    assert sorted(len(part.assets) for part in parts) == [1, 8, 9]
    assert waits_of(platform, parts) == [set()] * 3
    (source,) = stages["source"].units
    assert parts_of(platform, source, source.assets, 2) == [source]
    assert parts_of(platform, fit, [SPLITS], 2) == [Unit(fit.job, (SPLITS,))]


def test_what_compares_months_warns_and_closes_no_gate(platform: Platform) -> None:
    """It is asked after the months were computed side by side, so that nothing may wait for it."""
    comparing = [check for check in declared_checks(platform) if check.kind.compares_months]
    assert {check.name for check in comparing} == {"volume_stable", "missingness_stable"}
    assert not any(check.blocking for check in comparing)
