"""Anchors: heads of a lake's logs that are kept outside the lake, so that a log which was cut off or written anew is found.

A log's chain shows that its entries belong together, not that they are all there, or the first that were written. An anchor is
a small file, ``<place>/<where the lake lies>/<which lake>/<log>/<count>.json``, that says what the log's head was when it counted
so many entries. It is written once and never changed; the place is a folder outside the home (``$XDG_STATE_HOME/finai/anchors``),
or what ``FINAI_ANCHORS`` names: a folder on another machine's disk, or ``s3://bucket/prefix``, where an object lock keeps it for
``FINAI_ANCHOR_DAYS`` even from who may write there. ``FINAI_ANCHORS=none`` keeps none.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.fs as pafs

from finai_resources import objects
from finai_resources.errors import ConfigError, LakeError
from finai_resources.json_text import to_json
from finai_resources.lake import Lake

PLACE, DAYS = "FINAI_ANCHORS", "FINAI_ANCHOR_DAYS"
IDENTITY = "lake.json"
_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Anchor:
    """How many entries a log had, the hash of the last one, and when that was, ISO."""

    count: int
    digest: str
    at: str


class Anchors:
    """The anchors of one lake.

    Parameters
    ----------
    lake : Lake
        Whose logs are anchored.
    place : Lake
        A folder or a bucket, opened like a lake.
    locked_days : int
        For how long S3 refuses to let an anchor be deleted; 0 where the bucket has no object lock.
    """

    def __init__(self, lake: Lake, place: Lake, locked_days: int = 0) -> None:
        self._lake, self._place, self._locked_days = lake, place, locked_days
        self._home = f"{place.root}/{hashlib.sha256(lake.root.encode()).hexdigest()[:16]}"

    @classmethod
    def of(cls, lake: Lake) -> Anchors | None:
        """Return the anchors of a lake in the place that the environment names; None where none are kept.

        Raises
        ------
        ConfigError
            ``FINAI_ANCHOR_DAYS`` is no number of days.
        LakeError
            The place is in S3 and the lake is not: there are no credentials to go there with.
        """
        named = os.environ.get(PLACE, "")
        if named == "none":
            return None
        days = os.environ.get(DAYS, "0")
        if not days.isdecimal():
            raise ConfigError(f"found {days!r}", where=DAYS, fix="give a whole number of days, such as 3650")
        if named.startswith("s3://"):
            if lake.s3_client is None:
                raise LakeError(
                    "anchors in S3 need a lake in S3, whose credentials they use",
                    where=f"{PLACE}={named}",
                    fix="name a folder, or move the lake",
                )
            root = named.removeprefix("s3://").rstrip("/")
            return cls(lake, Lake(lake.fs, root, s3_client=lake.s3_client), int(days))
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
        folder = (Path(named) if named else Path(state) / "finai" / "anchors").expanduser()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            return cls(lake, Lake.on_disk(folder))
        except OSError as error:
            if not named:
                return None  # `finai evidence verify` says that there are none, and what it cannot see
            fix = "name a folder that can be written, or none"
            raise LakeError(f"no anchor can be kept: {error}", where=f"{PLACE}={named}", fix=fix) from error

    @property
    def shown(self) -> str:
        """Return where the anchors lie."""
        return self._home

    def write(self, log: str, count: int, digest: str) -> None:
        """Keep the head of a log, unless one of that count is kept."""
        at = datetime.now(UTC)
        until = at + timedelta(days=self._locked_days) if self._locked_days else None
        content = to_json({"count": count, "digest": digest, "at": at.isoformat(timespec="seconds")}, sort_keys=True)
        path = f"{self._home}/{self._identity()}/{log}/{count:0{_DIGITS}d}.json"
        objects.put_if_absent(self._place, path, content, retain_until=until)

    def kept(self, log: str) -> list[Anchor]:
        """Return the anchors of a log, ascending.

        Raises
        ------
        LakeError
            An anchor is damaged.
        """
        identity = self._known_identity()
        if identity is None:
            return []
        folder = f"{self._home}/{identity}/{log}"
        paths = [f"{folder}/{name}" for name in objects.names(self._place, folder)]
        return [
            _anchor(path, content) for path, content in zip(paths, objects.get_all(self._place, paths), strict=True)
        ]

    def of_other_lakes(self) -> list[str]:
        """Return the ids of other lakes that lay where this one lies; a lake that was replaced shows here."""
        infos = self._place.fs.get_file_info(pafs.FileSelector(self._home, allow_not_found=True))
        found = {info.base_name for info in infos if info.type == pafs.FileType.Directory}
        return sorted(found - {self._known_identity()})

    def _identity(self) -> str:
        """Return the lake's id, made at random when it is first asked for."""
        known = self._known_identity()
        if known is None:
            content = to_json({"id": uuid.uuid4().hex})
            objects.put_if_absent(self._lake, f"{self._lake.root}/{IDENTITY}", content)
            known = self._known_identity()
        assert known is not None  # noqa: S101 -- whoever wrote it first, it is there
        return known

    def _known_identity(self) -> str | None:
        content = objects.get(self._lake, f"{self._lake.root}/{IDENTITY}")
        if content is None:
            return None
        try:
            return uuid.UUID(hex=json.loads(content)["id"]).hex
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            where = f"{self._lake.root}/{IDENTITY}"
            raise LakeError("this is not the id of a lake", where=where, fix="restore it from a backup") from error


def _anchor(path: str, content: bytes | None) -> Anchor:
    try:
        found = Anchor(**json.loads(content or b""))
        if not isinstance(found.count, int) or not isinstance(found.digest, str):
            raise TypeError(path)
    except (ValueError, TypeError) as error:
        raise LakeError("this is no anchor", where=path, fix="restore it from a backup") from error
    return found
