"""Parquet and Arrow files as batches, read whole once; types that DuckDB or a contract cannot take as they are made plain.

Timestamps become microseconds, those with a time zone local times of the declared zone; anything else keeps its type. A column
that cannot be made plain is left out and its error kept, so that a column that nobody uses stops nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import ipc

from finai_assets.ingest.tables.reading.delimited import named
from finai_resources.errors import ConfigError, ContractError
from finai_resources.printable import excerpt

_BATCH = 1 << 16
_MICROSECONDS = pa.timestamp("us")


@dataclass(frozen=True, slots=True)
class Plain:
    """Rules for types that have no single meaning.

    Parameters
    ----------
    time_zone
        The zone of whose clock timestamps with a zone are read.
    truncate_nanoseconds
        Whether nanoseconds below a microsecond are dropped; they are an error otherwise.
    """

    time_zone: str | None = None
    truncate_nanoseconds: bool = False


@dataclass
class Refusal:
    """Why a column was left out."""

    what: str
    fix: str


@dataclass
class Batches:
    """Rows of a file, to be iterated once; ``refused`` is complete when they have been.

    Parameters
    ----------
    schema
        As the file has it.
    changed
        Whether the rows differ from what the file says by type; if not, the file may be used as it is.
    """

    schema: pa.Schema
    target: pa.Schema
    changed: bool
    rows: Iterator[pa.RecordBatch]
    refused: dict[str, Refusal] = field(default_factory=dict)


def open_parquet(path: Path, shown: str, plain: Plain) -> Batches:
    """Open a Parquet file; its rows are read and checked while they are iterated.

    Raises
    ------
    ContractError
        The file is truncated or damaged (also while the rows are iterated), or names a column twice.
    """
    try:
        file = pq.ParquetFile(path)
        schema = file.schema_arrow
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, shown, "Parquet", error) from error
    return _batches(schema, lambda: file.iter_batches(batch_size=_BATCH), path, shown, "Parquet", plain)


def open_arrow(path: Path, shown: str, plain: Plain) -> Batches:
    """Open an Arrow file (Feather) or stream; it is always rewritten, because DuckDB reads none.

    Raises
    ------
    ContractError
        As :func:`open_parquet`.
    """
    try:
        source = pa.memory_map(str(path))
        if source.size() >= 6 and source.read(6) == b"ARROW1":
            reader: Any = ipc.open_file(source)
            found = (reader.get_batch(i) for i in range(reader.num_record_batches))
        else:
            source.seek(0)
            reader = ipc.open_stream(source)
            found = iter(reader)
        schema = reader.schema
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, shown, "Arrow", error) from error
    batches = _batches(schema, lambda: found, path, shown, "Arrow", plain)
    batches.changed = True
    return batches


def _damaged(path: Path, shown: str, kind: str, error: Exception) -> ContractError:
    return ContractError(
        f"no row of this {kind} file can be read, it is truncated or damaged ({excerpt(str(error), 200)})",
        where=f"{shown}, every column ({path.stat().st_size:,} bytes)",
        fix="fetch or export the file again, and compare its size with the original's",
    )


def _batches(
    schema: pa.Schema, read: Callable[[], Iterator[pa.RecordBatch]], path: Path, shown: str, kind: str, plain: Plain
) -> Batches:
    def whole() -> Iterator[pa.RecordBatch]:
        try:
            yield from read()
        except (OSError, pa.ArrowException) as error:
            raise _damaged(path, shown, kind, error) from error

    return plain_batches(schema, whole, shown, plain)


def plain_batches(schema: pa.Schema, read: Callable[[], Iterator[pa.RecordBatch]], shown: str, plain: Plain) -> Batches:
    """Return batches with plain types for those of a schema.

    Raises
    ------
    ConfigError
        The declared time zone is unknown.
    ContractError
        A column is named twice.
    """
    named(schema.names, shown)
    targets = {entry.name: _target(entry.type, plain, shown) for entry in schema}
    refused = {name: target for name, target in targets.items() if isinstance(target, Refusal)}
    kept = [pa.field(name, target) for name, target in targets.items() if isinstance(target, pa.DataType)]
    changed = bool(refused) or any(stored_type(schema.field(entry.name).type) != entry.type for entry in kept)
    result = Batches(schema, pa.schema(kept), changed, iter(()), refused)

    result.rows = (_plain_batch(batch, result, plain) for batch in read())
    return result


def write_plain(
    opened: Callable[[], Batches], write: Callable[[pa.Schema, Iterator[pa.RecordBatch]], tuple[Path, int]]
) -> tuple[Path, int, dict[str, tuple[str, str]]]:
    """Write the rows of batches; return their file, how many there are, and the columns that were refused and left out.

    Parameters
    ----------
    opened
        Opens the batches. It is called twice where a value deep in the rows cannot be made plain: they are written again without
        its column.
    write
        Writes rows of a schema as they come.
    """
    first = opened()
    path, rows = write(first.target, first.rows)
    wrong = {name: (refusal.what, refusal.fix) for name, refusal in first.refused.items()}
    slim = pa.schema([column for column in first.target if column.name not in wrong])
    if len(slim) < len(first.target):
        path, rows = write(slim, (batch.select(slim.names) for batch in opened().rows))
    return path, rows, wrong


def _target(kind: pa.DataType, plain: Plain, shown: str) -> pa.DataType | Refusal:
    t = pa.types
    if t.is_dictionary(kind):
        return _target(kind.value_type, plain, shown)
    made: pa.DataType | Refusal = kind
    if t.is_timestamp(kind):
        made = _MICROSECONDS if kind.tz is None else _local(kind, plain, shown)
    elif t.is_decimal256(kind):
        fits = kind.scale <= 38
        made = pa.decimal128(38, kind.scale) if fits else Refusal(f"type {kind}", "export at most 38 digits")
    elif t.is_float16(kind):
        made = pa.float32()
    elif t.is_large_string(kind) or t.is_string_view(kind):
        made = pa.string()
    elif t.is_duration(kind) or t.is_union(kind) or t.is_run_end_encoded(kind):
        made = Refusal(f"type {kind} has no counterpart in SQL", "export the column as a number or as text")
    return made


def _local(kind: pa.DataType, plain: Plain, shown: str) -> pa.DataType | Refusal:
    if plain.time_zone is None:
        return Refusal(
            f"timestamps with the time zone {kind.tz}, and the zone of whose clock they are to be read is not declared",
            "declare `time_zone` in the section `tables`, such as `time_zone: Europe/Prague`",
        )
    _known_zone(plain.time_zone, shown)
    return _MICROSECONDS


def stored_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column as DuckDB sees it in Parquet: a dictionary is its values, all text is alike."""
    if pa.types.is_dictionary(kind):
        return stored_type(kind.value_type)
    return pa.string() if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) else kind


