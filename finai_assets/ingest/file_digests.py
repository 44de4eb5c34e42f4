"""The digests of a source's files, remembered while the files stay as they are, so that a plan reads no byte twice."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from finai_assets.ingest.files import file_sha256
from finai_resources.json_text import to_json
from finai_resources.whole_file import replace_file

_NAME = "file_digests.json"
_SETTLED_NS = 2_000_000_000  # the coarsest clock of a file system


class FileDigests:
    """Digests by path, size and times of change.

    Parameters
    ----------
    folder : Path or None
        Where they are remembered from one process to the next; None for nowhere.
    """

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / _NAME if folder else None
        self._known = read_cache(self._file)
        self._used: dict[str, list[int | str]] = {}

    def __call__(self, path: Path) -> str:
        """Return the SHA-256 of a file's bytes.

        Raises
        ------
        ContractError
            The file cannot be read.
        """
        if not path.exists():
            return file_sha256(path)  # which tells why it cannot be read
        found, now = path.stat(), time.time_ns()
        # The time of the inode's change can't be set by who copies or touches a file; that of the content's can.
        state = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
        name = str(path.absolute())
        known = self._known.get(name)
        digest = str(known[-1]) if known and known[:-1] == state else file_sha256(path)
        if now - max(found.st_mtime_ns, found.st_ctime_ns) > _SETTLED_NS:  # else a later change might leave no trace
            self._used[name] = [*state, digest]
        return digest

    def remember(self) -> None:
        """Write down the digests that were asked for, and no others."""
        if self._file is not None and self._used != self._known:
            replace_file(self._file, to_json(self._used, indent=1, sort_keys=True), durable=False)


def read_cache(file: Path | None) -> dict[str, Any]:
    """Return what a file of remembered values holds; nothing where it is absent or damaged, as all of it can be computed."""
    if file is None or not file.is_file():
        return {}
    try:
        return dict(json.loads(file.read_bytes()))
    except ValueError:
        return {}
