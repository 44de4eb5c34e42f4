"""An audit that failed closes its gates, and one that is missed closes them after the days of grace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from finai_assets.asset_graph import COLUMNS
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.checks import AuditDue
from finai_checks.framework.audits import audit_standing
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared, Theme, declare
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.record import record_path
from finai_checks.framework.run import run_check
from finai_checks.gates import CheckGates
from finai_cli.summary import check_verdicts
from finai_resources.errors import GateError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.secrets import SecretStore

AUDIT = CheckKind("C98", "an_audit", "it refits", blocking=True, minimum=1, units="parameters", audit=True)
BESIDE = CheckKind("C97", "of_every_run", "it holds", blocking=False, minimum=1, units="rows")
FOUND = {"passes": True}
DUE = AuditDue(every_days=30, grace_days=7)


def evaluate(_context: CheckContext, _asset: str) -> CheckOutcome:
    return CheckOutcome(FOUND["passes"], "" if FOUND["passes"] else "the refit differs", 5)


THEME = Theme(
    (AUDIT, BESIDE),
    lambda platform: [declare(kind, COLUMNS, evaluate, platform.settings) for kind in (AUDIT, BESIDE)],
    __name__,
)


class Audited:
    """A lake with one asset, its audit, and its gates."""

    def __init__(self, lake: Lake, settings: Settings, secrets: SecretStore) -> None:
        self.lake, self.platform = lake, Platform.of(settings, secrets)
        self.audit, self.beside = THEME.declare(self.platform)
        self.write(b"one")

    def write(self, content: bytes) -> None:
        with self.lake.write(COLUMNS) as out:
            out.put("columns.json", content)

    def run(self, check: Declared, *, passes: bool = True) -> None:
        FOUND["passes"] = passes
        run_check(check, CheckContext(LakeSession(self.lake), self.platform))

    def state(self, due: AuditDue | None = None, *, days: int = 0) -> str:
        ledger = Ledger(self.lake, self.platform.secrets)
        ledger.refresh()
        now = datetime.now(UTC) + timedelta(days=days)
        return audit_standing(ledger, self.audit, None, due, now=now).state

    def demand(self) -> None:
        CheckGates(self.platform, (THEME,)).demand(self.lake, [(COLUMNS, None)])


@pytest.fixture
def audited(lake: Lake, settings: Settings, secrets: SecretStore) -> Audited:
    return Audited(lake, settings, secrets)


def test_one_that_never_ran_closes_nothing_and_one_that_failed_closes_the_gate(audited: Audited) -> None:
    audited.demand()
    audited.run(audited.audit, passes=False)
    with pytest.raises(GateError, match="C98 an_audit on students/columns: the refit differs"):
        audited.demand()
    audited.run(audited.audit)
    audited.demand()


def test_a_failure_stays_when_its_record_is_removed_or_its_threshold_is_edited(audited: Audited) -> None:
    audited.run(audited.audit, passes=False)
    path = Path(record_path(audited.lake, AUDIT.name, COLUMNS, None))
    record = path.read_bytes()
    path.unlink()
    assert audited.state() == "failed"
    path.write_bytes(record.replace(b'"passed": false', b'"passed": true'))
    assert audited.state() == "failed"
    path.write_bytes(record)
    audited.audit = Declared(AUDIT, COLUMNS, alone=evaluate, thresholds={"limit": 9.0})
    assert audited.state() == "failed"
    audited.run(audited.audit)
    assert audited.state() == "passed"


def test_a_failure_is_one_of_its_content_alone(audited: Audited) -> None:
    audited.run(audited.audit, passes=False)
    audited.write(b"another")
    assert audited.state() == "due"
    audited.write(b"one")
    assert audited.state() == "failed"


def test_with_a_schedule_a_missed_one_is_told_and_closes_after_the_days_of_grace(audited: Audited) -> None:
    assert audited.state(DUE, days=99) == "due"  # nobody knows since when the content is there
    audited.run(audited.beside)
    assert [audited.state(DUE, days=days) for days in (0, 31, 36, 38)] == ["due", "overdue", "overdue", "late"]
    assert audited.state(None, days=99) == "due"
    audited.run(audited.audit)
    assert [audited.state(DUE, days=days) for days in (0, 31, 38)] == ["passed", "overdue", "late"]


def test_the_gates_know_the_schedule_and_the_summary_names_what_failed(
    audited: Audited, monkeypatch: pytest.MonkeyPatch
) -> None:
    due = {"checks": {"audits": {"due": {"every_days": 30, "grace_days": 7}}}}
    audited.platform = Platform.of(load_settings("synthetic", "smoke", overrides=due), audited.platform.secrets)
    audited.run(audited.beside)
    audited.demand()
    ledger = Ledger(audited.lake, audited.platform.secrets)
    monkeypatch.setattr(ledger.evidence, "since", lambda *_: "2020-01-01T00:00:00+00:00")
    told = check_verdicts(ledger, [audited.audit], audited.platform)
    assert (told["audits_due"], told["audits_closing"]) == (1, ["C98 an_audit on students/columns"])
    assert "not audited since it was made, on 2020-01-01" in told["audits_overdue"][0]
    gates = CheckGates(audited.platform, (THEME,))
    monkeypatch.setattr(gates.ledger(audited.lake).evidence, "since", lambda *_: "2020-01-01T00:00:00+00:00")
    with pytest.raises(GateError, match="in grace until 2020-02-07"):
        gates.demand(audited.lake, [(COLUMNS, None)])
    audited.run(audited.audit, passes=False)
    told = check_verdicts(ledger, [audited.audit], audited.platform)
    assert told["audits_failed"] == ["C98 an_audit on students/columns: the refit differs"]
    assert (told["failed"], told["audits_closing"]) == (1, ["C98 an_audit on students/columns"])
