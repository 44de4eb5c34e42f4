"""The ledger: what the records of a lake say of a check on a partition now, as gates, plans and promotions ask it.

A record counts if it is signed, if it is of the content that is stored now, by the code and the thresholds that the check has
now, if the evidence log holds the entry that it names, and no later one of the same check on the same partition, and if the
override that it rests on still counts. Whatever else lies there is no record, and no record is no pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from finai_checks.framework.check import Declared
from finai_checks.framework.evidence_index import EvidenceIndex
from finai_checks.framework.overrides import Overrides
from finai_checks.framework.record import KEY, Record, parse, record_path
from finai_resources import objects
from finai_resources.gates import State
from finai_resources.lake import Lake
from finai_resources.manifest import MANIFEST, address
from finai_resources.months import Month
from finai_resources.objects import Remembered
from finai_resources.secrets import SecretStore

OPEN = ("passed", "overridden")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the ledger says of one check on one partition.

    Parameters
    ----------
    state : State
    reason : str
        Why it has not passed, or who overrode it until when; empty where it passed.
    record : dict or None
        The signed record, where there is one, of whatever content and code.
    """

    state: State
    reason: str = ""
    record: Record | None = None

    @property
    def has_passed(self) -> bool:
        """Whether the check has passed, by its figures or by an override that counts."""
        return self.state in OPEN


class Ledger:
    """The records of one lake, each read and verified once for each state of its file.

    Parameters
    ----------
    lake : Lake
    secrets : SecretStore or None
        Where the keys of records and of overrides lie; without them no record counts.
    today : date, optional
        The day on which overrides are judged; by default that of the clock.
    """

    def __init__(self, lake: Lake, secrets: SecretStore | None, *, today: date | None = None) -> None:
        self.lake, self.evidence = lake, EvidenceIndex(lake)
        self._secrets, self._today = secrets, today
        self._records: Remembered[tuple[Record | None, str]] = Remembered(lake)
        self._contents: Remembered[str | None] = Remembered(lake)
        self._overrides: Overrides | None = None
        self.disbelieved: set[str] = set()

    def refresh(self) -> None:
        """Read what was added to the logs since: once before several questions that one decision rests on."""
        self.evidence.refresh()
        self._overrides = None

    def content(self, asset: str, partition: str | None) -> str | None:
        """Return the content hash of a partition as it is stored now; None where it is not."""
        found = f"{self.lake.folder(asset, partition)}/{MANIFEST}"
        return self._contents.get(found, lambda: self._read_content(asset, partition))

    def _read_content(self, asset: str, partition: str | None) -> str | None:
        manifest = self.lake.find(asset, partition)
        return manifest.content_hash if manifest else None

    def has_passed(self, check: Declared, partition: str | None) -> bool:
        """Return whether the check passed for the content that the partition has now; no record is no pass."""
        self.refresh()
        return self.standing(check, partition).has_passed

    def find(self, check: Declared, partition: str | None) -> Record | None:
        """Return the record of a check for the content that the partition has now, passed or not; None where there is none."""
        self.refresh()
        found = self.standing(check, partition)
        return found.record if found.state in {*OPEN, "failed", "expired"} else None

    def standing(self, check: Declared, partition: str | None, content: str | None = None) -> Standing:
        """Return what the records say, as of the last :meth:`refresh`.

        Parameters
        ----------
        content
            Of which the record must be; by default the present one.
        """
        if content is None:
            content = self.content(check.asset, partition)
        if content is None:
            return Standing("missing", "it is not stored")
        found = self._standing(check, partition, content)
        return self._failed_before(check, partition, content, found) if check.kind.audit else found

    def _standing(self, check: Declared, partition: str | None, content: str) -> Standing:
        path = record_path(self.lake, check.name, check.asset, partition)
        record, wrong = self._records.get(path, lambda: self._read(path))
        if record is None:
            return Standing("unproved" if wrong else "missing", wrong or "no result for what is stored now")
        if (record["check"], record["asset"], record["partition"]) != (check.name, check.asset, partition):
            wrong = "its record was made for another check or another partition"
        else:
            wrong = self._not_in_the_log(check, partition, record)
        if wrong:
            self.disbelieved.add(path)
            return Standing("unproved", wrong, record)
        if record["content_hash"] != content:
            return Standing("stale", "no result for what is stored now", record)
        if record["basis"] != check.basis:
            return Standing("stale", "its last result is by another code or another threshold", record)
        if record["passed"] is not True:
            return Standing("failed", str(record["reason"]), record)
        return self._overridden(check, partition, record) if record["override"] else Standing("passed", "", record)

    def _read(self, path: str) -> tuple[Record | None, str]:
        key = self._secrets.find(KEY) if self._secrets else None
        record, wrong = parse(objects.get(self.lake, path), key)
        if wrong:
            self.disbelieved.add(path)
        return record, wrong

    def _not_in_the_log(self, check: Declared, partition: str | None, record: Record) -> str:
        last = self.evidence.last(check.name, address(check.asset, partition))
        if last is None or record["sequence"] > last.sequence:
            return "the evidence log does not hold its record's entry"
        if record["sequence"] < last.sequence:
            return f"the evidence log holds a later result of it, entry {last.sequence}"
        return "" if record["entry"] == last.digest else "the evidence log's entry is not the one that its record names"

    def _overridden(self, check: Declared, partition: str | None, record: Record) -> Standing:
        if self._overrides is None:
            self._overrides = Overrides.read(self.lake, self._secrets, today=self._today)
        month = Month.parse(partition) if partition else None
        ended = self._overrides.why_not(str(record["override"]), check, month)
        return Standing("expired", ended, record) if ended else Standing("overridden", str(record["reason"]), record)

    def _failed_before(self, check: Declared, partition: str | None, content: str, found: Standing) -> Standing:
        """Return how an audit stands: what it found wrong stays wrong until it is asked again.

        An audit that was never made closes no gate, so a failure must not go by losing its record, or by an edit of a threshold.
        """
        if found.state in {*OPEN, "failed", "expired"}:
            return found
        failure = self.evidence.failure(check.name, address(check.asset, partition), content)
        later = found.record if found.record is not None and found.state == "stale" else None
        if failure is None or (later is not None and later["content_hash"] == content and later["passed"] is True):
            return Standing("missing", found.reason, found.record)
        return Standing("failed", failure.reason, found.record)
