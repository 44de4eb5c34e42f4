"""Files of one source under one schema: differences are told, or made up for where the settings declare a union."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq

from finai_assets.ingest.tables.reading.columnar import stored_type
from finai_assets.ingest.tables.reading.files import SourceFile
from finai_assets.ingest.tables.reading.store import Entry, Store
from finai_resources.errors import ContractError
from finai_resources.printable import excerpt


def one_schema(
    entries: Sequence[Entry], files: Sequence[SourceFile], store: Store, *, union: bool
) -> tuple[list[Entry], dict[str, str]]:
    """Return entries whose rows have the same columns and types, and the columns of the source with their types as it has them.

    The order of columns does not matter; a column without any value fits every type. A column that one file refuses is left out
    of all.

    Parameters
    ----------
    union
        Whether a column that a file lacks is null there, and types may be widened.

    Raises
    ------
    ContractError
        The files have other columns or types and no union is declared, or a column's types have none in common.
    """
    shown: dict[str, str] = {}
    for entry in entries:
        for name, kind in entry.schema.items():
            shown[name] = kind if shown.get(name, "null") == "null" else shown[name]
    if len(entries) == 1:
        return list(entries), shown
    schemas = [_plain(pq.read_schema(entry.parquet or file.local)) for entry, file in zip(entries, files, strict=True)]
    refused = {name for entry in entries for name in entry.refused}
    schemas = [pa.schema([column for column in schema if column.name not in refused]) for schema in schemas]
    if not union:
        _require_same(schemas, files)
    whole = _unified(schemas, files)
    return [
        entry if _same(pq.read_schema(entry.parquet or file.local), whole) else _aligned(entry, file, whole, store)
        for entry, file in zip(entries, files, strict=True)
    ], shown


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(column.name, stored_type(column.type)) for column in schema])


def _same(schema: pa.Schema, whole: pa.Schema) -> bool:
    plain = _plain(schema)
    return sorted(plain.names) == sorted(whole.names) and all(plain.field(f.name).type == f.type for f in whole)


def _require_same(schemas: Sequence[pa.Schema], files: Sequence[SourceFile]) -> None:
    first = schemas[0]
    typed = {field.name: field.type for field in first}
    for schema, file in zip(schemas[1:], files[1:], strict=True):
        lacking = [name for name in first.names if name not in schema.names]
        more = [name for name in schema.names if name not in first.names]
        if lacking or more:
            column = (lacking or more)[0]
            differences = [f"lacks {', '.join(map(excerpt, lacking))}"] if lacking else []
            differences += [f"has {', '.join(map(excerpt, more))} besides"] if more else []
            raise ContractError(
                f"the files of one source have different columns: this one {' and '.join(differences)}, compared with "
                f"{files[0].shown}",
                where=f"{file.shown}, column {excerpt(column)}",
                fix="deliver the same columns in every file, or declare `union: true`, so that a lacking column is null",
            )
        for field in schema:
            known = typed[field.name]
            if pa.types.is_null(known):
                typed[field.name] = field.type
            elif field.type != known and not pa.types.is_null(field.type):
                raise ContractError(
                    f"the files of one source have different types: {field.type} here, {known} in {files[0].shown}",
                    where=f"{file.shown}, column {excerpt(field.name)}",
                    fix="deliver one type in every file, or declare `union: true`, so that the wider type holds both",
                )


def _unified(schemas: Sequence[pa.Schema], files: Sequence[SourceFile]) -> pa.Schema:
    whole = schemas[0]
    for schema, file in zip(schemas[1:], files[1:], strict=True):
        try:
            whole = pa.unify_schemas([whole, schema], promote_options="permissive")
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            raise ContractError(
                f"a column has no type in common with the files before ({excerpt(str(error), 300)})",
                where=f"{file.shown}, every column",
                fix="deliver one type in every file",
            ) from error
    return whole


def _aligned(entry: Entry, file: SourceFile, whole: pa.Schema, store: Store) -> Entry:
    """Return the entry with its rows written once more, under the schema of all files."""
    content = f"{file.sha256} {entry.parquet.stem if entry.parquet else ''}"
    key = store.key(content, {"schema": [[column.name, str(column.type)] for column in whole]})
    known = store.find(key)
    if known is not None:
        return known

    def rows() -> Iterator[pa.RecordBatch]:
        for batch in pq.ParquetFile(entry.parquet or file.local).iter_batches():
            yield pa.RecordBatch.from_arrays([_column(batch, column, file) for column in whole], schema=whole)

    path, count = store.write(key, whole, rows())
    return store.put(key, replace(entry, parquet=path, rows=count))


def _column(batch: pa.RecordBatch, wanted: pa.Field, file: SourceFile) -> pa.Array:
    if wanted.name not in batch.schema.names:
        return pa.nulls(batch.num_rows, wanted.type)
    column = batch.column(wanted.name)
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        return column.cast(wanted.type)
    except pa.ArrowInvalid as error:
        raise ContractError(
            f"a value of type {column.type} does not fit {wanted.type}, which all files have in common ({error})",
            where=f"{file.shown}, column {excerpt(wanted.name)}",
            fix="deliver one type in every file",
        ) from error
