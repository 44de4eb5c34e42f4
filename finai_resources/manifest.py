"""Manifests: the files of a partition, and the versions and the upstream that it was made from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from finai_resources.errors import LakeError

MANIFEST = "_manifest.json"


# What a partition of an asset is written with: its path -> ``code_version`` and ``config_hash``.
Versions = Callable[[str], dict[str, Any]]


def one_version(code_version: str, config_hash: str = "") -> Versions:
    """Return versions that are the same for every asset."""
    return lambda _path: {"code_version": code_version, "config_hash": config_hash}


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a partition: its name in the folder, its size, its hash, and its rows if it is Parquet."""

    name: str
    role: str
    bytes: int
    sha256: str
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files of a partition, and the versions and the upstream that it was made from.

    ``content_hash`` covers the files' bytes alone, so equal data have equal hashes whoever wrote them and when.
    """

    asset: str
    partition: str | None
    files: tuple[StoredFile, ...]
    rows: int
    schema_hash: str
    content_hash: str
    code_version: str
    config_hash: str
    upstream: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def file(self, role: str) -> StoredFile:
        """Return the file that was stored under a name with ``put``."""
        for stored in self.files:
            if stored.role == role:
                return stored
        raise LakeError(
            f"the partition holds no file {role!r}, only {sorted(f.role for f in self.files)}",
            where=address(self.asset, self.partition),
            fix="materialise the asset again with this version of the code",
        )

    @property
    def bytes(self) -> int:
        """Return the size of all files."""
        return sum(stored.bytes for stored in self.files)


def address(asset: str, partition: str | None) -> str:
    """Return the name of a partition in manifests and errors: ``features/demographics@2015-01``."""
    return f"{asset}@{partition}" if partition else asset


def manifest_of(content: bytes, asset: str, partition: str | None) -> Manifest:
    """Return the manifest that a file holds.

    Raises
    ------
    ValueError
        It is cut off, or is no manifest, or that of another partition.
    """
    raw = json.loads(content)
    try:
        manifest = Manifest(**{**raw, "files": tuple(StoredFile(**entry) for entry in raw["files"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"it is no manifest: {error}") from error
    if (manifest.asset, manifest.partition) != (asset, partition):
        raise ValueError(f"it is that of {address(manifest.asset, manifest.partition)}")
    return manifest
