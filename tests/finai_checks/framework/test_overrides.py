"""An override lets a failure pass while it is signed, meant, and not expired; the finding stays."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.framework.check import NO_EVIDENCE, CheckContext, CheckKind, CheckOutcome, Declared
from finai_checks.framework.evidence_log import EVIDENCE
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.overrides import LOG, Grant, Override, Overrides, add_override, demand_key, revoke_override
from finai_checks.framework.run import run_check
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import ConfigError, SecretError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

TODAY, LAST = date(2026, 3, 1), date(2026, 3, 31)
MAY, JUNE = Month.parse("2015-05"), Month.parse("2015-06")
KIND = CheckKind("C17", "feature_drift_psi", "it holds", blocking=True, minimum=5, units="rows")
FAILED = CheckOutcome(False, "age drifts", 10, {"psi": 0.4})
GRANT = Grant(KIND.name, "features/*", (MAY,), "Kim, model risk", "a campaign moved ages in May", LAST)


def declared(asset: str = "features/demographics", outcome: CheckOutcome = FAILED, kind: CheckKind = KIND) -> Declared:
    def evaluate(_context: CheckContext, _asset: str) -> CheckOutcome:
        return outcome

    return Declared(kind, asset, evaluate, months=(MAY, JUNE))


@pytest.fixture
def context(lake: Lake, settings: Settings, secrets: SecretStore) -> CheckContext:
    return CheckContext(LakeSession(lake), Platform.of(settings, secrets), MAY)


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SecretStore:
    monkeypatch.setenv("FINAI_OVERRIDE_KEY", "ab" * 32)
    return SecretStore(tmp_path)


def applied(lake: Lake, secrets: SecretStore | None, today: date = TODAY, **more: Any) -> CheckOutcome:
    month = more.pop("month", MAY)
    return Overrides.read(lake, secrets, today=today).apply(declared(**more), month, more.get("outcome", FAILED))


def test_a_covered_failure_passes_and_keeps_what_was_found(lake: Lake, secrets: SecretStore) -> None:
    row = add_override(lake, secrets, GRANT, today=TODAY)
    outcome = applied(lake, secrets)
    assert outcome.passed
    assert outcome.observed == {
        "psi": 0.4,
        "overridden": True,
        "override": row.id,
        "override_approver": "Kim, model risk",
        "override_reason": "a campaign moved ages in May",
        "overridden_until": "2026-03-31",
    }
    assert "age drifts" in outcome.reason


def test_it_counts_on_its_last_day_and_not_on_the_next(lake: Lake, secrets: SecretStore) -> None:
    add_override(lake, secrets, GRANT, today=TODAY)
    assert applied(lake, secrets, LAST).passed
    late = applied(lake, secrets, date(2026, 4, 1))
    assert not late.passed
    assert "is expired" in late.reason


@pytest.mark.parametrize(
    "other",
    [
        {"month": JUNE},
        {"asset": "teacher/ple"},
        {"kind": replace(KIND, name="columns_vary")},
        {"outcome": CheckOutcome.no_evidence()},
        {"outcome": CheckOutcome(False, "the check itself failed: boom", 0, {"traceback": "..."})},
    ],
)
def test_it_covers_nothing_but_what_it_names_and_never_missing_evidence_or_an_exception(
    lake: Lake, secrets: SecretStore, other: dict[str, Any]
) -> None:
    add_override(lake, secrets, GRANT, today=TODAY)
    assert not applied(lake, secrets, **other).passed


def test_without_the_key_or_with_another_it_does_not_verify(
    lake: Lake, secrets: SecretStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_override(lake, secrets, GRANT, today=TODAY)
    assert not applied(lake, None).passed
    monkeypatch.setenv("FINAI_OVERRIDE_KEY", "cd" * 32)
    outcome = applied(lake, secrets)
    assert not outcome.passed
    assert "not verified" in outcome.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [("expires", "2027-03-31"), ("asset", "*"), ("months", []), ("approver", "Lee"), ("check", "gap_split")],
)
def test_a_row_that_was_edited_does_not_verify(lake: Lake, secrets: SecretStore, name: str, value: Any) -> None:
    row = add_override(lake, secrets, GRANT, today=TODAY)
    forged = {**row.as_dict(), name: value}
    assert row.verifies(secrets.key("override"))
    assert not Override.of(forged).verifies(secrets.key("override"))


def test_a_revoked_one_counts_no_longer(lake: Lake, secrets: SecretStore) -> None:
    row = add_override(lake, secrets, GRANT, today=TODAY)
    revoke_override(lake, secrets, row.id, approver="Lee", reason="the campaign is over")
    assert not applied(lake, secrets).passed
    assert [status.state for status in Overrides.read(lake, secrets, today=TODAY).rows] == ["revoked"]
    with pytest.raises(ConfigError, match="there is no override 'nothing'"):
        revoke_override(lake, secrets, "nothing", approver="Lee", reason="the campaign is over")


@pytest.mark.parametrize(
    "wrong",
    [{"approver": " "}, {"reason": "because"}, {"expires": date(2026, 2, 28)}, {"expires": date(2027, 3, 3)}],
)
def test_one_without_approver_or_reason_or_with_a_day_past_or_too_far_is_refused(
    lake: Lake, secrets: SecretStore, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError):
        add_override(lake, secrets, replace(GRANT, **wrong), today=TODAY)
    assert list(ChainedLog(lake, LOG).entries()) == []


def test_no_key_is_made_up_for_those_who_may_override(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FINAI_OVERRIDE_KEY", raising=False)
    with pytest.raises(SecretError, match="FINAI_OVERRIDE_KEY"):
        demand_key(SecretStore(tmp_path))
    assert not (tmp_path / "secrets.json").exists()


def test_the_record_of_an_overridden_pass_fails_the_gate_after_the_day_of_expiry(
    lake: Lake, secrets: SecretStore, context: CheckContext
) -> None:
    with lake.write("features/demographics", MAY.key) as out:
        out.put("x.json", b"{}")
    add_override(lake, secrets, GRANT, today=TODAY)
    check = declared()
    run_check(check, context, Overrides.read(lake, secrets, today=TODAY))
    assert Ledger(lake, secrets, today=LAST).has_passed(check, MAY.key)
    assert not Ledger(lake, secrets, today=date(2026, 4, 1)).has_passed(check, MAY.key)
    evidence = list(ChainedLog(lake, EVIDENCE).entries())[-1].record
    assert (evidence["passed"], evidence["overridden"]) == (True, True)
    assert "age drifts" in evidence["reason"]


def test_a_pass_without_an_override_does_not_expire(lake: Lake, secrets: SecretStore, context: CheckContext) -> None:
    with lake.write("features/demographics", MAY.key) as out:
        out.put("x.json", b"{}")
    check = declared(outcome=CheckOutcome(True, "", 10))
    run_check(check, context, Overrides.read(lake, secrets, today=TODAY))
    assert Ledger(lake, secrets, today=date(2099, 1, 1)).has_passed(check, MAY.key)
    assert json.dumps(list(ChainedLog(lake, EVIDENCE).entries())[-1].record["overridden"]) == "false"


def test_too_little_evidence_stays_a_failure_under_an_override(
    lake: Lake, secrets: SecretStore, context: CheckContext
) -> None:
    add_override(lake, secrets, GRANT, today=TODAY)
    check = declared(outcome=CheckOutcome(True, "", 4))
    outcome = run_check(check, context, Overrides.read(lake, secrets, today=TODAY))
    assert (outcome.passed, outcome.reason) == (False, NO_EVIDENCE)


def test_with_a_broken_chain_none_counts_and_the_reason_says_so(lake: Lake, secrets: SecretStore) -> None:
    add_override(lake, secrets, GRANT, today=TODAY)
    add_override(lake, secrets, replace(GRANT, reason="another campaign in May"), today=TODAY)
    assert applied(lake, secrets).passed
    first, *_ = sorted(path for path in (Path(str(lake.root)) / LOG).glob("0*.json"))
    first.unlink()
    outcome = applied(lake, secrets)
    assert not outcome.passed
    assert "no override counts: entry 0: the entry is gone" in outcome.reason


@pytest.mark.parametrize("field", ["signature", "reason", "approver"])
def test_half_a_surrogate_pair_in_a_row_does_not_verify_and_raises_nothing(field: str) -> None:
    key = b"0" * 32
    row = Override(KIND.name, "features/*", (), "Kim", "ages moved", TODAY, LAST).signed(key)
    assert row.verifies(key)
    assert not Override.of({**row.as_dict(), field: "\ud800"}).verifies(key)
