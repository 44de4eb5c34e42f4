"""Which checks a run asks again of assets that stay, and that a failed check makes no asset stale."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from vouched import tell

from finai_assets.asset_graph import SPLITS
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckOutcome, Declared
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.record import record_path
from finai_cli.plan import Unit, outdated_checks, stale_assets
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
