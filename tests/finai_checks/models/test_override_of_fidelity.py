"""A signed, unexpired override of C23 is what sends a task to layer 2, and only for the content that it was given for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from finai_assets.bundle.assets import FIDELITY_CHECK
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.catalogue import declared_checks, kind
from finai_checks.framework.check import CheckContext, CheckOutcome, Declared
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.overrides import Grant, Overrides, add_override, revoke_override
from finai_checks.framework.run import run_check
from finai_checks.gates import CheckGates
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import SecretStore
from tests.finai_checks.models.test_fidelity import ASSET, put, student

TODAY = datetime.now(UTC).date()
PARTITIONS = [(ASSET, None), ("students/next_mcc", None)]


@pytest.fixture
def platform(settings: Settings, secrets: SecretStore) -> Platform:
    return Platform.of(settings, secrets)


@pytest.fixture
def check(platform: Platform) -> Declared:
    return next(c for c in declared_checks(platform) if (c.name, c.asset) == (FIDELITY_CHECK, ASSET))


@pytest.fixture
def secrets(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path)


def judge(lake: Lake, platform: Platform, check: Declared, secrets: SecretStore) -> CheckOutcome:
    return run_check(check, CheckContext(LakeSession(lake), platform), Overrides.read(lake, secrets))


def sign(lake: Lake, secrets: SecretStore) -> str:
    reason, until = "a campaign needs the task this month", TODAY + timedelta(days=20)
    return add_override(lake, secrets, Grant(FIDELITY_CHECK, ASSET, (), "Kim, model risk", reason, until)).id


def test_the_bundle_asks_for_overrides_of_the_check_of_fidelity() -> None:
    assert kind(FIDELITY_CHECK).id == "C23"


def test_a_signed_override_is_told_with_its_signer_its_end_and_the_floor_that_is_missed(
    lake: Lake, settings: Settings, platform: Platform, check: Declared, secrets: SecretStore
) -> None:
    put(lake, student(settings.students.fidelity, kl=0.9))
    gates = CheckGates(platform)
    assert not judge(lake, platform, check, secrets).passed
    assert gates.overridden(lake, FIDELITY_CHECK, PARTITIONS) == {}
    identity = sign(lake, secrets)
    assert judge(lake, platform, check, secrets).passed
    (text,) = gates.overridden(lake, FIDELITY_CHECK, PARTITIONS).values()
    assert text == f"overridden by Kim, model risk until {TODAY + timedelta(days=20)}: kl 0.9 (floor 0.2)"
    assert gates.overridden(lake, "metric_floor", PARTITIONS) == {}
    revoke_override(lake, secrets, identity, approver="Kim, model risk", reason="the campaign is over")
    judge(lake, platform, check, secrets)
    assert gates.overridden(lake, FIDELITY_CHECK, PARTITIONS) == {}


def test_a_student_written_since_has_no_override(
    lake: Lake, settings: Settings, platform: Platform, check: Declared, secrets: SecretStore
) -> None:
    put(lake, student(settings.students.fidelity, kl=0.9))
    sign(lake, secrets)
    judge(lake, platform, check, secrets)
    put(lake, student(settings.students.fidelity, kl=0.95))
    assert CheckGates(platform).overridden(lake, FIDELITY_CHECK, PARTITIONS) == {}


def test_a_faithful_copy_and_an_override_that_has_expired_are_none(
    lake: Lake, settings: Settings, platform: Platform, check: Declared, secrets: SecretStore
) -> None:
    gates = CheckGates(platform)
    put(lake, student(settings.students.fidelity))
    assert judge(lake, platform, check, SecretStore(Path("/nowhere"))).passed
    assert gates.overridden(lake, FIDELITY_CHECK, PARTITIONS) == {}
    put(lake, student(settings.students.fidelity, kl=0.9))
    identity = sign(lake, secrets)
    assert judge(lake, platform, check, secrets).passed
    assert gates.overridden(lake, FIDELITY_CHECK, PARTITIONS)
    later = Ledger(lake, secrets, today=TODAY + timedelta(days=21))
    later.refresh()
    assert later.standing(check, None).reason == f"its override {identity} is expired"
