"""An append-only log in the lake whose entries are chained by hash, so that a changed, dropped or moved entry is found.

Each entry is a file of its own, ``<folder>/<sequence>.json``, that holds the hash of the file before it. A writer claims the
next number by creating its file, whole, if nobody has: a link on a disk, a conditional put in S3. So writers may run side by
side, and a killed one leaves either a whole entry or none. ``head.json`` says how many entries there are at least, so that a
cut-off tail is found too. An entry is sealed by a MAC under a key of the installation, where the log is given one, so that who
may write files alone can append nothing; heads are kept outside the lake as anchors (:mod:`finai_resources.anchors`), where it is
given a place, so that a log that was cut off, emptied or written anew is found.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from finai_resources import objects
from finai_resources.anchors import Anchors
from finai_resources.errors import LakeError
from finai_resources.json_text import to_json
from finai_resources.lake import Lake

GENESIS = "0" * 64
HEAD = "head.json"
DIGITS = 9
_AT_ONCE = 256  # entries


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored entry: its number from 0 on, the hash of the entry before, its time, its record, and its seal.

    ``key_id`` and ``mac`` are empty where the log has no key.
    """

    sequence: int
    previous: str
    recorded_at: str
    record: dict[str, Any]
    key_id: str = ""
    mac: str = ""

    @property
    def digest(self) -> str:
        """Return the hash of the entry as it is stored, which the next entry holds."""
        return hashlib.sha256(_encode(_fields(self))).hexdigest()


@dataclass(frozen=True, slots=True)
class Head:
    """The number of entries, and the hash of the last one."""

    count: int
    digest: str


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of the log: the number of the entry, and what is wrong, in words."""

    sequence: int
    what: str


class ChainedLog:
    """A log in a folder of the lake.

    Parameters
    ----------
    lake
        The lake that holds it.
    name
        Its folder, such as ``evidence``.
    key
        Seals what is appended, and verifies the seals.
    anchors
        Where heads are kept outside the lake.
    anchor_every
        Entries between two anchors.
    """

    def __init__(
        self, lake: Lake, name: str, *, key: bytes | None = None, anchors: Anchors | None = None, anchor_every: int = 1
    ) -> None:
        self.lake, self.name, self.folder = lake, name, f"{lake.root}/{name}"
        self.anchors, self._key, self._anchor_every = anchors, key, anchor_every
        self._last = Head(0, GENESIS)

    def append(self, record: Mapping[str, Any]) -> Entry:
        """Write a record as the next entry, and return it once it is stored."""
        return self.append_all([record])[0]

    def append_all(self, records: Iterable[Mapping[str, Any]]) -> list[Entry]:
        """Write records as the next entries, one by one; entries of another writer may stand between them.

        The head is written once, after the last entry.
        """
        written = [self._append(record) for record in records]
        if written:
            self._put_head(written[0].sequence)
        return written

    def append_after(self, head: Head, record: Mapping[str, Any]) -> Entry | None:
        """Write a record as the entry that follows a head, or nothing where another entry follows it already.

        So a decision that was made on what the log said at that head takes effect only if the log still says so: of several
        writers that decided on the same head, one gets its entry and the others get None.
        """
        entry = self._write(head, record)
        if entry is not None:
            self._put_head(entry.sequence)
        return entry

    def anchor(self) -> None:
        """Keep the present head outside the lake, where there is a place for it and an entry."""
        head = self._advance()
        if self.anchors is not None and head.count:
            self.anchors.write(self.name, head.count, head.digest)

    def _put_head(self, first: int) -> None:
        """Write the head after an append whose first entry has this number, and keep it outside where one is due.

        Of several writers the slower one may write an older head over a newer. Whoever has written one therefore looks for a
        further entry, and writes again where there is one.
        """
        head = None
        while head != self._advance():
            head = self._last
            objects.put(self.lake, f"{self.folder}/{HEAD}", _encode(asdict(head)))
        if self._last.count // self._anchor_every > first // self._anchor_every:
            self.anchor()

    def _append(self, record: Mapping[str, Any]) -> Entry:
        while True:
            entry = self._write(self._advance(), record)
            if entry is not None:
                return entry

    def _write(self, head: Head, record: Mapping[str, Any]) -> Entry | None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = _sealed(Entry(head.count, head.digest, now, dict(record)), self._key)
        content = _encode(_fields(entry))
        if not head.count:  # a log with an entry has a head, also where its first writer is killed behind the entry
            objects.put_if_absent(self.lake, f"{self.folder}/{HEAD}", _encode(asdict(head)))
        if not objects.put_if_absent(self.lake, self._path(head.count), content):
            return None
        self._last = Head(head.count + 1, hashlib.sha256(content).hexdigest())
        return entry

    def head(self) -> Head:
        """Return the number of entries and the hash of the last one."""
        return self._advance()

    def stored(self, first: int) -> Iterator[tuple[str, Entry] | None]:
        """Yield the entries from a number on, each with the hash of its stored bytes; None for one that is gone or damaged."""
        for content in self._contents(self._advance().count, first):
            entry = _decode(content) if content is not None else None
            yield (hashlib.sha256(content).hexdigest(), entry) if content is not None and entry is not None else None

    def entry(self, sequence: int) -> Entry | None:
        """Return one entry by its number; None where there is none or it is damaged."""
        content = objects.get(self.lake, self._path(sequence))
        return _decode(content) if content is not None else None

    def entries(self) -> Iterator[Entry]:
        """Yield the entries in order.

        Raises
        ------
        LakeError
            An entry cannot be read; :meth:`verify` says what is wrong.
        """
        for sequence, content in enumerate(self._contents(self._advance().count)):
            entry = _decode(content) if content is not None else None
            if entry is None:
                raise LakeError(
                    "the entry is gone or damaged", where=self._path(sequence), fix="see `finai evidence verify`"
                )
            yield entry

    def verify(self, *, anchor: Head | None = None) -> list[Fault]:
        """Return the faults of the whole log; empty where every entry is as it was written.

        Seals are verified where the log has its key, and every kept head must be that of an entry.

        Parameters
        ----------
        anchor
            One more head that was kept outside the lake.
        """
        numbers = self._numbers()
        faults, previous, digests = [], GENESIS, list[str]()
        for sequence, content in enumerate(self._contents(numbers[-1] + 1 if numbers else 0)):
            if content is None:
                faults.append(Fault(sequence, "the entry is gone"))
                previous = ""
                digests.append("")
                continue
            entry = _decode(content)
            if entry is None:
                faults.append(Fault(sequence, "the entry is no JSON of an entry"))
            elif entry.sequence != sequence:
                faults.append(Fault(sequence, f"the entry calls itself number {entry.sequence}"))
            elif previous and entry.previous != previous:
                faults.append(Fault(sequence, "the entry before it is not the one it was chained to"))
            if entry is not None and self._key is not None and (broken := _broken_seal(entry, self._key)):
                faults.append(Fault(sequence, broken))
            previous = hashlib.sha256(content).hexdigest()
            digests.append(previous)
        return faults + self._wrong_heads(anchor, digests)

    def _wrong_heads(self, anchor: Head | None, digests: list[str]) -> list[Fault]:
        """Return where the stored head and those that were kept outside are not the heads of the entries."""
        stored = self._stored_head()
        if stored is None and digests:
            return [Fault(len(digests), f"{HEAD} is gone")]
        kept = [Head(each.count, each.digest) for each in self.anchors.kept(self.name)] if self.anchors else []
        outside = [*kept, *([anchor] if anchor is not None else [])]
        faults = [] if stored is None else _compare(stored, HEAD, digests)
        for head in outside:
            faults += _compare(head, f"the anchor of {head.count}" if head in kept else "the anchor", digests)
        furthest = max((head.count for head in outside), default=0)
        if stored is not None and stored.count < furthest <= len(digests):
            faults.append(Fault(stored.count, f"{HEAD} was set back: it counts {stored.count}, an anchor {furthest}"))
        return faults

    def _contents(self, count: int, first: int = 0) -> Iterator[bytes | None]:
        """Yield the content of the first entries in order, from a number on, read several at a time from a remote lake."""
        for begin in range(first, count, _AT_ONCE):
            paths = [self._path(sequence) for sequence in range(begin, min(count, begin + _AT_ONCE))]
            yield from objects.get_all(self.lake, paths)

    def _advance(self) -> Head:
        """Return the head, found from this writer's last head, or from the stored one, onwards."""
        last = self._last
        if (stored := self._stored_head()) is not None and stored.count > last.count:
            last = stored
        while (content := objects.get(self.lake, self._path(last.count))) is not None:
            last = Head(last.count + 1, hashlib.sha256(content).hexdigest())
        self._last = last
        return last

    def _stored_head(self) -> Head | None:
        content = objects.get(self.lake, f"{self.folder}/{HEAD}")
        if content is None:
            return None
        try:
            return Head(**json.loads(content))
        except (ValueError, TypeError) as error:
            raise LakeError(
                f"the head is damaged ({error})", where=f"{self.folder}/{HEAD}", fix="restore it from a backup"
            ) from error

    def _numbers(self) -> list[int]:
        names = (name.removesuffix(".json") for name in objects.names(self.lake, self.folder))
        return sorted(int(name) for name in names if name.isdigit())

    def _path(self, sequence: int) -> str:
        return f"{self.folder}/{sequence:0{DIGITS}d}.json"


