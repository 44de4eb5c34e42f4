"""Overrides: a person who holds the key lets a failed check pass until a day, by a signed row that is kept for ever.

Rows are appended to the hash-chained log ``overrides`` in the lake. A row names the check, the asset (a shell pattern), the
months or all, who approved it, why, and until when. It counts if its signature verifies, its day of expiry has not passed, and
no later row revokes it. Missing evidence, and a check that raised an error, cannot be overridden: nobody knows what would be
allowed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from fnmatch import fnmatch
from typing import Any

from finai_checks.framework.check import NO_EVIDENCE, CheckOutcome, Declared
from finai_resources.anchors import Anchors
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import ConfigError, SecretError
from finai_resources.json_text import to_json
from finai_resources.lake import Lake
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

LOG = "overrides"
KEY = "override"
LONGEST_DAYS = 366
SHORTEST_REASON = 10  # characters


@dataclass(frozen=True, slots=True)
class Override:
    """A signed permission.

    Parameters
    ----------
    check : str
        Name of a kind of check.
    asset : str
        Shell pattern of asset paths.
    months : tuple of str
        ``2016-05``; empty for all months, and for assets without months.
    approver, reason : str
    expires : date
        The last day on which it counts.
    revokes : str
        Id of the override that this row ends; such a row permits nothing.
    signature : str
        HMAC-SHA256 of all the rest under the key ``FINAI_OVERRIDE_KEY``.
    """

    check: str
    asset: str
    months: tuple[str, ...]
    approver: str
    reason: str
    created: date
    expires: date
    revokes: str = ""
    signature: str = ""

    @property
    def id(self) -> str:
        """Return the id of the row: the first digits of its signature."""
        return self.signature[:12]

    def signed(self, key: bytes) -> Override:
        """Return the row with its signature."""
        return replace(self, signature=self._digest(key))

    def verifies(self, key: bytes) -> bool:
        """Return whether the signature fits the row."""
        try:
            return hmac.compare_digest(self.signature.encode(), self._digest(key).encode())
        except UnicodeEncodeError:  # half a surrogate pair, in whichever field, is no text: nobody has signed it
            return False

    def covers(self, check: Declared, month: Month | None) -> bool:
        """Return whether the row applies to a check in a month."""
        within = not self.months or (month is not None and month.key in self.months)
        return not self.revokes and self.check == check.name and fnmatch(check.asset, self.asset) and within

    def as_dict(self) -> dict[str, Any]:
        """Return it for the log."""
        values = asdict(self)
        return {**values, "months": list(self.months), "created": str(self.created), "expires": str(self.expires)}

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Override:
        """Read what :meth:`as_dict` wrote."""
        return cls(
            check=row["check"],
            asset=row["asset"],
            months=tuple(row["months"]),
            approver=row["approver"],
            reason=row["reason"],
            created=date.fromisoformat(row["created"]),
            expires=date.fromisoformat(row["expires"]),
            revokes=row["revokes"],
            signature=row["signature"],
        )

    def _digest(self, key: bytes) -> str:
        content = {**self.as_dict(), "signature": ""}
        text = to_json(content, sort_keys=True)
        return hmac.new(key, text, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class OverrideStatus:
    """An override and its state today: ``active``, ``expired``, ``revoked`` or ``not verified``."""

    override: Override
    state: str


@dataclass(frozen=True)
class Overrides:
    """The overrides of a lake as they stand on a day.

    Parameters
    ----------
    rows : tuple of OverrideStatus
        In the order in which they were written.
    fault : str
        What is wrong with the log's chain; then there are no rows, and nothing is overridden.
    keyed : bool
        Whether the key was at hand that rows are verified with.
    ended : frozenset of str
        Ids that some row revokes, whether that row verifies or not.
    day : date
        The day as of which they stand.
    """

    rows: tuple[OverrideStatus, ...] = field(default=())
    fault: str = ""
    keyed: bool = False
    ended: frozenset[str] = frozenset()
    day: date = date.max

    @classmethod
    def read(cls, lake: Lake, secrets: SecretStore | None, *, today: date | None = None) -> Overrides:
        """Read the log; without the key no row verifies."""
        key = secrets.find(KEY) if secrets else None
        day = today or datetime.now(UTC).date()
        log = overrides_log(lake)
        if faults := log.verify():  # a dropped revocation would bring an override back: then none counts
            return cls(fault=f"entry {faults[0].sequence}: {faults[0].what}")
        written = [Override.of(entry.record) for entry in log.entries()]
        verified = [row for row in written if key is not None and row.verifies(key)]
        revoked = {row.revokes for row in verified if row.revokes}

        def state(row: Override) -> str:
            if row not in verified:
                return "not verified"
            if row.id in revoked:
                return "revoked"
            return "active" if day <= row.expires else "expired"

        rows = tuple(OverrideStatus(row, state(row)) for row in written if not row.revokes)
        ended = frozenset(row.revokes for row in written if row.revokes)
        return cls(rows, keyed=key is not None, ended=ended, day=day)

    def active(self, check: Declared, month: Month | None) -> Override | None:
        """Return the override that covers a check in a month and counts today, the longest if there are several."""
        found = [row.override for row in self.rows if row.state == "active" and row.override.covers(check, month)]
        return max(found, key=lambda override: override.expires, default=None)

    def why_not(self, identity: str, check: Declared, month: Month | None) -> str:
        """Return why an override that a signed record names no longer counts for a check in a month; empty where it does.

        Where the key is not at hand, the record vouches that the row verified when it was applied; then the row must still be in
        the log, and a row that revokes it counts whoever wrote it.
        """
        if self.fault:
            return f"no override counts: {self.fault}"
        found = next((row for row in self.rows if row.override.id == identity), None)
        if found is None:
            return f"its override {identity} is not in the log"
        if not found.override.covers(check, month):
            return f"its override {identity} is one of something else"
        if self.keyed:
            return "" if found.state == "active" else f"its override {identity} is {found.state}"
        if identity in self.ended:
            return f"its override {identity} is revoked"
        return "" if self.day <= found.override.expires else f"its override {identity} has expired"

    def apply(self, check: Declared, month: Month | None, outcome: CheckOutcome) -> CheckOutcome:
        """Return the outcome, passed where an active override covers its failure; the figures that failed stay in it.

        The reason names an override that would cover the failure but is expired, revoked or not verified.
        """
        if outcome.passed or outcome.reason == NO_EVIDENCE or "traceback" in outcome.observed:
            return outcome
        if self.fault:
            return replace(outcome, reason=f"{outcome.reason} (no override counts: {self.fault})")
        row = self.active(check, month)
        if row is None:
            covering = [status for status in self.rows if status.override.covers(check, month)]
            inactive = "".join(f" (override {s.override.id} is {s.state})" for s in covering)
            return replace(outcome, reason=outcome.reason + inactive)
        observed = {
            **outcome.observed,
            "overridden": True,
            "override": row.id,
            "override_approver": row.approver,
            "override_reason": row.reason,
            "overridden_until": str(row.expires),
        }
        reason = f"overridden by {row.approver} until {row.expires}: {outcome.reason}"
        return replace(outcome, passed=True, reason=reason, observed=observed)


@dataclass(frozen=True, slots=True)
class Grant:
    """An override before it is signed; the fields are those of :class:`Override`."""

    check: str
    asset: str
    months: tuple[Month, ...]
    approver: str
    reason: str
    expires: date


def add_override(lake: Lake, secrets: SecretStore, grant: Grant, *, today: date | None = None) -> Override:
    """Sign an override and append it to the log.

    Raises
    ------
    ConfigError
        The approver or the reason is empty, or the day of expiry has passed or is over a year away.
    """
    day = today or datetime.now(UTC).date()
    approver, reason = grant.approver.strip(), grant.reason.strip()
    if not approver or len(reason) < SHORTEST_REASON:
        raise ConfigError(
            "an override names its approver, and a reason in words",
            where="override",
            fix="give --approver and --reason",
        )
    if not 0 <= (grant.expires - day).days <= LONGEST_DAYS:
        raise ConfigError(
            f"{grant.expires} does not lie within the next {LONGEST_DAYS} days",
            where="--expires",
            fix="choose an earlier day, and renew the override then",
        )
    months = tuple(sorted(month.key for month in grant.months))
    row = Override(grant.check, grant.asset, months, approver, reason, day, grant.expires).signed(secrets.key(KEY))
    overrides_log(lake).append(row.as_dict())
    return row


def revoke_override(lake: Lake, secrets: SecretStore, identity: str, *, approver: str, reason: str) -> Override:
    """Append a signed row that ends an override.

    Raises
    ------
    ConfigError
        No override that verifies has this id.
    """
    rows = Overrides.read(lake, secrets).rows
    if identity not in {s.override.id for s in rows if s.state != "not verified"}:
        known = ", ".join(s.override.id for s in rows) or "there is none"
        raise ConfigError(f"there is no override {identity!r}", where="override", fix=f"choose from: {known}")
    old = next(s.override for s in rows if s.override.id == identity)
    day = datetime.now(UTC).date()
    row = Override(old.check, old.asset, old.months, approver, reason, day, day, identity).signed(secrets.key(KEY))
    overrides_log(lake).append(row.as_dict())
    return row


def demand_key(secrets: SecretStore) -> None:
    """Raise an error where the key of those who may override is not at hand.

    Raises
    ------
    SecretError
        The key is not at hand. It is never generated: the approver must hold it.
    """
    if secrets.find(KEY) is None:
        raise SecretError(
            "the key that overrides are signed with is not at hand",
            where="FINAI_OVERRIDE_KEY",
            fix="set it to `openssl rand -hex 32`, and give it to those who may override a check",
        )


def overrides_log(lake: Lake) -> ChainedLog:
    """Return the log of overrides; its rows are signed, and every one is anchored, so that none can be dropped."""
    return ChainedLog(lake, LOG, anchors=Anchors.of(lake))