def _known_zone(name: str, shown: str) -> None:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ConfigError(
            f"unknown time zone {excerpt(name)!r}", where=shown, fix="name one such as Europe/Prague or Asia/Seoul"
        ) from error


def _plain_batch(batch: pa.RecordBatch, result: Batches, plain: Plain) -> pa.RecordBatch:
    columns = []
    for wanted in result.target:
        column = batch.column(wanted.name)
        made = (
            pa.nulls(len(column), wanted.type) if wanted.name in result.refused else _cast(column, wanted.type, plain)
        )
        if isinstance(made, Refusal):
            result.refused[wanted.name] = made
            made = pa.nulls(len(column), wanted.type)
        columns.append(made)
    return pa.RecordBatch.from_arrays(columns, schema=result.target)


def _cast(column: pa.Array, wanted: pa.DataType, plain: Plain) -> pa.Array | Refusal:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if column.type == wanted:
        return column
    if not pa.types.is_timestamp(column.type):
        try:
            return column.cast(wanted)
        except pa.ArrowInvalid as error:
            return Refusal(f"a value of type {column.type} does not fit {wanted} ({error})", "export a smaller type")
    instants = pa.timestamp("us", column.type.tz)
    if column.type.unit == "ns":
        left = pc.not_equal(pc.nanosecond(column), 0)
        if not plain.truncate_nanoseconds and pc.any(left).as_py():
            examples = [excerpt(str(value)) for value in column.filter(left).slice(0, 3)]
            count = pc.sum(left).as_py()
            return Refusal(
                f"timestamps with nanoseconds below a microsecond, in {count:,} of the first rows that have any, for example "
                + ", ".join(examples),
                "declare `nanoseconds: truncate` of the source, or round them at the source",
            )
        column = column.cast(instants, safe=False)
    try:
        column = column.cast(instants)
    except pa.ArrowInvalid as error:
        return Refusal(f"a {column.type} lies outside the years that microseconds can hold ({error})", "correct it")
    if column.type.tz is not None:
        column = pc.local_timestamp(column.cast(pa.timestamp("us", plain.time_zone)))
    return column
