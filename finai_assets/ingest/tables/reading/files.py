"""The files of one source, each brought to the cache as Parquet unless it is Parquet that can be used as it is."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from finai_assets.ingest.tables.reading.columnar import Batches, Plain, open_arrow, open_parquet, write_plain
from finai_assets.ingest.tables.reading.delimited import Dialect, read_delimited
from finai_assets.ingest.tables.reading.digests import file_digest
from finai_assets.ingest.tables.reading.fixed_width import read_fixed_width
from finai_assets.ingest.tables.reading.places import Found, find_files, kind_of, list_folder, local_root
from finai_assets.ingest.tables.reading.s3 import Bucket
from finai_assets.ingest.tables.reading.store import Entry, Store
from finai_assets.ingest.tables.reading.text import open_bytes, text_blocks, text_codec
from finai_assets.settings.tables import SourceSettings
from finai_resources.errors import ContractError
from finai_resources.printable import excerpt

_S3 = "s3://"
_HEADS = {b"PAR1": "parquet", b"ARROW1": "arrow"}


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file of a source, on this machine.

    Parameters
    ----------
    key
        Its path below the folder that the source's files share.
    shown
        How errors name it.
    """

    key: str
    shown: str
    local: Path
    sha256: str
    partition: tuple[tuple[str, str | None], ...]


