"""What the evidence log says last of each check on each partition, read once and kept up to date as the log grows."""

from __future__ import annotations

from dataclasses import dataclass

from finai_checks.framework.evidence_log import EVIDENCE
from finai_resources.chained_log import ChainedLog
from finai_resources.lake import Lake


@dataclass(frozen=True, slots=True)
class Told:
    """What one entry says of a check on a partition.

    Parameters
    ----------
    sequence : int
    digest : str
        Hash of the entry's bytes.
    content : str or None
        Content hash of the partition then.
    passed : bool
    reason : str
    """

    sequence: int
    digest: str
    content: str | None
    passed: bool
    reason: str


class EvidenceIndex:
    """The last entry of each check on each partition, and since when each content is known.

    The whole log is read once (60 microseconds an entry on a disk); after that, what was appended. Entries that are gone or
    damaged tell nothing.
    """

    def __init__(self, lake: Lake) -> None:
        self._log = ChainedLog(lake, EVIDENCE)
        self._count = 0
        self._last: dict[tuple[str, str], Told] = {}
        self._failed: dict[tuple[str, str, str | None], Told] = {}
        self._since: dict[tuple[str, str | None], str] = {}

    def refresh(self) -> None:
        """Read what was appended since."""
        for found in self._log.stored(self._count):
            self._count += 1
            if found is None:
                continue
            digest, entry = found
            record = entry.record
            name, address, content = str(record.get("name")), str(record.get("asset")), record.get("data_version")
            reason, passed = str(record.get("reason")), record.get("passed") is True
            told = Told(entry.sequence, digest, content, passed, reason)
            self._last[name, address] = told
            if not passed:
                self._failed[name, address, content] = told
            self._since.setdefault((address, content), entry.recorded_at)

    def last(self, check: str, address: str) -> Told | None:
        """Return what the log says last of a check on a partition, of whatever content."""
        return self._last.get((check, address))

    def failure(self, check: str, address: str, content: str) -> Told | None:
        """Return the last failure of a check on a content of a partition."""
        return self._failed.get((check, address, content))

    def since(self, address: str, content: str) -> str | None:
        """Return when the log first told of a content, ISO; None where it never did."""
        return self._since.get((address, content))
