"""Gates before training, building and publishing: they ask for the records of every blocking check upstream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

from finai_assets.platform import Platform
from finai_checks.catalogue import THEMES, declared_checks, kinds_of
from finai_checks.framework.check import Declared, Theme
from finai_checks.framework.overrides import Overrides
from finai_checks.framework.record import fits, has_passed, read_record, stored_record
from finai_checks.framework.run import EVIDENCE
from finai_resources.chained_log import ChainedLog, Head
from finai_resources.errors import GateError
from finai_resources.gates import CheckResult, State
from finai_resources.lake import Lake
from finai_resources.manifest import address
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

SHOWN = 5


def permission_of(lake: Lake, secrets: SecretStore | None, check: Declared, partition: str | None) -> str:
    """Return who permits until when that a check fails on a partition; empty where nobody does."""
    row = Overrides.read(lake, secrets).active(check, Month.parse(partition) if partition else None)
    return f"{row.approver} until {row.expires}: {row.reason}" if row else ""


class CheckGates:
    """Reads the records that checks left in the lake; see :class:`finai_resources.gates.Gates` and ``Evidence`` there."""

    def __init__(self, platform: Platform, themes: Sequence[Theme] = THEMES) -> None:
        self._secrets = platform.secrets
        self._declared = declared_checks(platform, themes)
        self._kinds = kinds_of(themes)
        self._blocking: dict[str, list[Declared]] = {}
        for check in self._declared:
            if check.blocking and not check.kind.audit:
                self._blocking.setdefault(check.asset, []).append(check)

    def demand(self, lake: Lake, partitions: Iterable[tuple[str, str | None]]) -> None:
        """Raise unless every blocking check of these partitions has passed on the content that they have now."""
        refused = [
            f"{check.id} {check.name} on {address(asset, partition)}: {_why(lake, check, partition)}"
            for asset, partition in partitions
            for check in self._blocking.get(asset, ())
            if check.months is None or partition in {month.key for month in check.months}
            if not has_passed(lake, check, partition)
        ]
        if refused:
            more = f"\n  ... and {len(refused) - SHOWN} more" if len(refused) > SHOWN else ""
            raise GateError(
                f"{len(refused)} blocking checks have not passed:\n  " + "\n  ".join(refused[:SHOWN]) + more,
                where="gates",
                fix="fix the data or settings that they name, then `finai recheck`, or run the upstream assets again",
            )

    def overridden(self, lake: Lake, check: str, partitions: Iterable[tuple[str, str | None]]) -> dict[str, str]:
        """Return the assets on which a check passes by an override that has not expired, with what the record says of it."""
        found = {}
        declared = {entry.asset: entry for entry in self._declared if entry.name == check}
        for asset, partition in partitions:
            if (entry := declared.get(asset)) is None:
                continue
            record = read_record(lake, entry, partition)
            if record and record.get("overridden_until") and has_passed(lake, entry, partition):
                found[asset] = str(record["reason"])
        return found

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
        found = lake.each(lambda each: _result(lake, *each), asked)
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
        return ChainedLog(lake, EVIDENCE).head()

    def faults(self, lake: Lake, anchor: Head | None = None) -> list[str]:
        """Return what is wrong with the evidence log, in words."""
        found = ChainedLog(lake, EVIDENCE).verify(anchor=anchor)
        return [f"entry {fault.sequence}: {fault.what}" for fault in found]


def _partitions(check: Declared, contents: Mapping[str, str]) -> list[tuple[str | None, str]]:
    """Return the partitions of a check among some contents, with the content of each."""
    if check.months is None:
        return [(None, contents[check.asset])] if check.asset in contents else []
    keys = [month.key for month in check.months if address(check.asset, month.key) in contents]
    return [(key, contents[address(check.asset, key)]) for key in keys]


def _result(lake: Lake, check: Declared, partition: str | None, content: str) -> CheckResult:
    where = address(check.asset, partition)

    def result(state: State, reason: str, record: Mapping[str, Any] | None = None) -> CheckResult:
        known = record or {}
        sequence = known.get("sequence")
        at = known.get("recorded_at") or ""
        return CheckResult(check.id, check.name, where, state, reason, at, -1 if sequence is None else sequence)

    record = stored_record(lake, check, partition)
    if record is None:
        return result("missing", "no result")
    if not fits(record, check, content):
        # An audit that was made before a change of its code is as good as one that was never made.
        return result(
            "missing" if check.kind.audit else "stale", "its last result is of another content or by other code"
        )
    if not _is_in_the_log(lake, check, where, record):
        return result("unproved", "the evidence log does not hold this result", record)
    if record["passed"] is not True:
        return result("failed", str(record["reason"]), record)
    until = record.get("overridden_until")
    if until is None:
        return result("passed", "", record)
    expired = datetime.now(UTC).date() > date.fromisoformat(until)
    return result("expired" if expired else "overridden", str(record["reason"]), record)


def _is_in_the_log(lake: Lake, check: Declared, where: str, record: Mapping[str, Any]) -> bool:
    """Return whether the evidence log tells of a record what the record says: a file alone is easily written by hand."""
    sequence = record.get("sequence")
    entry = ChainedLog(lake, EVIDENCE).entry(sequence) if isinstance(sequence, int) else None
    if entry is None:
        return False
    told = entry.record
    return (
        (told["name"], told["asset"], told["data_version"]) == (check.name, where, record["content_hash"])
        and told["passed"] == record["passed"]
        and entry.recorded_at == record["recorded_at"]
        and told["observed"].get("overridden_until") == record.get("overridden_until")
    )


def _why(lake: Lake, check: Declared, partition: str | None) -> str:
    record = read_record(lake, check, partition)
    if record is None:
        return "no result for what is stored now"
    return str(record["reason"]) if not record["passed"] else "its override has expired"