class FileReader:
    """Reads the files of a source.

    Parameters
    ----------
    on_progress
        Is told what is read, the bytes that are done, and how many there are.
    """

    def __init__(
        self,
        name: str,
        source: SourceSettings,
        folder: Path | None,
        store: Store,
        plain: Plain,
        on_progress: Callable[[str, int, int], None],
    ) -> None:
        self.name, self.source, self.folder, self.store = name, source, folder, store
        self.on_progress, self.where = on_progress, f"tables.sources.{name}"
        self.plain = plain
        self._bucket: Bucket | None = None
        text_codec(source.encoding, where=f"{self.where}.encoding")

    def read(self) -> tuple[list[SourceFile], list[Entry]]:
        """Return the files of the source, in order, and the entry of each."""
        paths = (self.source.path,) if isinstance(self.source.path, str) else self.source.path or ()
        files = [file for path in paths for file in self._found(path)]
        return files, [self._entry(file) for file in files]

    def _found(self, path: str) -> Iterator[SourceFile]:
        if path.startswith(_S3):
            yield from self._in_s3(path.removeprefix(_S3))
            return
        root, rest = local_root(path, self.folder, where=f"{self.where}.path")
        for found in find_files(root, rest, list_folder, where=f"{self.where}.path"):
            local = Path(found.path)
            yield self._file(found, found.path, local, file_digest(local, self.store.root))

    def _file(self, found: Found, shown: str, local: Path, digest: str) -> SourceFile:
        return SourceFile(found.key, excerpt(shown, 400), local, digest, tuple(sorted(found.partition.items())))

    def _in_s3(self, path: str) -> Iterator[SourceFile]:
        self._bucket = self._bucket or Bucket.from_environment()
        bucket, _, rest = path.partition("/")
        for found in find_files(bucket, rest, self._bucket.names, where=f"{self.where}.path"):
            local, digest = self._bucket.copy(found.path, self.store.root, self.on_progress)
            yield self._file(found, f"{_S3}{found.path}", local, digest)

    # ---- one file

    def _entry(self, file: SourceFile) -> Entry:
        kind = self.source.format or _kind(file)
        options = self._options(kind, file)
        key = self.store.key(file.sha256, options)
        known = self.store.find(key)
        if known is not None:
            return known
        entry = self._text(kind, file, key) if kind in ("csv", "fixed_width") else self._columnar(kind, file, key)
        if file_digest(file.local, self.store.root) != file.sha256:
            raise ContractError(
                "the file changed while it was read", where=file.shown, fix="run again when it has been written whole"
            )
        return self.store.put(key, entry)

    def _options(self, kind: str, file: SourceFile) -> dict[str, Any]:
        """Return what decides which rows a content becomes."""
        given = self.source
        common = {"kind": kind, "partition": file.partition}
        if kind in ("parquet", "arrow"):
            return {**common, "zone": self.plain.time_zone, "truncate": self.plain.truncate_nanoseconds}
        return {
            **common,
            "delimiter": given.delimiter,
            "quote": given.quote,
            "encoding": codecs.lookup(given.encoding).name,
            "header": given.header,
            "columns": given.columns,
            "widths": given.widths,
            "skip": [given.skip_rows, given.skip_footer],
            "unterminated": given.unterminated,
        }

    def _text(self, kind: str, file: SourceFile, key: str) -> Entry:
        given = self.source
        dialect = Dialect(
            given.delimiter, given.quote, given.header, given.columns or None, given.unterminated == "refuse"
        )
        notes: list[str] = []
        with file.local.open("rb") as raw:
            size = file.local.stat().st_size
            stream = open_bytes(pa.PythonFile(raw, mode="r"), file.shown)
            blocks = text_blocks(
                stream, given.encoding, file.shown, skip_rows=given.skip_rows, skip_footer=given.skip_footer
            )
            if kind == "fixed_width":
                names, tables = read_fixed_width(blocks, given.widths, dialect, file.shown, notes)
            else:
                names, tables = read_delimited(blocks, dialect, file.shown, notes)
            schema = pa.schema([(name, pa.string()) for name in names])

            def told() -> Iterator[pa.Table]:
                for table in tables:
                    self.on_progress(file.shown, raw.tell(), size)
                    yield table

            shown = dict.fromkeys(names, "string")
            path, rows = self._write(key, shown, schema, told(), file)
            whole = {**shown, **dict.fromkeys(self._added(file, names), "string")}
            return Entry(rows, whole, path, notes=tuple(notes))

    def _columnar(self, kind: str, file: SourceFile, key: str) -> Entry:
        opened = self._open(kind, file)
        shown = {entry.name: str(entry.type) for entry in opened.schema}
        size, rows = file.local.stat().st_size, 0
        if not opened.changed and not self._added(file, opened.schema.names):
            for batch in opened.rows:
                rows += batch.num_rows
                self.on_progress(file.shown, min(rows, size), size)
            return Entry(rows, shown, None)
        path, rows, refused = write_plain(
            lambda: self._open(kind, file), lambda schema, batches: self._write(key, shown, schema, batches, file)
        )
        return Entry(rows, {**shown, **dict.fromkeys(self._added(file, list(shown)), "string")}, path, refused)

    def _open(self, kind: str, file: SourceFile) -> Batches:
        return (open_parquet if kind == "parquet" else open_arrow)(file.local, file.shown, self.plain)

    def _added(self, file: SourceFile, names: Sequence[str]) -> dict[str, str | None]:
        """Return the values that the file's folders state and the file itself does not."""
        have = {name.casefold() for name in names}
        return {name: value for name, value in file.partition if name.casefold() not in have}

    def _write(
        self,
        key: str,
        shown: dict[str, str],
        schema: pa.Schema,
        tables: Iterable[pa.Table | pa.RecordBatch],
        file: SourceFile,
    ) -> tuple[Path, int]:
        """Write rows with the values that the file's folders state."""
        added = self._added(file, list(shown))
        for name in added:
            schema = schema.append(pa.field(name, pa.string()))

        def whole() -> Iterator[pa.Table]:
            for table in tables:
                rows = table.num_rows
                columns = [table.column(name) for name in schema.names if name not in added]
                columns += [pa.array([value] * rows, pa.string()) for value in added.values()]
                yield pa.table(columns, schema=schema)

        return self.store.write(key, schema, whole())

    def shown(self, files: Sequence[SourceFile]) -> str:
        """Return how errors name the source: its file, or its path where there are several."""
        if len(files) == 1:
            return files[0].shown
        given = (self.source.path,) if isinstance(self.source.path, str) else self.source.path or ()
        paths = ", ".join(path if self.folder is None or "://" in path else str(self.folder / path) for path in given)
        return f"{excerpt(paths, 400)} ({len(files):,} files)"


def _kind(file: SourceFile) -> str:
    """Return the kind of a file by its first bytes, and where they do not say, by its name; text otherwise."""
    with file.local.open("rb") as stream:
        head = stream.read(8)
    for magic, kind in _HEADS.items():
        if head.startswith(magic):
            return kind
    return kind_of(file.key) or "csv"
