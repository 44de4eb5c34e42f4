"""A signed override of C32 in scope lets a data set without consents be served, and the check stays failed and overridden."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from finai_assets.asset_graph import RECOMMENDATIONS
from finai_assets.platform import Platform
from finai_assets.recommend.score import CONSENT_CHECK
from finai_assets.settings import Settings
from finai_checks.framework.overrides import Grant, Overrides, add_override, revoke_override
from finai_checks.gates import CheckGates
from finai_checks.offering import canaries
from finai_checks.offering.checks import CONSENT, declare_checks
from finai_resources.lake import Lake
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

TODAY = datetime.now(UTC).date()
MAY, JUNE = Month.parse("2015-05"), Month.parse("2015-06")


@pytest.fixture
def secrets(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path)


@pytest.fixture
def gates(settings: Settings, secrets: SecretStore) -> CheckGates:
    return CheckGates(replace(Platform.of(settings), secrets=secrets))


def sign(lake: Lake, secrets: SecretStore, check: str = CONSENT_CHECK, asset: str = RECOMMENDATIONS) -> str:
    reason = "the data are of a study; nobody is told"
    grant = Grant(check, asset, (MAY,), "Kim, compliance", reason, TODAY + timedelta(days=20))
    return add_override(lake, secrets, grant).id


def test_the_permission_is_that_of_the_check_of_consent() -> None:
    assert CONSENT.name == CONSENT_CHECK


def test_an_override_permits_its_own_months_until_it_is_revoked(
    lake: Lake, secrets: SecretStore, gates: CheckGates
) -> None:
    assert gates.permission(lake, CONSENT_CHECK, RECOMMENDATIONS, MAY.key) == ""
    identity = sign(lake, secrets)
    told = gates.permission(lake, CONSENT_CHECK, RECOMMENDATIONS, MAY.key)
    assert told == f"Kim, compliance until {TODAY + timedelta(days=20)}: the data are of a study; nobody is told"
    assert gates.permission(lake, CONSENT_CHECK, RECOMMENDATIONS, JUNE.key) == ""
    revoke_override(lake, secrets, identity, approver="Lee", reason="the study is over")
    assert gates.permission(lake, CONSENT_CHECK, RECOMMENDATIONS, MAY.key) == ""


def test_an_override_of_another_check_or_asset_permits_nothing(
    lake: Lake, secrets: SecretStore, gates: CheckGates
) -> None:
    sign(lake, secrets, check="suitability_zero_violations")
    sign(lake, secrets, asset="serving/*")
    assert gates.permission(lake, CONSENT_CHECK, RECOMMENDATIONS, MAY.key) == ""
    assert gates.permission(lake, "no_such_check", RECOMMENDATIONS, MAY.key) == ""


def test_a_permission_without_the_key_that_it_was_signed_with_does_not_count(
    lake: Lake, secrets: SecretStore, settings: Settings, tmp_path: Path
) -> None:
    sign(lake, secrets)
    others = CheckGates(replace(Platform.of(settings), secrets=SecretStore(tmp_path / "other")))
    assert others.permission(lake, CONSENT_CHECK, RECOMMENDATIONS, MAY.key) == ""


def test_what_is_served_by_permission_fails_the_check_and_shows_as_overridden(
    lake: Lake, secrets: SecretStore, settings: Settings
) -> None:
    sign(lake, secrets)
    _, declared, _ = declare_checks(Platform.of(settings))
    leak = next(
        c for c in canaries.plain_canaries(settings) if c.label.startswith("a month without consents that offers s")
    )
    failed = leak.evaluate()
    overrides = Overrides.read(lake, secrets)
    permitted, elsewhere = (overrides.apply(declared, month, failed) for month in (MAY, JUNE))
    assert (permitted.passed, permitted.observed["overridden"]) == (True, True)
    assert "consents are unknown" in permitted.reason
    assert not elsewhere.passed
