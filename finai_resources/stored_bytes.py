"""Whether a stored file is the one that its manifest lists: all of it is hashed when a process first reads it.

The whole file is hashed even where a part of it is read, because a part has no hash of its own. A process remembers which files
it has hashed; a file that was replaced or changed since is hashed again.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow.fs as pafs

from finai_resources.errors import LakeError
from finai_resources.manifest import Manifest, StoredFile, address
from finai_resources.quarantine import damaged
from finai_resources.storage_errors import storage_error

if TYPE_CHECKING:
    from finai_resources.lake import Lake

_CHUNK = 1 << 20
# A file's times move in steps of at most so many nanoseconds; a second change within one step may not show in them.
_STEP_ON_DISK, _STEP_REMOTE = 50_000_000, 2_000_000_000

Identity = tuple[str, int, int, int, int]  # path, bytes, time of the content, time of the entry, number of the inode
_hashed: dict[Identity, str] = {}


def require_intact(lake: Lake, manifest: Manifest, stored: StoredFile) -> str:
    """Return the path of a stored file, whose content is what the manifest says.

    Raises
    ------
    LakeError
        The file is gone, damaged or cannot be read. If it is gone or damaged, the partition counts as absent from now on.
    """
    path = lake.path(manifest, stored)
    try:
        fault = fault_of(lake.fs, path, stored)
    except OSError as error:
        raise unreadable(manifest, path, error) from error
    if fault:
        raise damaged(lake, manifest, path, fault)
    return path


def unreadable(manifest: Manifest, path: str, error: Exception) -> LakeError:
    """Return the error for a file that cannot be read although nothing shows that its content is damaged."""
    return storage_error(error, path) or LakeError(
        f"a file of {address(manifest.asset, manifest.partition)} cannot be read: {error}",
        where=path,
        fix="see that its disk or bucket answers; `finai doctor --deep` examines every file",
    )


def fault_of(filesystem: pafs.FileSystem, path: str, stored: StoredFile, *, again: bool = False) -> str | None:
    """Return what is wrong with a stored file, in words; None where its content is what the manifest says.

    Parameters
    ----------
    again
        Whether a file that this process has hashed already is hashed again.

    Raises
    ------
    OSError
        It cannot be read.
    """
    try:
        before, settled = _identity(filesystem, path)
        if before[1] != stored.bytes:
            return _other_size(before[1], stored)
        if not again and _hashed.get(before) == stored.sha256:
            return None
        digest = hash_file(filesystem, path)
        after, _ = _identity(filesystem, path)
    except FileNotFoundError:
        return _gone(stored)
    if digest != stored.sha256:
        return "the content's hash is not the one in its manifest"
    if settled and before == after:
        _hashed[before] = digest
    return None


def faults_at_a_glance(lake: Lake, manifest: Manifest) -> list[tuple[StoredFile, str]]:
    """Return the files of a partition that are gone or have another size, each with what is wrong; nothing is read."""
    selector = pafs.FileSelector(lake.folder(manifest.asset, manifest.partition), allow_not_found=True)
    sizes = {info.base_name: info.size for info in lake.fs.get_file_info(selector) if info.type == pafs.FileType.File}
    return [(stored, fault) for stored in manifest.files if (fault := _fault_of_size(sizes, stored))]


def every_fault(lake: Lake, manifest: Manifest) -> list[tuple[StoredFile, str]]:
    """Hash the files of a partition, whether this process has read them or not; return the faulty ones with what is wrong."""
    found = []
    for stored in manifest.files:
        try:
            fault = fault_of(lake.fs, lake.path(manifest, stored), stored, again=True)
        except OSError as error:
            fault = f"the file cannot be read: {error}"
        if fault:
            found.append((stored, fault))
    return found


def hash_file(filesystem: pafs.FileSystem, path: str) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with filesystem.open_input_stream(path) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _fault_of_size(sizes: dict[str, int], stored: StoredFile) -> str | None:
    if stored.name not in sizes:
        return _gone(stored)
    return _other_size(sizes[stored.name], stored) if sizes[stored.name] != stored.bytes else None


def _gone(stored: StoredFile) -> str:
    return f"the file is gone, its manifest says {stored.bytes} bytes"


def _other_size(size: int, stored: StoredFile) -> str:
    return f"the file has {size} bytes, its manifest says {stored.bytes}"


def _identity(filesystem: pafs.FileSystem, path: str) -> tuple[Identity, bool]:
    """Return what tells a file from one that replaced or changed it, and whether a change from now on is sure to show in it.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    if isinstance(filesystem, pafs.LocalFileSystem):
        found = os.stat(path)  # noqa: PTH116 - of every file that is read
        identity = (path, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)
        return identity, time.time_ns() - found.st_ctime_ns > _STEP_ON_DISK
    infos: Sequence[pafs.FileInfo] = filesystem.get_file_info([path])
    if infos[0].type != pafs.FileType.File:
        raise FileNotFoundError(path)
    changed = infos[0].mtime_ns or 0
    return (f"remote:{path}", infos[0].size, changed, 0, 0), time.time_ns() - changed > _STEP_REMOTE
