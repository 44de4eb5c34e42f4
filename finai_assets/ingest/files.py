"""The folder of a source, the digest of a file, and the hash of a schema."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from finai_resources.errors import ConfigError


def source_folder(source: str | None) -> Path:
    """Return the folder that the settings name.

    Raises
    ------
    ConfigError
        No folder is named, or it does not exist.
    """
    if source is None:
        raise ConfigError(
            "this data set has no source folder",
            where="dataset.source",
            fix="pass `--source FOLDER` or set FINAI_SOURCE to the folder that holds its tables",
        )
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise ConfigError(
            f"there is no folder {source!r}",
            where="dataset.source",
            fix="pass `--source FOLDER` or set FINAI_SOURCE to the folder that holds its tables",
        )
    return folder


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def schema_hash(schemas: Mapping[str, Mapping[str, str]]) -> str:
    """Return a short hash of the columns and types of a source's tables, whatever their order."""
    lines = sorted(f"{table}.{name}: {kind}" for table, columns in schemas.items() for name, kind in columns.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
