"""Reading a source's own files, Parquet or CSV, into Arrow tables; every defect of a file is a ContractError.

Text is read as text and parsed here, so that a value that is no number is counted and shown, not guessed at. What the columns
mean is not known here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from finai_assets.ingest.conform import EXAMPLES, Violation, Violations
from finai_resources.errors import ConfigError, ContractError

SUFFIXES = (".parquet", ".csv", ".asc")
_DELIMITERS = ";,\t|"


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


def find_file(folder: Path, table: str) -> Path:
    """Return the one file of a table: ``<table>.parquet``, ``.csv`` or ``.asc``.

    Raises
    ------
    ContractError
        The table has no file, or several.
    """
    found = [folder / f"{table}{suffix}" for suffix in SUFFIXES if (folder / f"{table}{suffix}").is_file()]
    names = ", ".join(f"{table}{suffix}" for suffix in SUFFIXES)
    if len(found) == 1:
        return found[0]
    if found:
        raise ContractError(
            f"table {table} has {len(found)} files: {', '.join(path.name for path in found)}",
            where=str(folder),
            fix="keep one of them",
        )
    raise ContractError(f"there is no file for table {table}", where=str(folder), fix=f"put one of {names} there")


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hexadecimal.

    Raises
    ------
    ContractError
        The file cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise ContractError(
            f"the file cannot be read ({error.strerror})",
            where=str(path),
            fix="put the file back, or let this user read it",
        ) from error


def read_file(path: Path, columns: Sequence[str], *, delimiter: str = ";", encoding: str = "utf-8") -> pa.Table:
    """Read the named columns of a Parquet or CSV file; CSV columns are all text, an empty field is null.

    Raises
    ------
    ContractError
        The file is truncated or no Parquet, has another delimiter or encoding, uneven lines, or lacks a column.
    """
    if path.suffix == ".parquet":
        return _read_parquet(path, columns)
    return _read_csv(path, columns, delimiter=delimiter, encoding=encoding)


def source_columns(path: Path, *, delimiter: str = ";", encoding: str = "utf-8") -> dict[str, str]:
    """Return the columns of a file and their types as the file has them (every CSV column is ``string``)."""
    if path.suffix == ".parquet":
        return {field.name: str(field.type) for field in _open_parquet(path).schema_arrow}
    return dict.fromkeys(_header(path, delimiter, encoding), "string")


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> ContractError:
    return ContractError(
        f"no row of this Parquet file can be read, it is truncated or damaged ({error})",
        where=f"{path}, every column ({path.stat().st_size:,} bytes)",
        fix="fetch or export the file again, and compare its size with the original's",
    )


def _read_parquet(path: Path, columns: Sequence[str]) -> pa.Table:
    file = _open_parquet(path)
    _require(path, file.schema_arrow.names, columns, file.metadata.num_rows)
    try:
        return file.read(columns=list(columns))
    except (OSError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _require(path: Path, have: Sequence[str], wanted: Sequence[str], rows: int) -> None:
    if missing := [name for name in wanted if name not in have]:
        raise ContractError(
            f"missing column ({rows:,} rows): {', '.join(missing)}; the file has {', '.join(have)}",
            where=f"{path}, column {missing[0]}",
            fix=f"deliver at least {', '.join(wanted)}",
        )


def _header(path: Path, delimiter: str, encoding: str) -> list[str]:
    """Return the column names of a CSV file, its delimiter checked."""
    with path.open("rb") as stream:
        raw = stream.readline()
    try:
        line = raw.decode(encoding).strip("\r\n").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise ContractError(
            f"wrong encoding: the header is not {encoding} (1 row), for example {raw[:40]!r}",
            where=f"{path}, header",
            fix=f"save the file as {encoding}",
        ) from error
    names = [name.strip().strip('"') for name in line.split(delimiter)]
    other = max(_DELIMITERS, key=line.count)
    if len(names) < 2 and line.count(other):
        raise ContractError(
            f"wrong delimiter {other!r}, not {delimiter!r} (every row), for example {line[:60]}",
            where=f"{path}, column {names[0][:40]}",
            fix=f"export the file with {delimiter!r} between the fields",
        )
    return names


def _read_csv(path: Path, columns: Sequence[str], *, delimiter: str, encoding: str) -> pa.Table:
    names = _header(path, delimiter, encoding)
    uneven: list[str] = []

    def skip(row: pacsv.InvalidRow) -> str:
        uneven.append(f"(row {row.number}: {row.actual_columns} fields: {row.text[:60]})")
        return "skip"

    try:
        table = pacsv.read_csv(
            path,
            # One thread: rows are numbered only then, and the examples are to name them.
            read_options=pacsv.ReadOptions(use_threads=False, column_names=names, skip_rows=1),
            parse_options=pacsv.ParseOptions(delimiter=delimiter, invalid_row_handler=skip),
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.binary())),
        )
    except pa.ArrowException as error:
        raise ContractError(
            f"the CSV file cannot be split into rows ({error})", where=str(path), fix="export the file again"
        ) from error
    if uneven:
        rows = "1 row has" if len(uneven) == 1 else f"{len(uneven):,} rows have"
        raise ContractError(
            f"{rows} another number of fields than the header's {len(names)}, for example {'; '.join(uneven[:EXAMPLES])}",
            where=f"{path}, every column",
            fix=f"quote fields that contain {delimiter!r}, or export the file again",
        )
    _require(path, names, columns, table.num_rows)
    return pa.table({name: _decode(table[name], encoding, path, name) for name in columns})


def _decode(column: pa.ChunkedArray, encoding: str, path: Path, name: str) -> pa.ChunkedArray:
    """Return bytes as trimmed text, an empty field as null."""
    try:
        text = column.cast(pa.string()) if encoding == "utf-8" else None
    except pa.ArrowInvalid:
        text = None
    if text is None:
        decoded: list[str | None] = []
        wrong: list[bytes] = []
        for value in column.to_pylist():
            try:
                decoded.append(None if value is None else value.decode(encoding))
            except UnicodeDecodeError:
                wrong.append(value)
        if wrong:
            shown = ", ".join(repr(value[:40]) for value in wrong[:EXAMPLES])
            raise ContractError(
                f"wrong encoding: {len(wrong):,} of {len(column):,} rows are not {encoding}, for example {shown}",
                where=f"{path}, column {name}",
                fix=f"save the file as {encoding}",
            )
        text = pa.chunked_array([pa.array(decoded, pa.string())])
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def parse_numbers(column: pa.ChunkedArray, kind: pa.DataType, *, source: str, name: str) -> pa.ChunkedArray:
    """Return numbers as ``kind``, parsing text where need be; null and blank text stay null.

    Raises
    ------
    ContractError
        Rows hold something else; they are counted.
    """
    if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
        text = column.cast(pa.string()) if pa.types.is_floating(column.type) and pa.types.is_integer(kind) else column
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    else:
        text = column.cast(pa.string())
    if not pa.types.is_string(text.type):
        return text.cast(kind)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    pattern = r"^[+-]?\d{1,18}(\.0*)?$" if pa.types.is_integer(kind) else r"^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$"
    bad = pc.fill_null(pc.invert(pc.match_substring_regex(text, pattern)), False).to_numpy()
    refuse_rows(
        bad, text, source=source, name=name, rule=f"wrong type: not {kind}", fix="correct the values at the source"
    )
    if pa.types.is_integer(kind):
        text = pc.replace_substring_regex(text, r"\.0*$", "")
        text = pc.replace_substring_regex(text, r"^\+", "")
    return text.cast(kind)


def refuse_rows(broken: np.ndarray, column: pa.ChunkedArray, *, source: str, name: str, rule: str, fix: str) -> None:
    """Raise where rows of one column break a rule.

    Raises
    ------
    ContractError
        At least one row does; the error counts them and shows three with their position (from 1).
    """
    at = np.flatnonzero(broken)
    out = Violations()
    values = column.take(pa.array(at[:EXAMPLES])).to_pylist() if len(at) else []
    shown = (f"(row {row + 1}: {value!r})" for row, value in zip(at, values, strict=False))
    out.add(Violation(source, name, rule, fix), len(at), shown)
    out.raise_if_any()


def schema_hash(schemas: Mapping[str, Mapping[str, str]]) -> str:
    """Return a short hash of the columns and types of a source's tables, whatever their order."""
    lines = sorted(f"{table}.{name}: {kind}" for table, columns in schemas.items() for name, kind in columns.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