def _compare(head: Head, source: str, digests: list[str]) -> list[Fault]:
    if not head.count:
        return []
    if head.count > len(digests):
        return [Fault(len(digests), f"{head.count - len(digests)} entries are cut off: {source} counts {head.count}")]
    if digests[head.count - 1] and digests[head.count - 1] != head.digest:
        return [Fault(head.count - 1, f"the entry is not the one that {source} names")]
    return []


def _fields(entry: Entry) -> dict[str, Any]:
    """Return the fields of an entry; `asdict` would copy its record, which is plain already, once more, deeply."""
    return {name: getattr(entry, name) for name in Entry.__slots__}


def _sealed(entry: Entry, key: bytes | None) -> Entry:
    if key is None:
        return entry
    named = replace(entry, key_id=_key_id(key))
    return replace(named, mac=_mac(named, key))


def _broken_seal(entry: Entry, key: bytes) -> str:
    """Say what is wrong with an entry's seal; empty where it is genuine."""
    if not entry.mac:
        return "the entry is not sealed: it was written without the key"
    if entry.key_id != _key_id(key):
        return f"the entry is sealed by another key ({entry.key_id}, not {_key_id(key)})"
    try:
        genuine = hmac.compare_digest(str(entry.mac).encode(), _mac(entry, key).encode())
    except UnicodeEncodeError:  # half a surrogate pair is in no text that was sealed
        genuine = False
    return "" if genuine else "the entry is not the one that was sealed"


def _key_id(key: bytes) -> str:
    return hashlib.sha256(key).hexdigest()[:8]


def _mac(entry: Entry, key: bytes) -> str:
    return hmac.new(key, _encode(_fields(replace(entry, mac=""))), hashlib.sha256).hexdigest()


def _encode(content: Mapping[str, Any]) -> bytes:
    return to_json(content, sort_keys=True)


def _decode(content: bytes) -> Entry | None:
    try:
        return Entry(**json.loads(content))
    except (ValueError, TypeError):
        return None
