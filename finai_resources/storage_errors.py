"""What the operating system refuses (a full disk, a read-only folder, too many open files), as one sentence with a way out.

The cause is told by its number where an error carries one, and by the system's own words for it where a library (DuckDB, SQLite,
PyTorch, Dagster's log of a failed step) hands on the text alone.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

from finai_resources.errors import FinaiError, StorageError

_AGAIN = "then run the same command again: nothing half written is used, and finished assets are kept"
_FULL = "the disk is full", f"free space there, or name another home (--home, FINAI_HOME), {_AGAIN}"
_QUOTA = "the quota of this user is used up", f"free space there or raise the quota, {_AGAIN}"
_READ_ONLY = "the file system is read-only", f"mount it writable, or name another home (--home, FINAI_HOME), {_AGAIN}"
_CLOSED = "this user may not read or write there", f"give this user the right, or name another home, {_AGAIN}"
_FILES = "too many files are open", f"raise the limit (`ulimit -n 8192`), {_AGAIN}"
_LONG = "a file may not become that large", f"raise the limit (`ulimit -f unlimited`) or choose another disk, {_AGAIN}"
_BROKEN = "the disk does not answer", "examine the disk, then let `finai doctor --deep` verify every file of the home"
_ADVICE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _QUOTA,
    errno.EROFS: _READ_ONLY,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EMFILE: _FILES,
    errno.ENFILE: _FILES,
    errno.EFBIG: _LONG,
    errno.EIO: _BROKEN,
}
# How SQLite, which keeps Dagster's event log, says the same; it names no file.
_OF_SQLITE = {
    "database or disk is full": _FULL,
    "attempt to write a readonly database": _READ_ONLY,
    "unable to open database file": _CLOSED,
    "disk I/O error": _BROKEN,
}
_PATH = re.compile(r"'(/[^']*)'")


@contextmanager
def as_storage_errors(where: str) -> Iterator[None]:
    """Turn what the operating system refuses within the block into a :class:`StorageError`; other errors pass through.

    Parameters
    ----------
    where
        What is being stored; it is named where an error names no file itself.
    """
    try:
        yield
    except OSError as error:
        found = storage_error(error, where)
        if found is None:
            raise
        raise found from error


@contextmanager
def told_with(made: str) -> Iterator[None]:
    """Let the sentence about a refusal within the block also name what was being made; other errors pass through.

    Parameters
    ----------
    made
        Asset and month. A refusal names the file alone, which may be a lease, a record of a check or the evidence log.
    """
    try:
        yield
    except Exception as error:
        ours = isinstance(error, FinaiError) and not isinstance(error, StorageError)
        found = None if ours else storage_error(error, made)
        if found is None or made in str(found):
            raise
        raise StorageError(found.what, where=f"{made}: {found.where}", fix=found.fix) from error


def storage_error(error: BaseException, where: str = "storage") -> StorageError | None:
    """Return the error that tells what the operating system refused, where that is behind an error; None where it is not."""
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if isinstance(link, StorageError):
            return link
        if isinstance(link, OSError) and link.errno in _ADVICE:
            return _told(*_ADVICE[link.errno], str(link), str(link.filename or where))
        if (found := told_by(str(link), where)) is not None:
            return found
        link = link.__cause__ or link.__context__
    return None


def told_by(text: str, where: str) -> StorageError | None:
    """Return the error for the text of another one, where it holds the system's own words for a refusal; None elsewhere."""
    words = {os.strerror(number): advice for number, advice in _ADVICE.items()} | _OF_SQLITE
    named = _PATH.search(text)
    for spelled, advice in words.items():
        if spelled in text:
            return _told(*advice, text, named.group(1) if named else where)
    return None


def _told(what: str, fix: str, text: str, where: str) -> StorageError:
    first = next(iter(text.strip().splitlines()), "")
    return StorageError(f"{what} ({first})", where=where, fix=fix)
