"""Audits: checks that are too expensive for every run, and when one that was not made is missed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from finai_assets.settings.checks import AuditDue
from finai_checks.framework.check import Declared
from finai_checks.framework.ledger import Ledger
from finai_resources.manifest import address

AuditState = Literal["passed", "failed", "due", "overdue", "late"]


@dataclass(frozen=True, slots=True)
class AuditStanding:
    """How an audit stands on the present content of a partition.

    Parameters
    ----------
    state
        ``due``: not made, and not missed yet; ``overdue``: missed by the schedule, ``late``: beyond its days of grace.
    reason : str
        Why it failed, or since when it is missed.
    """

    state: AuditState
    reason: str = ""

    @property
    def closes(self) -> bool:
        """Whether the gates that a blocking audit guards are closed."""
        return self.state in {"failed", "late"}


def audit_standing(
    ledger: Ledger, check: Declared, partition: str | None, due: AuditDue | None, *, now: datetime | None = None
) -> AuditStanding:
    """Return how an audit stands, as of the ledger's last refresh.

    A recorded failure counts whatever the schedule. Without a schedule an audit that was not made is due, and closes nothing;
    with one it is overdue when its days have passed since the content was last audited, or was first checked at all.

    Parameters
    ----------
    due
        The schedule; None where there is none.
    """
    found = ledger.standing(check, partition)
    if found.state in {"failed", "expired"}:
        return AuditStanding("failed", found.reason)
    content = ledger.content(check.asset, partition)
    audited = str(found.record["recorded_at"]) if found.has_passed and found.record is not None else None
    since = audited or (ledger.evidence.since(address(check.asset, partition), content) if content else None)
    if due is not None and since is not None:
        end = datetime.fromisoformat(since) + timedelta(days=due.every_days)
        moment = now or datetime.now(UTC)
        if moment > end:
            grace = end + timedelta(days=due.grace_days)
            what = f"last audited on {since[:10]}" if audited else f"not audited since it was made, on {since[:10]}"
            told = f"{what}; due by {end.date()}, in grace until {grace.date()}"
            return AuditStanding("late" if moment > grace else "overdue", told)
    return AuditStanding("passed" if found.has_passed else "due")
