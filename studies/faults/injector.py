"""Lets one call of the storage layer fail, or ends the process there.

The calls are counted where the storage layer hands over to the system: files that are opened, written, synchronised, renamed,
linked and removed, folders that are made, pyarrow's local file system and Parquet writer, and batches of Dagster's event log.
Only what lies in the home counts; the rest of Dagster's own folder does not. It is meant for a forked process that ends
afterwards: nothing is put back.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

import pyarrow.fs as pafs
import pyarrow.parquet as pq

from finai_resources.event_log import BatchedSqliteEventLogStorage

Kind = Literal["full", "broken", "killed"]
KINDS: tuple[Kind, ...] = ("full", "broken", "killed")
_ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO}
_OF_SQLITE = {"full": "database or disk is full", "broken": "disk I/O error"}
_TAKES_ROOM = ("create", "write", "fsync", "rename", "make folder", "events")
_STAND_ALONE = ("dagster",)  # Dagster's own folder of the home, which is SQLite's to keep


class Point(NamedTuple):
    """A call: what it is, such as ``fsync lake/evidence/*.json``, and the how many-th of that name in a process it is."""

    name: str
    time: int


@dataclass(slots=True)
class Injector:
    """Counts the calls on files of a home, and lets one fail.

    Parameters
    ----------
    root : Path
        The home.
    kind : Kind
        ``full``: from the chosen call on, each that needs room fails with ENOSPC, as on a disk that stays full; ``broken``: it
        alone fails with EIO; ``killed``: the process is killed in its place.
    at : Point, optional
        The chosen call; without one all are counted and none fails.
    assets : tuple of str
        The assets that the process writes; in names of calls they are one.
    counts : Counter
        How often each call was made, by name, in the order of their first time.
    hit : bool
        Whether the chosen call was made.
    """

    root: Path
    kind: Kind
    at: Point | None = None
    assets: tuple[str, ...] = ()
    counts: Counter[str] = field(default_factory=Counter)
    hit: bool = False
    _open: Callable[..., Any] = field(default=io.open)

    def step(self, what: str, path: Any) -> None:
        """Count a call, and let it fail if it is the one."""
        place = self._place(path)
        if place is None or (
            what not in _TAKES_ROOM and (self.kind == "full" or (self.kind == "killed" and what == "read"))
        ):
            return
        name = f"{what} {self._common(place)}"
        self.counts[name] += 1
        if self.at == Point(name, self.counts[name]):
            self.hit = True
        elif not (self.hit and self.kind == "full"):
            return
        if self.kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "events":
            raise sqlite3.OperationalError(_OF_SQLITE[self.kind])
        raise OSError(_ERRORS[self.kind], os.strerror(_ERRORS[self.kind]), str(self.root / place))

    def _place(self, path: Any) -> str | None:
        """Return a path below the home; None of one that lies elsewhere."""
        if isinstance(path, int):
            path = Path(f"/proc/self/fd/{path}").readlink()
        try:
            found = Path(os.path.abspath(os.fsdecode(path))).relative_to(self.root).as_posix()  # noqa: PTH100 - follows no link
        except (TypeError, ValueError):
            return None
        return None if found.partition("/")[0] in _STAND_ALONE and found != "dagster/events" else found

    def _common(self, place: str) -> str:
        """Return what a path has in common with those of its kind: ``lake/{asset}/part-*.parquet``."""
        for asset in self.assets:
            place = place.replace(f"lake/{asset}/", "lake/{asset}/").replace(quote(asset, safe="@"), "{asset}")
        place = re.sub(r"lake/(students|labels|features|feature_state|truth|raw)/\w+/", r"lake/\1/*/", place)
        place = re.sub(r"lake/checks/.*", "lake/checks/*.json", place)
        place = re.sub(r"(lake/_leases/).*json$", r"\1*.json", place)
        return re.sub(r"[\d*][\d*-]*", "*", re.sub(r"[0-9a-f]{8,}", "*", place))

    def install(self) -> None:
        """Count from now on, in this process."""
        for name, what in {
            "replace": "rename",
            "rename": "rename",
            "link": "rename",
            "unlink": "remove",
            "remove": "remove",
            "rmdir": "remove",
            "fsync": "fsync",
            "posix_fallocate": "write",
        }.items():
            self._wrap(os, name, what, place=1 if name in {"replace", "rename", "link"} else 0)
        real_open, real_mkdir = os.open, os.mkdir

        def opened(path: Any, flags: int, *more: Any, **options: Any) -> int:
            self.step("create" if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) else "read", path)
            return real_open(path, flags, *more, **options)

        def made(path: Any, *more: Any, **options: Any) -> None:
            if not os.path.lexists(path):  # that it is there is told before there could be room
                self.step("make folder", path)
            real_mkdir(path, *more, **options)

        os.open, os.mkdir = opened, made
        io.open = builtins.open = self._stream
        self._wrap(pq.ParquetWriter, "__init__", "create", place=1)
        for name in ("write_table", "close"):
            self._wrap(pq.ParquetWriter, name, "write", of=lambda writer: writer.where)
        pafs.LocalFileSystem = _file_system(self)  # the lake is opened after this
        events = str(self.root / "dagster/events")
        self._wrap(BatchedSqliteEventLogStorage, "store_event_batch", "events", of=lambda _: events)

    def _wrap(
        self, owner: Any, name: str, what: str, *, place: int = 0, of: Callable[[Any], Any] | None = None
    ) -> None:
        real = getattr(owner, name)

        def counted(*given: Any, **options: Any) -> Any:
            self.step(what, of(given[0]) if of else given[place])
            return real(*given, **options)

        setattr(owner, name, counted)

    def _stream(self, file: Any, mode: str = "r", *more: Any, **options: Any) -> Any:
        writes = any(letter in mode for letter in "wax+")
        if not isinstance(file, int):
            self.step("create" if writes and not os.path.lexists(file) else "open" if writes else "read", file)
        stream = self._open(file, mode, *more, **options)
        return _Written(self, file, stream) if writes and self._place(file) is not None else stream


class _Written:
    """A stream whose writing counts; of a write that fails, the first half is there."""

    def __init__(self, injector: Injector, file: Any, stream: Any) -> None:
        self._injector, self._file, self._stream = injector, file, stream

    def write(self, content: Any) -> int:
        """Write, or half of it."""
        try:
            self._injector.step("write", self._file)
        except OSError:
            self._stream.write(content[: len(content) // 2])
            raise
        return int(self._stream.write(content))

    def __enter__(self) -> _Written:
        self._stream.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return self._stream.__exit__(*error)

    def __iter__(self) -> Any:
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _file_system(injector: Injector) -> type[pafs.LocalFileSystem]:
    class Counted(pafs.LocalFileSystem):
        def open_input_stream(self, path: str, *more: Any, **options: Any) -> Any:
            injector.step("read", path)
            return super().open_input_stream(path, *more, **options)

        def open_input_file(self, path: str) -> Any:
            injector.step("read", path)
            return super().open_input_file(path)

        def open_output_stream(self, path: str, *more: Any, **options: Any) -> Any:
            injector.step("create", path)
            return super().open_output_stream(path, *more, **options)

        def create_dir(self, path: str, **options: Any) -> None:
            if not os.path.lexists(path):
                injector.step("make folder", path)
            super().create_dir(path, **options)

        def delete_file(self, path: str) -> None:
            injector.step("remove", path)
            super().delete_file(path)

    return Counted
