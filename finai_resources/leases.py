"""Leases: a partition has one writer at a time, on disk and in S3. Partitions do not wait for each other.

A lease is an object of the lake, ``_leases/<address>.json``, that names its owner: host, process, run, and since when. It is
created where there is none (a link on a disk, a conditional put in S3), renewed while its owner works, and removed at the end.
A dead owner's lease is taken over: on the owner's own machine its process is gone; from elsewhere it was not renewed for
:data:`EXPIRES` seconds, by clocks that are assumed to agree within them.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil

from finai_resources import objects
from finai_resources.errors import LakeError, LeaseError
from finai_resources.json_text import to_json
from finai_resources.manifest import address

if TYPE_CHECKING:
    from finai_resources.lake import Lake

FOLDER = "_leases"
EXPIRES, RENEWED_EVERY = 300.0, 30.0  # seconds; a kernel may keep Python's threads waiting for longer than one renewal
_SAME_START = 5.0  # seconds by which the system's own account of a process's start may move


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lease.

    Parameters
    ----------
    host : str
    place : str
        What process numbers are numbers of: one boot of one machine, and there one namespace of processes.
    pid : int
    started : float
        When the process began, so that another one of the same number is not taken for it.
    run : str
        Of this holding alone.
    since, renewed : float
        Seconds of the epoch.
    """

    host: str
    place: str
    pid: int
    started: float
    run: str
    since: float
    renewed: float

    @property
    def is_dead(self) -> bool:
        """Whether nobody holds the lease any longer."""
        if self.place != _place():
            return time.time() - self.renewed > EXPIRES
        try:
            process = psutil.Process(self.pid)
            gone = process.status() == psutil.STATUS_ZOMBIE
            return gone or abs(process.create_time() - self.started) > _SAME_START
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since, UTC).isoformat(sep=" ", timespec="seconds")
        return f"process {self.pid} on {self.host} (run {self.run[:8]}, since {since})"


class Lease:
    """A held lease, renewed by a thread until it is released."""

    def __init__(self, lake: Lake, name: str, content: bytes) -> None:
        self.lake, self.name, self.content, self.users = lake, name, content, 1
        self._change = threading.Lock()

    def require(self) -> None:
        """Raise unless this process still holds the lease: what it computed must not replace a later writer's work.

        Raises
        ------
        LeaseError
            Another process has taken the lease over.
        """
        with self._change:
            if objects.get(self.lake, _path(self.lake, self.name)) != self.content:
                raise LeaseError(
                    f"another process has taken over the writing of {self.name}, as this one was silent for too long",
                    where=_path(self.lake, self.name),
                    fix="nothing of this run replaces its work; run the same command again when it has finished",
                )

    def renew(self) -> None:
        """Note that the owner is alive; a lease that was taken over stays the other's."""
        with self._change:
            content = _content(replace(_owner(self.content) or _myself(), renewed=time.time()))
            if objects.replace_if(self.lake, _path(self.lake, self.name), self.content, content):
                self.content = content

    def release(self) -> None:
        """Remove the lease if it is still this process's."""
        with self._change:
            objects.delete_if(self.lake, _path(self.lake, self.name), self.content)


_held: dict[tuple[int, str], Lease] = {}  # by process (a fork inherits the table, not the leases) and path
_table = threading.Lock()


@contextmanager
def leased(lake: Lake, partitions: Iterable[tuple[str, str | None]]) -> Iterator[list[Lease]]:
    """Hold the leases of some partitions until the block ends; what this process holds already is held on.

    Raises
    ------
    LeaseError
        Another process writes one of them; then none is held.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_one(lake, name)) for name in sorted({address(*each) for each in partitions})]


@contextmanager
def _one(lake: Lake, name: str) -> Iterator[Lease]:
    key = os.getpid(), _path(lake, name)
    with _table:
        lease = _held.get(key)
        if lease is not None:
            lease.users += 1
        else:
            lease = _held[key] = _take(lake, name)
            _renew_in_background()
    try:
        yield lease
    finally:
        with _table:
            lease.users -= 1
            if not lease.users:
                del _held[key]
                lease.release()


def _take(lake: Lake, name: str) -> Lease:
    path, content = _path(lake, name), _content(_myself())
    while True:
        if objects.put_if_absent(lake, path, content, durable=False):
            return Lease(lake, name, content)
        found = objects.get(lake, path)
        if found is None:
            continue  # it was released in between
        owner = _owner(found)
        if owner is not None and not owner.is_dead:
            raise LeaseError(
                f"{name} is being written by {owner}",
                where=lake.root,
                fix="wait until that run has finished, or stop it; then run the same command again, which computes what is left",
            )
        if objects.replace_if(lake, path, found, content):  # a power cut may have left one without an owner
            return Lease(lake, name, content)


def _renew_in_background() -> None:
    """Start the thread that renews what this process holds, unless it runs."""
    if any(thread.name == FOLDER for thread in threading.enumerate()):
        return
    threading.Thread(target=_renew_all, name=FOLDER, daemon=True).start()


def _renew_all() -> None:
    while True:
        time.sleep(RENEWED_EVERY)
        with _table:
            leases = [lease for (pid, _), lease in _held.items() if pid == os.getpid()]
        for lease in leases:
            try:
                lease.renew()
            except (OSError, LakeError):
                continue  # a full disk or a silent bucket: the next turn tries again, and `require` has the last word


def _path(lake: Lake, name: str) -> str:
    return f"{lake.root}/{FOLDER}/{quote(name, safe='@')}.json"


def _content(owner: Owner) -> bytes:
    return to_json(asdict(owner), sort_keys=True)


def this_process() -> Owner:
    """Return this process as an owner, for what it leaves behind elsewhere than in a lease."""
    return _myself()


def owner_in(content: bytes) -> Owner | None:
    """Return the owner that a JSON text names; None where it names none."""
    return _owner(content)


def _owner(content: bytes) -> Owner | None:
    try:
        return Owner(**json.loads(content))
    except (ValueError, TypeError):
        return None


def _myself() -> Owner:
    now = time.time()
    started = psutil.Process().create_time()
    return Owner(socket.gethostname(), _place(), os.getpid(), started, uuid.uuid4().hex, now, now)


@cache
def _place() -> str:
    parts = [socket.gethostname()]
    boot, namespace = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if boot.exists():
        parts.append(boot.read_text().strip())
    if namespace.exists():
        parts.append(str(namespace.stat().st_ino))
    return ":".join(parts)
