"""The cache of sources as Parquet: an entry is named by the content that it was made from and by how it was read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from finai_resources.json_text import remembered, to_json
from finai_resources.manifest import StoredFile
from finai_resources.stored_bytes import fault_of, hash_file
from finai_resources.whole_file import replace_file, replacing

READER = 1  # raise it where the same content would be read into other rows
_ROW_GROUP = 1 << 17
_DISK = pafs.LocalFileSystem()


@dataclass(frozen=True, slots=True)
class Entry:
    """What is known of one file that was read.

    Parameters
    ----------
    rows
        Number of rows.
    schema
        Column -> type, as the source has it.
    parquet
        The cached rows, None where the source's own file serves.
    refused
        Columns that cannot be used, each with what is wrong and what to do.
    notes
        What a person should know of the file, and what stops nothing.
    """

    rows: int
    schema: dict[str, str]
    parquet: Path | None
    refused: dict[str, tuple[str, str]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Store:
    """Entries below a folder.

    Parameters
    ----------
    root
        The folder; it is made with the first entry.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def key(self, content: str, options: Mapping[str, Any]) -> str:
        """Return the name of the entry of a content that is read with some options."""
        return hashlib.sha256(to_json([READER, content, dict(options)], sort_keys=True)).hexdigest()[:40]

    def find(self, key: str) -> Entry | None:
        """Return an entry, None where there is none that is whole."""
        facts = remembered(self.root / f"{key}.json")
        if not {"rows", "schema", "parquet", "refused", "notes"} <= facts.keys():
            return None
        parquet = self.root / f"{key}.parquet" if facts["parquet"] is not None else None
        if parquet is not None and fault_of(_DISK, str(parquet), StoredFile(**facts["parquet"])):
            return None
        refused = {name: (what, fix) for name, (what, fix) in facts["refused"].items()}
        return Entry(facts["rows"], facts["schema"], parquet, refused, tuple(facts["notes"]))

    def put(self, key: str, entry: Entry) -> Entry:
        """Store what is known of a file, when its rows are in their place; return it."""
        facts = {
            "rows": entry.rows,
            "schema": entry.schema,
            "parquet": asdict(_stored(entry.parquet)) if entry.parquet else None,
            "refused": entry.refused,
            "notes": entry.notes,
        }
        replace_file(self.root / f"{key}.json", to_json(facts), durable=False)
        return entry

    def write(self, key: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch | pa.Table]) -> tuple[Path, int]:
        """Write rows as the Parquet of an entry, as they come; return its path and how many there are.

        Nothing stays where the iteration raises.
        """
        path, rows, waiting, held = self.root / f"{key}.parquet", 0, [], 0
        with replacing(path) as sink, pq.ParquetWriter(sink, schema, compression="zstd", compression_level=1) as writer:
            for batch in batches:
                table = batch if isinstance(batch, pa.Table) else pa.Table.from_batches([batch])
                rows, held = rows + table.num_rows, held + table.num_rows
                waiting.append(table)
                if held >= _ROW_GROUP:
                    writer.write_table(pa.concat_tables(waiting), row_group_size=_ROW_GROUP)
                    waiting, held = [], 0
            if waiting:
                writer.write_table(pa.concat_tables(waiting), row_group_size=_ROW_GROUP)
        return path, rows


def _stored(parquet: Path) -> StoredFile:
    path = str(parquet)
    return StoredFile(parquet.name, "rows", parquet.stat().st_size, hash_file(_DISK, path))
