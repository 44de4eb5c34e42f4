"""Files on disk that are replaced whole: a reader sees the old content or the new content, never a part.

The new content goes to a partial file first, which takes the place of the old file when all of it is written. A process that
is killed in between leaves the old file as it was, beside a partial file that nothing reads and the next writer of the same
file removes. A writer locks its partial file, so that one without a lock is known to be a dead writer's.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PARTIAL = ".partial"


def replace_file(
    path: Path, content: bytes, *, durable: bool = True, mode: int = 0o666, staging: Path | None = None
) -> None:
    """Write or replace a file; its folder is made where it is absent.

    Parameters
    ----------
    durable
        Whether the bytes are on the disk when this returns. If not, a power cut may leave an empty file.
    mode
        Permissions of the file, less those that the process's umask takes away.
    staging
        Where the partial file lies: a folder of the same disk, which exists; beside the file by default.

    Raises
    ------
    OSError
        The file cannot be written, on a full disk for example. The old one stays.
    """
    with replacing(path, durable=durable, mode=mode, staging=staging) as stream:
        stream.write(content)


@contextmanager
def replacing(
    path: Path, *, durable: bool = True, mode: int = 0o666, staging: Path | None = None
) -> Iterator[BinaryIO]:
    """Open a stream whose content replaces a file when the block ends; if the block raises, the old file stays.

    The parameters are those of :func:`replace_file`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _partial_file(staging or path.parent, path.name, mode) as (partial, stream):
        yield stream
        _finish(stream, durable=durable)
        partial.replace(path)


def create_file(path: Path, content: bytes, *, durable: bool = True, staging: Path | None = None) -> bool:
    """Write a file, whole, unless one is there; return whether this call wrote it. Of several callers one wins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with _partial_file(staging or path.parent, path.name) as (partial, stream):
        stream.write(content)
        _finish(stream, durable=durable)
        try:
            os.link(partial, path)  # fails where the name is taken, and shows the content at once where it is not
        except FileExistsError:
            return False
    return True


@contextmanager
def changing_together(path: Path) -> Iterator[None]:
    """Hold a lock beside a file until the block ends, so that those who look before they change it do so one at a time."""
    with (path.parent / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_file(path: Path) -> None:
    """Remove a file, where there is one, and the partial files of killed writers."""
    path.unlink(missing_ok=True)
    if path.parent.is_dir():
        _remove_abandoned(path.parent, path.name)


def replace_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Write or replace a folder of files, named by their paths below it; a folder with the same bytes is left alone.

    A reader sees a whole folder or none: a process that is killed while one folder takes the other's place leaves none.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    if _holds(path, files):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent, path.name, _new_folder) as (partial, _):
        for name, content in files.items():
            replace_file(partial / name, content)
        if path.exists():
            path.rename(partial / ".replaced")
        try:
            os.rename(partial, path)  # noqa: PTH104 -- fails where another writer was first, which Path.replace would hide
        except OSError:
            if not _holds(path, files):
                raise
        shutil.rmtree(path / ".replaced", ignore_errors=True)


def _holds(folder: Path, files: Mapping[str, bytes]) -> bool:
    try:
        return all((folder / name).read_bytes() == content for name, content in files.items())
    except OSError:
        return False


@contextmanager
def _partial_file(folder: Path, name: str, mode: int = 0o666) -> Iterator[tuple[Path, BinaryIO]]:
    def create(path: Path) -> int:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)

    with _locked(folder, name, create) as (partial, descriptor), os.fdopen(descriptor, "wb", closefd=False) as stream:
        yield partial, stream


def _new_folder(path: Path) -> int:
    path.mkdir()
    return os.open(path, os.O_RDONLY)


@contextmanager
def _locked(folder: Path, name: str, create: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """Yield a new partial file or folder with its descriptor, locked until the block ends.

    At the end it is removed, unless it was moved away.

    Parameters
    ----------
    create
        Makes the file or folder and opens it.
    """
    _remove_abandoned(folder, name)
    while True:
        partial = folder / f".{name}.{uuid.uuid4().hex}{PARTIAL}"
        try:
            descriptor = create(partial)
        except FileNotFoundError:
            if folder.is_dir():  # another writer took the new folder for an abandoned one before it was open
                continue
            raise
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not os.path.lexists(partial):  # another writer took it for an abandoned one before it was locked
                continue
            try:
                yield partial, descriptor
            finally:
                _remove(partial)
            return
        finally:
            os.close(descriptor)


def _finish(stream: BinaryIO, *, durable: bool) -> None:
    stream.flush()
    if durable:
        os.fsync(stream.fileno())


def _remove_abandoned(folder: Path, name: str) -> None:
    """Remove the partial files and folders of a name that no writer has locked."""
    for left in os.listdir(folder):  # noqa: PTH208 - much quicker than Path.glob, and this runs with every small file
        if left.startswith(f".{name}.") and left.endswith(PARTIAL):
            _remove_unlocked(folder / left)


def _remove_unlocked(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:  # its writer has just put it in its place
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(path)
    except BlockingIOError:  # its writer is at work
        return
    finally:
        os.close(descriptor)


def _remove(path: Path) -> None:
    if not os.path.lexists(path):
        return
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
