"""Finds the tables in the files that a person names, and puts their rows into a DuckDB file of its own to be looked at."""

from __future__ import annotations

import gzip
import io
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from finai_assets.ingest.tables.guess.profile import Column, columns_of
from finai_assets.ingest.tables.guess.sniff import sniff
from finai_resources.errors import ConfigError, ContractError
from finai_resources.sql_text import literal, quoted

_TEXT = {".csv", ".txt", ".tsv", ".asc", ".dat", ".psv"}
_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A table: the keys of its source in the YAML, its columns, and what its file does not tell."""

    name: str
    source: dict[str, Any]
    columns: tuple[Column, ...]
    rows: int
    questions: tuple[str, ...]

    def column(self, name: str) -> Column:
        """Return a column by name."""
        return next(column for column in self.columns if column.name == name)


def look(files: Sequence[Path], folder: Path, connection: duckdb.DuckDBPyConnection) -> list[Seen]:
    """Return the tables of some files; each lies in the connection under its name.

    Parameters
    ----------
    files
        Text files of any dialect, Parquet files, SQLite and DuckDB databases, and folders of them.
    folder
        The source folder; paths in the YAML are relative to it.

    Raises
    ------
    ConfigError
        A file does not exist, or is none of these.
    ContractError
        A file is empty or damaged.
    """
    found: list[Seen] = []
    for file in files:
        for name, source, questions in _load(file, folder, connection, {seen.name for seen in found}):
            columns = columns_of(connection, name)
            rows = columns[0].rows if columns else 0
            found.append(Seen(name, source, columns, rows, questions))
    if not found:
        raise ConfigError("no table is in these files", where=", ".join(map(str, files)), fix="name files with rows")
    return found


_Loaded = tuple[str, dict[str, Any], tuple[str, ...]]


def _load(file: Path, folder: Path, connection: duckdb.DuckDBPyConnection, taken: set[str]) -> Iterator[_Loaded]:
    if not file.exists():
        raise ConfigError(
            "there is no such file", where=str(file), fix="name the files or folders that hold the tables"
        )
    if file.is_dir():
        members = sorted(
            path for path in file.iterdir() if not re.match(r"[._]|readme|license", path.name, re.IGNORECASE)
        )
        if file.suffix == ".parquet" or (members and all(_is_part(path) for path in members)):
            yield _parquet(file, members, folder, connection, taken)
            return
        for member in members:
            if member.is_dir() or _is_table(member):
                for loaded in _load(member, folder, connection, taken):
                    taken = taken | {loaded[0]}
                    yield loaded
        return
    with file.open("rb") as stream:
        head = stream.read(16)
    if head[:4] == b"PAR1":
        yield _parquet(file, [file], folder, connection, taken)
    elif head.startswith(b"SQLite format 3\0"):
        yield from _sqlite(file, connection, taken)
    elif head[8:12] == b"DUCK":
        yield from _duckdb(file, connection, taken)
    elif _is_table(file) or _looks_like_text(file):
        yield _text(file, folder, connection, taken)
    else:
        raise ConfigError(
            "this is neither text, Parquet, SQLite nor DuckDB",
            where=str(file),
            fix="export the table as CSV or Parquet",
        )


def _is_part(path: Path) -> bool:
    return path.suffix == ".parquet" and path.name.startswith("part")


def _is_table(path: Path) -> bool:
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return bool(suffixes) and suffixes[-1] in _TEXT | {".parquet", ".db", ".sqlite", ".sqlite3", ".duckdb"}


def _looks_like_text(path: Path) -> bool:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
        head = stream.read(4096)
    return bool(head) and head.count(0) < len(head) // 2 and not set(head) & {1, 2, 3, 4, 5, 6, 7, 8}


def source_name(text: str, taken: set[str]) -> str:
    """Return a name that the YAML may give a source, near the name of its file and not taken."""
    name = re.sub(r"[^a-z0-9]+", "_", text.casefold()).strip("_") or "rows"
    name = name if name[0].isalpha() else f"t_{name}"
    chosen, count = name, 2
    while chosen in taken:
        chosen, count = f"{name}_{count}", count + 1
    return chosen


def _path(file: Path, folder: Path) -> str:
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else str(file)


def _parquet(
    shown: Path, files: Sequence[Path], folder: Path, connection: duckdb.DuckDBPyConnection, taken: set[str]
) -> _Loaded:
    name = source_name(shown.name.split(".")[0], taken)
    named = [str(file) for file in files if file.is_file() and file.suffix == ".parquet"]
    try:
        connection.execute(
            f"CREATE TABLE {quoted(name)} AS SELECT * FROM read_parquet(?, union_by_name = true)", [named]
        )
    except duckdb.Error as error:
        raise ContractError(f"this Parquet cannot be read: {error}", where=str(shown), fix="export it again") from error
    return name, {"path": _path(shown, folder)}, ()


def _text(file: Path, folder: Path, connection: duckdb.DuckDBPyConnection, taken: set[str]) -> _Loaded:
    sniffed = sniff(file)
    name = source_name(file.name.split(".")[0], taken)
    keys = sniffed.keys
    plain = _plain(file, keys, Path(_database_folder(connection)), name)
    delimiter = "\t" if keys["delimiter"] == "whitespace" else keys["delimiter"]
    connection.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
    columns = ", ".join(f"{literal(column)}: 'VARCHAR'" for column in _distinct(sniffed.columns))
    skip = int(keys.get("skip_rows", 0)) + int(keys["header"])
    try:
        connection.execute(
            f"CREATE TABLE {quoted(name)} AS SELECT trim(COLUMNS(*)) FROM read_csv({literal(str(plain))}, "
            f"columns = {{{columns}}}, auto_detect = false, header = false, delim = {literal(delimiter)}, quote = '\"', "
            f"escape = '\"', skip = {skip}, store_rejects = true, nullstr = '')"
        )
        rejected = connection.execute("SELECT count(DISTINCT line) FROM reject_errors").fetchall()[0][0]
    except duckdb.Error as error:
        raise ContractError(
            f"the rows cannot be told apart: {error}", where=str(file), fix="export it again"
        ) from error
    questions = sniffed.questions
    if rejected:
        questions = (
            *questions,
            f"{rejected:,} lines have another number of fields than the header: they will be refused",
        )
    return name, {"path": _path(file, folder), **keys}, questions


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of which no two are alike without case; a column that is named twice is refused when it is read."""
    seen: list[str] = []
    for name in names:
        while name.casefold() in {other.casefold() for other in seen} or not name:
            name = f"{name}_twice" if name else "unnamed"  # noqa: PLW2901
        seen.append(name)
    return seen


