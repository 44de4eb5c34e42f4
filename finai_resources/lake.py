"""The lake: Parquet tables and files in partitions, on disk or in S3, each written whole or not at all.

A partition is a folder ``<root>/<asset path>/month=<YYYY-MM>/`` (or ``<root>/<asset path>/all/``) whose files carry their own
content hash in their names, beside ``_manifest.json``, written last, that lists them. A reader takes only what the manifest
lists, so that a killed writer, or one at work, is invisible; a partition without a manifest does not exist. What is read is what
was written: a file whose bytes do not have the manifest's hash is refused (:mod:`~finai_resources.stored_bytes`).

A :class:`~finai_resources.lake_session.LakeSession` records what was read: provenance is measured, not declared.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from finai_resources.errors import LakeError
from finai_resources.leases import FOLDER as LEASES
from finai_resources.leases import leased
from finai_resources.manifest import MANIFEST, Manifest, StoredFile, address, from_file
from finai_resources.partition_writer import PartitionWriter
from finai_resources.quarantine import DAMAGED, Damage, damaged, reason_of
from finai_resources.storage_errors import as_storage_errors
from finai_resources.stored_bytes import fault_of, faults_at_a_glance, require_intact, unreadable
from finai_resources.whole_file import replacing

_CHUNK = 1 << 20
_REQUESTS = 16  # at once, to a remote lake
_MONTH, _WHOLE = "month=", "all"
# Folders of the lake that hold no partitions: what is being written, what checks found, and the log of it.
BESIDE = ("_staging", LEASES, "checks", "evidence")

Given = TypeVar("Given")
Found = TypeVar("Found")


class Lake:
    """Partitions below one root.

    Parameters
    ----------
    filesystem
        A ``pyarrow.fs`` file system.
    root
        Folder, or ``bucket/prefix``.
    compression, compression_level
        Of the Parquet files.
    s3_client
        boto3's client for a lake in S3: what pyarrow's file system cannot do (a conditional put) goes through it.
    """

    def __init__(
        self,
        filesystem: pafs.FileSystem,
        root: str,
        *,
        compression: str = "zstd",
        compression_level: int = 1,
        s3_client: Any = None,
    ) -> None:
        self.fs, self.root, self.s3_client = filesystem, root.rstrip("/"), s3_client
        self.compression, self.compression_level = compression, compression_level

    @classmethod
    def on_disk(cls, folder: Path | str, **options: Any) -> Lake:
        """Return a lake in a folder, which the first write makes."""
        return cls(pafs.LocalFileSystem(), Path(folder).resolve().as_posix(), **options)

    @property
    def is_local(self) -> bool:
        """Whether files can be opened by path."""
        return isinstance(self.fs, pafs.LocalFileSystem)

    def folder(self, asset: str, partition: str | None) -> str:
        """Return the folder of a partition."""
        return f"{self.root}/{asset}/" + (f"{_MONTH}{partition}" if partition else _WHOLE)

    # ---- reading

    def find(self, asset: str, partition: str | None = None) -> Manifest | None:
        """Return the manifest of a partition, or None where the partition does not exist.

        Raises
        ------
        LakeError
            The manifest is cut off, or is none, or that of another partition.
        """
        path = f"{self.folder(asset, partition)}/{MANIFEST}"
        try:
            with self.fs.open_input_stream(path) as stream:
                return from_file(stream.read(), asset, partition)
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise LakeError(
                f"the manifest of {address(asset, partition)} is damaged ({error})",
                where=path,
                fix=f"`finai run` computes {address(asset, partition)} again",
            ) from error

    def manifest(self, asset: str, partition: str | None = None) -> Manifest:
        """Return the manifest of a partition.

        Raises
        ------
        LakeError
            The partition does not exist, or was found damaged.
        """
        found = self.find(asset, partition)
        if found is None and (reason := reason_of(self, asset, partition)):
            raise LakeError(
                f"this partition was found damaged ({reason})",
                where=address(asset, partition),
                fix=f"`finai run` computes {address(asset, partition)} again",
            )
        if found is None:
            raise LakeError(
                "this partition has not been written", where=address(asset, partition), fix=f"materialise {asset} first"
            )
        return found

    def assets(self) -> list[str]:
        """Return the paths of the assets that have a folder in the lake, ascending."""
        found, level = [], [""]
        while level:
            deeper = []
            for path, names in zip(level, self.each(self._folders, level), strict=True):
                if any(name == _WHOLE or name.startswith(_MONTH) for name in names):
                    found.append(path)
                else:
                    deeper += [f"{path}/{name}".lstrip("/") for name in names if path or name not in BESIDE]
            level = deeper
        return sorted(found)

    def manifests(self, asset: str) -> list[Manifest]:
        """Return the manifests of the partitions that are stored, months ascending, the one without a month last."""
        return [manifest for manifest in self.each(lambda key: self.find(asset, key), self.keys(asset)) if manifest]

    def partitions(self, asset: str) -> list[str]:
        """Return the months that are stored, ascending."""
        return [manifest.partition for manifest in self.manifests(asset) if manifest.partition]

    def put_aside(self, asset: str) -> list[Damage]:
        """Return the damages of an asset's partitions that were found damaged and not been computed again since."""
        keys = self.keys(asset)
        reasons = self.each(lambda key: reason_of(self, asset, key), keys)
        return [Damage(asset, key, DAMAGED, reason) for key, reason in zip(keys, reasons, strict=True) if reason]

    def keys(self, asset: str) -> list[str | None]:
        """Return the months that an asset has folders of, ascending, and None last where it has the one without a month."""
        names = self._folders(asset)
        months = sorted(name.removeprefix(_MONTH) for name in names if name.startswith(_MONTH))
        return [*months, *([None] if _WHOLE in names else [])]

    def _folders(self, path: str) -> list[str]:
        infos = self.fs.get_file_info(pafs.FileSelector(f"{self.root}/{path}".rstrip("/"), allow_not_found=True))
        return [info.base_name for info in infos if info.type == pafs.FileType.Directory]

    def each(self, look: Callable[[Given], Found], items: Iterable[Given]) -> list[Found]:
        """Call a function for each item: one after the other on disk, several at once in S3."""
        if self.is_local:
            return [look(item) for item in items]
        with ThreadPoolExecutor(_REQUESTS) as pool:
            return list(pool.map(look, items))

    def path(self, manifest: Manifest, stored: StoredFile) -> str:
        """Return the path of a stored file."""
        return f"{self.folder(manifest.asset, manifest.partition)}/{stored.name}"

    def parquet_paths(self, manifest: Manifest, *, verified: bool = True) -> tuple[pafs.FileSystem, list[str]]:
        """Return the file system and the ordered paths of a partition's Parquet files, for a reader such as DuckDB.

        Parameters
        ----------
        verified
            Whether the files' content is verified, or their size alone (for one who only notes down the paths).

        Raises
        ------
        LakeError
            A file is gone or damaged.
        """
        files = [stored for stored in manifest.files if stored.name.endswith(".parquet")]
        if verified:
            return self.fs, self.each(lambda stored: require_intact(self, manifest, stored), files)
        for stored, fault in faults_at_a_glance(self, manifest):
            raise damaged(self, manifest, self.path(manifest, stored), fault)
        return self.fs, [self.path(manifest, stored) for stored in files]

    def open_parquet(self, manifest: Manifest) -> list[pq.ParquetFile]:
        """Open the Parquet files of a partition, in order. They are verified whole, whatever part of them is read then.

        Raises
        ------
        LakeError
            A file is gone, or is not the one that the manifest lists.
        """
        opened = []
        for path in self.parquet_paths(manifest)[1]:
            try:
                opened.append(pq.ParquetFile(self.fs.open_input_file(path), pre_buffer=not self.is_local))
            except (OSError, pa.ArrowInvalid) as error:
                raise unreadable(manifest, path, error) from error
        return opened

    def read(self, asset: str, partition: str | None = None, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Read a partition whole."""
        manifest = self.manifest(asset, partition)
        try:
            tables = [file.read(columns=list(columns) if columns else None) for file in self.open_parquet(manifest)]
        except (OSError, pa.ArrowInvalid) as error:
            raise LakeError(
                f"the partition cannot be read: {error}",
                where=address(asset, partition),
                fix="see that its disk or bucket answers; `finai doctor --deep` examines every file",
            ) from error
        return pa.concat_tables(tables)

    def read_customers(
        self, asset: str, partition: str | None, low: int, high: int, *, columns: Sequence[str] | None = None
    ) -> pa.Table:
        """Read the rows with ``low <= customer_id <= high`` of a partition that is sorted by customer.

        Only the row groups that overlap the range are decoded, so the cost grows with the range alone.
        """
        pieces = []
        schema = None
        for file in self.open_parquet(self.manifest(asset, partition)):
            schema = file.schema_arrow
            position = schema.get_field_index("customer_id")
            groups = []
            for index in range(file.metadata.num_row_groups):
                statistics = file.metadata.row_group(index).column(position).statistics
                if statistics is None or (statistics.min <= high and statistics.max >= low):
                    groups.append(index)
            if groups:
                pieces.append(file.read_row_groups(groups, columns=list(columns) if columns else None))
        if not pieces:
            if schema is None:
                raise LakeError("the partition holds no Parquet file", where=address(asset, partition))
            chosen = [schema.field(name) for name in columns] if columns else list(schema)
            return pa.schema(chosen).empty_table()
        table = pa.concat_tables(pieces).combine_chunks()
        ids = table["customer_id"].combine_chunks().to_numpy()
        return table.slice(*_span(ids, low, high))

    def read_bytes(self, asset: str, partition: str | None, role: str) -> bytes:
        """Read one stored file.

        Raises
        ------
        LakeError
            The file is gone or its content is not what was written.
        """
        manifest = self.manifest(asset, partition)
        stored = manifest.file(role)
        path = require_intact(self, manifest, stored)
        try:
            with self.fs.open_input_stream(path) as stream:
                content: bytes = stream.read()
        except OSError as error:
            raise unreadable(manifest, path, error) from error
        return content

    def local_path(self, asset: str, partition: str | None, role: str, *, cache: Path | None = None) -> Path:
        """Return a local path of a stored file, for memory maps; a file of a remote lake is fetched once.

        Raises
        ------
        LakeError
            The file is gone or its content is not what was written.
        """
        manifest = self.manifest(asset, partition)
        stored = manifest.file(role)
        if self.is_local:
            return Path(require_intact(self, manifest, stored))
        path = self.path(manifest, stored)
        folder = (cache or Path(tempfile.gettempdir()) / "finai-cache") / stored.sha256[:2]
        target = folder / f"{stored.sha256}-{stored.role.replace('/', '_')}"
        if _fault_on_disk(target, stored) is None:
            return target
        try:
            with self.fs.open_input_stream(path) as source, replacing(target, durable=False) as sink:
                shutil.copyfileobj(source, sink, _CHUNK)
        except FileNotFoundError as error:
            raise damaged(self, manifest, path, "the file is gone") from error
        if fault := _fault_on_disk(target, stored):
            target.unlink()
            raise damaged(self, manifest, path, fault)
        return target

    # ---- writing

    def parquet_options(self, schema: pa.Schema) -> dict[str, Any]:
        """Return the options of ``pyarrow.parquet.ParquetWriter`` for a schema."""
        split = [f.name for f in schema if f.type in (pa.float32(), pa.float64()) or pa.types.is_timestamp(f.type)]
        return {
            "compression": self.compression,
            "compression_level": self.compression_level if self.compression == "zstd" else None,
            # A dictionary pays for codes and flags; values that hardly repeat only lose time on it. Split by bytes, measured on
            # feature columns and on transactions, these take 5 to 25 % less space and a quarter less time, to write and to read.
            "use_dictionary": [f.name for f in schema if f.name not in split],
            "use_byte_stream_split": split,
            "write_statistics": ["customer_id"] if "customer_id" in schema.names else False,
            "store_schema": True,
        }

    @contextmanager
    def write(
        self,
        asset: str,
        partition: str | None = None,
        *,
        code_version: str = "",
        config_hash: str = "",
        upstream: Mapping[str, str] | Callable[[], Mapping[str, str]] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> Iterator[PartitionWriter]:
        """Open a partition for writing; it appears whole when the block ends, and not at all if the block raises.

        ``upstream`` may be a function, called at the end, when everything has been read.

        Raises
        ------
        LeaseError
            Another process writes the partition.
        StorageError
            The disk is full, read-only or closed to this user, or the system's limits are reached.
        """
        with as_storage_errors(self.folder(asset, partition)), leased(self, [(asset, partition)]) as (lease,):
            writer = PartitionWriter(self, asset, partition, dict(extra or {}))
            try:
                yield writer
                sources = upstream() if callable(upstream) else (upstream or {})
                lease.require()
                writer.commit(code_version=code_version, config_hash=config_hash, upstream=dict(sources))
            finally:
                writer.clean()

    def delete(self, asset: str, partition: str | None = None) -> None:
        """Remove a partition: its manifest first, so that it never looks whole while it goes."""
        folder = self.folder(asset, partition)
        if self.fs.get_file_info(f"{folder}/{MANIFEST}").type == pafs.FileType.File:
            self.fs.delete_file(f"{folder}/{MANIFEST}")
        if self.fs.get_file_info(folder).type == pafs.FileType.Directory:
            self.fs.delete_dir(folder)


def _fault_on_disk(path: Path, stored: StoredFile) -> str | None:
    return fault_of(pafs.LocalFileSystem(), path.as_posix(), stored)


def _span(ids: np.ndarray, low: int, high: int) -> tuple[int, int]:
    begin = int(np.searchsorted(ids, low, "left"))
    return begin, int(np.searchsorted(ids, high, "right")) - begin
