"""The writer of a partition: files are staged, then moved to their place, then listed in the manifest."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from finai_resources.manifest import MANIFEST, Manifest, StoredFile, to_file
from finai_resources.whole_file import replace_file

if TYPE_CHECKING:
    from finai_resources.lake import Lake

_CHUNK = 1 << 20


class PartitionWriter:
    """Writes the files of one partition. :meth:`Lake.write` creates it."""

    def __init__(self, lake: Lake, asset: str, partition: str | None, extra: dict[str, Any]) -> None:
        self.lake, self.asset, self.partition, self.extra = lake, asset, partition, extra
        self.manifest: Manifest | None = None
        # Files are staged beside their destination (so that a move stays on one disk), or in a local folder for a remote lake.
        if lake.is_local:
            self.staging = Path(lake.root) / "_staging" / uuid.uuid4().hex
            self.staging.mkdir(parents=True)
        else:
            self.staging = Path(tempfile.mkdtemp(prefix="finai-"))
        self._parquet: pq.ParquetWriter | None = None
        self._rows = 0
        self._schema: pa.Schema | None = None
        self._staged: list[tuple[Path, str, int]] = []

    def write(self, table: pa.Table, *, row_group_size: int | None = None) -> None:
        """Append rows to the partition's Parquet file; each call makes at least one row group."""
        if self._parquet is None:
            path = self.staging / "part-0.parquet"
            self._schema = table.schema
            self._parquet = pq.ParquetWriter(path, table.schema, **self.lake.parquet_options(table.schema))
        self._parquet.write_table(table, row_group_size=row_group_size or max(1, table.num_rows))
        self._rows += table.num_rows

    def put(self, role: str, content: bytes) -> None:
        """Add a file under a name; read it back with ``read_bytes(asset, partition, role)``."""
        path = self.staging / role.replace("/", "__")
        path.write_bytes(content)
        self._staged.append((path, role, 0))

    def new_file(self, role: str) -> Path:
        """Return a path to write a large file to (an array to be memory-mapped, say)."""
        path = self.staging / role.replace("/", "__")
        self._staged.append((path, role, 0))
        return path

    def new_array(self, role: str, shape: tuple[int, ...]) -> np.memmap:
        """Return a new memory-mapped array of float32 to fill.

        Raises
        ------
        OSError
            The disk has no room for it: a map that outgrew the disk would end the process without a word.
        """
        path = self.new_file(role)
        array: np.memmap = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)
        with path.open("r+b") as stream:
            os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)
        return array

    def commit(self, *, code_version: str, config_hash: str, upstream: dict[str, str]) -> None:
        """Move the staged files to their place and write the manifest."""
        staged = list(self._staged)
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None
            staged.insert(0, (self.staging / "part-0.parquet", "table", self._rows))
        folder = self.lake.folder(self.asset, self.partition)
        self.lake.fs.create_dir(folder, recursive=True)
        files = []
        for path, role, rows in staged:
            digest = _hash_file(path)
            name = f"{path.stem}-{digest[:12]}{path.suffix}"
            self._place(path, f"{folder}/{name}")
            files.append(
                StoredFile(
                    name, role, Path(path).stat().st_size if path.exists() else self._size(folder, name), digest, rows
                )
            )
        schema_text = str(self._schema.remove_metadata()) if self._schema is not None else ""
        content = hashlib.sha256(
            "\n".join(f"{f.role} {f.sha256}" for f in sorted(files, key=lambda f: f.role)).encode()
        )
        self.manifest = Manifest(
            asset=self.asset,
            partition=self.partition,
            files=tuple(files),
            rows=self._rows,
            schema_hash=hashlib.sha256(schema_text.encode()).hexdigest()[:16],
            content_hash=content.hexdigest(),
            code_version=code_version,
            config_hash=config_hash,
            upstream=dict(sorted(upstream.items())),
            extra=self.extra,
        )
        text = to_file(self.manifest)
        target = f"{folder}/{MANIFEST}"
        if self.lake.is_local:
            replace_file(Path(target), text, durable=False, staging=self.staging)
        else:
            with self.lake.fs.open_output_stream(target) as stream:
                stream.write(text)
        self._drop_old(folder, {f.name for f in files})

    def clean(self) -> None:
        """Remove what is still staged."""
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None
        shutil.rmtree(self.staging, ignore_errors=True)

    def _place(self, path: Path, target: str) -> None:
        if self.lake.is_local:
            path.replace(target)
            return
        with path.open("rb") as source, self.lake.fs.open_output_stream(target) as sink:
            shutil.copyfileobj(source, sink, _CHUNK)

    def _size(self, folder: str, name: str) -> int:
        return int(self.lake.fs.get_file_info(f"{folder}/{name}").size)

    def _drop_old(self, folder: str, keep: set[str]) -> None:
        for info in self.lake.fs.get_file_info(pafs.FileSelector(folder)):
            if info.base_name != MANIFEST and info.base_name not in keep and info.type == pafs.FileType.File:
                self.lake.fs.delete_file(info.path)


def _hash_file(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
