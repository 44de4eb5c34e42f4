"""Gates: whoever computes an asset asks here for the records of every blocking check of all that it is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finai_assets.platform import Platform
from finai_checks.catalogue import THEMES, declared_checks, kinds_of
from finai_checks.framework.audits import audit_standing
from finai_checks.framework.check import Declared, Theme
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.framework.ledger import Ledger, Standing
from finai_checks.framework.overrides import Overrides
from finai_checks.ways_out import ways_out
from finai_resources.chained_log import Head
from finai_resources.errors import GateError
from finai_resources.gates import CheckResult
from finai_resources.lake import Lake
from finai_resources.manifest import address
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

SHOWN = 5
_JUDGED = ("failed", "expired")  # states of a check that looked at the present content and found a fault


def permission_of(lake: Lake, secrets: SecretStore | None, check: Declared, partition: str | None) -> str:
    """Return who permits until when that a check fails on a partition; empty where nobody does."""
    row = Overrides.read(lake, secrets).active(check, Month.parse(partition) if partition else None)
    return f"{row.approver} until {row.expires}: {row.reason}" if row else ""


class CheckGates:
    """Reads the records that checks left in the lake; see :class:`finai_resources.gates.Gates` and ``Evidence`` there."""

    def __init__(self, platform: Platform, themes: Sequence[Theme] = THEMES) -> None:
        self._secrets, self._due = platform.secrets, platform.settings.checks.audits.due
        self._declared = declared_checks(platform, themes)
        self._kinds = kinds_of(themes)
        self._ledgers: dict[str, Ledger] = {}
        self._blocking: dict[str, list[Declared]] = {}
        for check in self._declared:
            if check.blocking:
                self._blocking.setdefault(check.asset, []).append(check)

    def ledger(self, lake: Lake) -> Ledger:
        """Return the ledger of a lake, up to date; it remembers the records that it has read, for as long as the gates live."""
        found = self._ledgers.setdefault(lake.root, Ledger(lake, self._secrets))
        found.refresh()
        return found

    def demand(self, lake: Lake, partitions: Iterable[tuple[str, str | None]]) -> None:
        """Raise unless every blocking check of these partitions has passed on the content that they have now."""
        ledger = self.ledger(lake)
        refused: list[str] = []
        failed: list[str] = []  # the others need to be run and not to be mended
        for asset, partition in partitions:
            blocking = [check for check in self._blocking.get(asset, ()) if partition in check.month_keys]
            content = ledger.content(asset, partition) if blocking else None
            for check in blocking:
                state, why = self._closed(ledger, check, partition, content)
                if why:
                    refused.append(f"{check.id} {check.name} on {address(asset, partition)}: {why}")
                    failed += [check.name] if state in _JUDGED else []
        if refused:
            more = f"\n  ... and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
            raise GateError(
                f"{len(refused)} blocking checks have not passed:\n  " + "\n  ".join(refused[:SHOWN]) + more,
                where="gates",
                fix=ways_out(
                    list(dict.fromkeys(failed))[:SHOWN],
                    "`finai recheck` (an audit: `finai recheck --audit`), or run the upstream assets again",
                ),
            )

    def _closed(self, ledger: Ledger, check: Declared, partition: str | None, content: str | None) -> tuple[str, str]:
        """Return the state of a check that closes the gate, and why; both empty where it does not."""
        if check.kind.audit:
            audit = audit_standing(ledger, check, partition, self._due)
            return (audit.state, audit.reason or "the audit failed") if audit.closes else ("", "")
        found = ledger.standing(check, partition, content)
        return ("", "") if found.has_passed else (found.state, found.reason or found.state)

    def overridden(self, lake: Lake, check: str, partitions: Iterable[tuple[str, str | None]]) -> dict[str, str]:
        """Return the assets on which a check passes by an override that still counts, with what the record says of it."""
        ledger, declared = self.ledger(lake), {entry.asset: entry for entry in self._declared if entry.name == check}
        found = {
            asset: ledger.standing(declared[asset], partition) for asset, partition in partitions if asset in declared
        }
        return {asset: standing.reason for asset, standing in found.items() if standing.state == "overridden"}

    def permission(self, lake: Lake, check: str, asset: str, partition: str | None) -> str:
        """Return who permits until when that a check fails on a partition; empty where nobody does."""
        declared = next((entry for entry in self._declared if (entry.name, entry.asset) == (check, asset)), None)
        if declared is None:
            return ""
        return permission_of(lake, self._secrets, declared, partition)

    def results(
        self, lake: Lake, contents: Mapping[str, str], mandatory: Sequence[str]
    ) -> tuple[list[CheckResult], list[str]]:
        """Return the results of mandatory checks on contents, and the mandatory ones that do not exist."""
        awaited = [name for name in mandatory if not any(name in (kind.id, kind.name) for kind in self._kinds)]
        asked = [
            (check, partition, content)
            for check in self._declared
            if check.name in mandatory or (check.id in mandatory and check.kind.blocking)
            for partition, content in _partitions(check, contents)
        ]
        ledger = self.ledger(lake)
        found = lake.each(lambda each: _result(each[0], each[1], ledger.standing(*each)), asked)
        counted = [
            result
            for result, (check, _, _) in zip(found, asked, strict=True)
            if result.state != "missing" or check.name in mandatory or not check.kind.audit
        ]
        seen = {name for result in counted for name in (result.check, result.name)}
        nowhere = [name for name in mandatory if name not in seen and name not in awaited]
        what = "it sits on nothing that the bundle is made from"
        return [*counted, *(CheckResult(name, name, "", "missing", what) for name in nowhere)], awaited

    def head(self, lake: Lake) -> Head:
        """Return the head of the evidence log."""
        return evidence_log(lake, self._secrets).head()

    def faults(self, lake: Lake, anchor: Head | None = None) -> list[str]:
        """Return what is wrong with the evidence log, in words."""
        found = evidence_log(lake, self._secrets).verify(anchor=anchor)
        return [f"entry {fault.sequence}: {fault.what}" for fault in found]


def _partitions(check: Declared, contents: Mapping[str, str]) -> list[tuple[str | None, str]]:
    """Return the partitions of a check among some contents, with the content of each."""
    if check.months is None:
        return [(None, contents[check.asset])] if check.asset in contents else []
    keys = [month.key for month in check.months if address(check.asset, month.key) in contents]
    return [(key, contents[address(check.asset, key)]) for key in keys]


def _result(check: Declared, partition: str | None, found: Standing) -> CheckResult:
    known: Mapping[str, Any] = found.record or {}
    return CheckResult(
        check.id,
        check.name,
        address(check.asset, partition),
        found.state,
        found.reason,
        str(known.get("recorded_at", "")),
        int(known.get("sequence", -1)),
    )
