"""SHA-256 of files, remembered by what the file system says of them, so that a plan hashes nothing again."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

from finai_resources.errors import ContractError
from finai_resources.json_text import remembered, to_json
from finai_resources.whole_file import replace_file

# A file that is written twice within one tick of the file system's clock looks the same: one that was changed just now is not
# remembered.
SETTLED_NS = 2_000_000_000


def file_digest(path: Path, cache: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Parameters
    ----------
    cache
        The folder in which digests are remembered by path, size, time of change, inode and device.

    Raises
    ------
    ContractError
        The file cannot be read, or changed while it was.
    """
    note = cache / "digests" / f"{hashlib.sha256(str(path).encode(errors='surrogateescape')).hexdigest()[:32]}.json"
    try:
        state = _state(path)
        known = remembered(note)
        if known.get("state") == state and "sha256" in known:
            return str(known["sha256"])
        now = time.time_ns()
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        after = _state(path)
    except OSError as error:
        raise ContractError(
            f"the file cannot be read ({error.strerror})", where=str(path), fix="check that it exists and may be read"
        ) from error
    if after != state:
        raise ContractError(
            "the file changed while it was read", where=str(path), fix="run again when it has been written whole"
        )
    if now - state[1] > SETTLED_NS:
        replace_file(note, to_json({"state": state, "sha256": digest}), durable=False)
    return digest


def _state(path: Path) -> list[int]:
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino, found.st_dev, found.st_ctime_ns]