def _database_folder(connection: duckdb.DuckDBPyConnection) -> str:
    paths = connection.execute("SELECT path FROM duckdb_databases() WHERE path IS NOT NULL").fetchall()
    return str(Path(paths[0][0]).parent)


def _plain(file: Path, keys: dict[str, Any], folder: Path, name: str) -> Path:
    """Return a file that DuckDB reads: the file itself, or its rows as UTF-8 with a tab for runs of blanks."""
    encoding = keys.get("encoding", "utf-8")
    if encoding == "utf-8" and keys["delimiter"] != "whitespace":
        return file
    target = folder / f"{name}.txt"
    with (
        gzip.open(file) if file.suffix == ".gz" else file.open("rb") as stored,
        io.TextIOWrapper(stored, encoding=encoding, errors="replace") as given,
        target.open("w", encoding="utf-8") as made,
    ):
        for line in given:
            made.write("\t".join(line.split()) + "\n" if keys["delimiter"] == "whitespace" else line)
    return target


def _sqlite(file: Path, connection: duckdb.DuckDBPyConnection, taken: set[str]) -> Iterator[_Loaded]:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        tables = [
            row[0]
            for row in database.execute(
                "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name"
            )
        ]
        for table in tables:
            name = source_name(table, taken)
            taken = taken | {name}
            cursor = database.execute(f"SELECT * FROM {quoted(table)}")
            names = [column[0] for column in cursor.description]
            types = _sqlite_types(database, table, names)
            columns = ", ".join(f"{quoted(column)} {types[column]}" for column in names)
            connection.execute(f"CREATE TABLE {quoted(name)} ({columns})")
            while rows := cursor.fetchmany(_ROWS):
                connection.executemany(f"INSERT INTO {quoted(name)} VALUES ({', '.join('?' * len(names))})", rows)
            yield name, {"url": f"sqlite:///{file.resolve()}", "table": table}, ()


def _sqlite_types(database: sqlite3.Connection, table: str, names: Sequence[str]) -> dict[str, str]:
    """Return the type of each column by the values that it holds: SQLite keeps what it was given, whatever was declared."""
    of = {"integer": "BIGINT", "real": "DOUBLE"}
    found = {}
    for name in names:
        kinds = database.execute(
            f"SELECT DISTINCT typeof({quoted(name)}) FROM {quoted(table)} WHERE {quoted(name)} IS NOT NULL"
        ).fetchall()
        held = {of.get(kind[0], "VARCHAR") for kind in kinds}
        found[name] = held.pop() if len(held) == 1 else "DOUBLE" if held == {"BIGINT", "DOUBLE"} else "VARCHAR"
    return found


def _duckdb(file: Path, connection: duckdb.DuckDBPyConnection, taken: set[str]) -> Iterator[_Loaded]:
    connection.execute(f"ATTACH {literal(str(file))} AS given_database (READ_ONLY)")
    try:
        tables = connection.execute(
            "SELECT table_schema, table_name FROM information_schema.tables WHERE table_catalog = 'given_database' ORDER BY ALL"
        ).fetchall()
        for schema, table in tables:
            name = source_name(table, taken)
            taken = taken | {name}
            whole = f"given_database.{quoted(schema)}.{quoted(table)}"
            connection.execute(f"CREATE TABLE {quoted(name)} AS SELECT * FROM {whole}")
            yield name, {"url": f"duckdb:///{file.resolve()}", "table": table}, ()
    finally:
        connection.execute("DETACH given_database")
