"""Single small objects in the lake, beside its partitions: read, replaced whole, or created where there is none."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pyarrow.fs as pafs
from botocore.exceptions import ClientError

from finai_resources.errors import LakeError
from finai_resources.storage_errors import as_storage_errors
from finai_resources.whole_file import changing_together, create_file, replace_file

if TYPE_CHECKING:
    from finai_resources.lake import Lake

_TAKEN, _GONE = {"PreconditionFailed", "ConditionalRequestConflict"}, {"NoSuchKey", "404"}

Parsed = TypeVar("Parsed")


def get(lake: Lake, path: str) -> bytes | None:
    """Return an object's bytes, or None where there is none."""
    try:
        if lake.is_local:  # in a third of the time that the file system's stream takes
            return Path(path).read_bytes()
        with lake.fs.open_input_stream(path) as stream:
            content: bytes = stream.read()
    except FileNotFoundError:
        return None
    return content


def get_all(lake: Lake, paths: Sequence[str]) -> list[bytes | None]:
    """Return the bytes of several objects, None for each that is not there."""
    return lake.each(lambda path: get(lake, path), paths)


def put(lake: Lake, path: str, content: bytes, *, durable: bool = True) -> None:
    """Write or replace an object; a reader sees the old or the new one, whole.

    Parameters
    ----------
    durable
        Whether the bytes are on the disk when this returns. If not, a power cut may leave an empty object.
    """
    if lake.is_local:
        with _staging(lake) as folder:
            replace_file(Path(path), content, durable=durable, staging=folder)
        return
    with lake.fs.open_output_stream(path) as stream:
        stream.write(content)


def put_if_absent(
    lake: Lake, path: str, content: bytes, *, durable: bool = True, retain_until: datetime | None = None
) -> bool:
    """Write an object, whole, unless one is there; return whether this call wrote it. Of several callers one wins.

    Parameters
    ----------
    retain_until
        In S3: nobody may delete the object before then; its bucket must have been made with an object lock.

    Raises
    ------
    LakeError
        The lake is remote and was opened without a client that can put conditionally.
    """
    if lake.is_local:
        with _staging(lake) as folder:
            return create_file(Path(path), content, durable=durable, staging=folder)
    lock = {"ObjectLockMode": "COMPLIANCE", "ObjectLockRetainUntilDate": retain_until} if retain_until else {}
    return _put_where(lake, path, content, IfNoneMatch="*", **lock)


def replace_if(lake: Lake, path: str, expected: bytes, content: bytes) -> bool:
    """Replace an object by another one if it holds what is expected; return whether it did. Of several callers one wins."""
    if lake.is_local:
        with _staging(lake) as folder, changing_together(Path(path)):
            if get(lake, path) != expected:
                return False
            replace_file(Path(path), content, durable=False, staging=folder)
            return True
    tag = _tag_of(lake, path, expected)
    return tag is not None and _put_where(lake, path, content, IfMatch=tag)


def delete_if(lake: Lake, path: str, expected: bytes) -> bool:
    """Remove an object if it holds what is expected; return whether it did. In S3 a replacement in that instant goes with it."""
    if lake.is_local:
        if not Path(path).exists():
            return False
        with changing_together(Path(path)):
            if get(lake, path) != expected:
                return False
            Path(path).unlink()
            return True
    if _tag_of(lake, path, expected) is None:
        return False
    lake.fs.delete_file(path)
    return True


def _tag_of(lake: Lake, path: str, expected: bytes) -> str | None:
    """Return S3's tag of an object that holds what is expected; None where it does not, or where there is none."""
    bucket, _, key = path.partition("/")
    try:
        found = _client(lake, path).get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in _GONE:
            return None
        raise _refused(error, path) from error
    return str(found["ETag"]) if found["Body"].read() == expected else None


def _put_where(lake: Lake, path: str, content: bytes, **condition: Any) -> bool:
    bucket, _, key = path.partition("/")
    try:
        _client(lake, path).put_object(Bucket=bucket, Key=key, Body=content, **condition)
    except ClientError as error:
        if error.response["Error"]["Code"] in _TAKEN | _GONE:
            return False
        raise _refused(error, path) from error
    return True


def _client(lake: Lake, path: str) -> Any:
    if lake.s3_client is None:
        raise LakeError("the lake cannot put conditionally", where=path, fix="open it through LakeResource")
    return lake.s3_client


def _refused(error: ClientError, path: str) -> LakeError:
    return LakeError(f"S3 refused the object: {error}", where=path, fix="check the bucket's policy")


def names(lake: Lake, folder: str) -> list[str]:
    """Return the names of the objects of a folder, ascending."""
    infos = lake.fs.get_file_info(pafs.FileSelector(folder, allow_not_found=True))
    return sorted(info.base_name for info in infos if info.type == pafs.FileType.File)


class Remembered(Generic[Parsed]):
    """What was read from a lake's objects, each read again once its file is another one than before.

    A file on the disk is known by its number, its size and its times, of which nobody can set back that of the last change of
    the file itself. A remote object is read each time.
    """

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self._known: dict[str, tuple[tuple[int, ...], Parsed]] = {}

    def get(self, path: str, read: Callable[[], Parsed]) -> Parsed:
        """Return what ``read`` returns, or what it returned when the object at a path was last seen in this state."""
        if not self.lake.is_local:
            return read()
        try:
            found = os.stat(path)  # noqa: PTH116 - thousands of times a run, where a Path costs as much again
        except FileNotFoundError:
            return read()
        state = (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
        known = self._known.get(path)
        if known is None or known[0] != state:
            self._known[path] = known = (state, read())
        return known[1]


@contextmanager
def _staging(lake: Lake) -> Iterator[Path]:
    """Yield the folder in which the lake's files are written before they appear in their place."""
    with as_storage_errors(lake.root):
        folder = Path(lake.root) / "_staging"
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
