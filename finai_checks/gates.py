"""Gates before training, building and publishing: they ask for the records of every blocking check upstream."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from finai_assets.platform import Platform
from finai_checks.catalogue import THEMES, declared_checks
from finai_checks.framework.check import Declared, Theme
from finai_checks.framework.record import has_passed, read_record
from finai_resources.errors import GateError
from finai_resources.lake import Lake
from finai_resources.manifest import address

SHOWN = 5


class CheckGates:
    """Reads the records that checks left in the lake; see :class:`finai_resources.gates.Gates`."""

    def __init__(self, platform: Platform, themes: Sequence[Theme] = THEMES) -> None:
        self._blocking: dict[str, list[Declared]] = {}
        for check in declared_checks(platform, themes):
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
        for asset, partition in partitions:
            for declared in (entry for entry in self._blocking.get(asset, ()) if entry.name == check):
                record = read_record(lake, declared, partition)
                if record and record.get("overridden_until") and has_passed(lake, declared, partition):
                    found[asset] = str(record["reason"])
        return found


def _why(lake: Lake, check: Declared, partition: str | None) -> str:
    record = read_record(lake, check, partition)
    if record is None:
        return "no result for what is stored now"
    return str(record["reason"]) if not record["passed"] else "its override has expired"
