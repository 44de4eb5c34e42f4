"""Manifests: the files of a partition, and the versions and the upstream that it was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from finai_resources.errors import LakeError
from finai_resources.json_text import to_json

MANIFEST, SEAL = "_manifest.json", "seal"


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


def to_file(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest's file; its seal is the hash of all other fields."""
    fields = json.loads(to_json(asdict(manifest)))  # as a reader will find them: keys are texts
    return to_json({**fields, SEAL: _seal_of(fields)}, indent=1, sort_keys=True)


def from_file(content: bytes, asset: str, partition: str | None) -> Manifest:
    """Return the manifest that a file holds. One that was written before manifests had seals is read without.

    Raises
    ------
    ValueError
        It is cut off or altered, or is no manifest, or that of another partition.
    """
    raw = json.loads(content)
    try:
        seal = raw.pop(SEAL, None)
        manifest = Manifest(**{**raw, "files": tuple(StoredFile(**entry) for entry in raw["files"])})
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f"it is no manifest: {error}") from error
    if seal is not None and seal != _seal_of(raw):
        raise ValueError("its fields are not the ones that were written")
    if (manifest.asset, manifest.partition) != (asset, partition):
        raise ValueError(f"it is that of {address(manifest.asset, manifest.partition)}")
    return manifest


def _seal_of(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(to_json(fields, sort_keys=True)).hexdigest()
