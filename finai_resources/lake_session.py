"""Sessions on the lake: all partitions that a session reads become the upstream of those that it writes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.manifest import Manifest, address
from finai_resources.partition_writer import PartitionWriter
from finai_resources.stored_bytes import faults_at_a_glance


class LakeSession:
    """A lake that records which partitions are read, and stores them as the upstream of those that are written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     session = LakeSession(Lake.on_disk(folder))
    ...     with session.write("raw/snapshots", "2015-01", code_version="1") as out:
    ...         out.write(pa.table({"customer_id": [1, 2]}))
    ...     table = session.read("raw/snapshots", "2015-01")
    ...     with session.write("features/demographics", "2015-01", code_version="1") as out:
    ...         out.write(table)
    ...     list(out.manifest.upstream)
    ['raw/snapshots@2015-01']
    """

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.seen: dict[str, str] = {}

    def manifest(self, asset: str, partition: str | None = None) -> Manifest:
        """Return a manifest and record that it was read."""
        manifest = self.lake.manifest(asset, partition)
        self.seen[address(asset, partition)] = manifest.content_hash
        return manifest

    def manifests(self, asset: str) -> list[Manifest]:
        """Return the manifests of every stored partition, and record that they were read."""
        found = self.lake.manifests(asset)
        self.seen |= {address(asset, manifest.partition): manifest.content_hash for manifest in found}
        return found

    def find(self, asset: str, partition: str | None = None) -> Manifest | None:
        """Return a manifest and record that it was read; None where there is none."""
        return self.manifest(asset, partition) if self.lake.find(asset, partition) else None

    def read(self, asset: str, partition: str | None = None, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a partition whole."""
        self.manifest(asset, partition)
        return self.lake.read(asset, partition, columns=columns)

    def read_customers(
        self, asset: str, partition: str | None, low: int, high: int, *, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Read the rows of a range of customers."""
        self.manifest(asset, partition)
        return self.lake.read_customers(asset, partition, low, high, columns=columns)

    def read_bytes(self, asset: str, partition: str | None, role: str) -> bytes:
        """Read one stored file."""
        self.manifest(asset, partition)
        return self.lake.read_bytes(asset, partition, role)

    def read_files(self, asset: str) -> dict[str, bytes]:
        """Read every stored file of an asset without months, by role."""
        return {stored.role: self.read_bytes(asset, None, stored.role) for stored in self.manifest(asset).files}

    def read_json(self, asset: str, partition: str | None, role: str) -> Any:
        """Read one stored JSON file."""
        return json.loads(self.read_bytes(asset, partition, role))

    def local_path(self, asset: str, partition: str | None, role: str) -> Path:
        """Return a path on this machine for a stored file."""
        self.manifest(asset, partition)
        return self.lake.local_path(asset, partition, role)

    @contextmanager
    def write(
        self,
        asset: str,
        partition: str | None = None,
        *,
        code_version: str,
        config_hash: str = "",
        extra: Mapping[str, Any] | None = None,
    ) -> Iterator[PartitionWriter]:
        """Open a partition for writing; everything read through this session becomes its upstream."""
        with self.lake.write(
            asset,
            partition,
            code_version=code_version,
            config_hash=config_hash,
            upstream=lambda: self.seen,
            extra=extra,
        ) as writer:
            yield writer


def is_current(lake: Lake, asset: str, partition: str | None, *, code_version: str, config_hash: str) -> bool:
    """Return whether a partition was written by this code and config version from its upstream's present content.

    One is not whose manifest cannot be read, or of which a file is gone or has another size; that is seen without reading a file.
    """
    try:
        return _is_current(lake, asset, partition, code_version=code_version, config_hash=config_hash)
    except LakeError:  # a damaged manifest, its own or an upstream's
        return False


def _is_current(lake: Lake, asset: str, partition: str | None, *, code_version: str, config_hash: str) -> bool:
    manifest = lake.find(asset, partition)
    if manifest is None or manifest.code_version != code_version or manifest.config_hash != config_hash:
        return False
    for source, content_hash in manifest.upstream.items():
        name, _, month = source.partition("@")
        found = lake.find(name, month or None)
        if found is None or found.content_hash != content_hash:
            return False
    return not faults_at_a_glance(lake, manifest)
