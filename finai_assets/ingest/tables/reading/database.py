"""The answer of a database as Parquet: read-only, streamed, with a type for each column that all of its values have."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa
import sqlalchemy as sa
from pyarrow import ipc
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError

from finai_assets.ingest.tables.reading.address import Address
from finai_assets.ingest.tables.reading.columnar import Batches, Plain, Refusal, plain_batches, write_plain
from finai_assets.ingest.tables.reading.delimited import named
from finai_assets.ingest.tables.reading.digests import file_digest
from finai_assets.ingest.tables.reading.store import Entry, Store
from finai_assets.ingest.tables.reading.values import column_of, common_kind, kind_of_value, type_of
from finai_assets.settings.tables import SourceSettings
from finai_resources.errors import ConfigError, ContractError, FinaiError
from finai_resources.printable import excerpt
from finai_resources.sql_text import quoted

BATCH = 1 << 15
_ONE_SELECT = "write one SELECT that only reads"
# DuckDB's types that Arrow or Parquet would change or lack: they are read as their text.
_AS_TEXT = ("HUGEINT", "UHUGEINT", "BIGNUM", "VARINT", "BIT", "INTERVAL", "UNION", "TIME WITH TIME ZONE")

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a database answered; ``key`` is the same wherever a database in a file lies."""

    shown: str
    key: str
    sha256: str
    entry: Entry


def read_database(
    name: str, source: SourceSettings, folder: Path | None, store: Store, plain: Plain, on_progress: Progress
) -> Answer:
    """Read a table, or what a query gives, of a database.

    One in a file is not asked again while its bytes are the same; a server is asked each time, and its rows' digest tells whether
    they changed.

    Raises
    ------
    ConfigError
        The URL cannot be used, a variable is not set, the driver is not installed, or the query does more than read.
    ContractError
        The database cannot be opened, has no such table, or fails; nothing that is raised holds a password.
    """
    where = f"tables.sources.{name}"
    address = Address.of(source.url or "", folder, where=f"{where}.url")
    asked = _Question(source.table, source.query, f"{where}.query")
    shown = f"{address.shown}, {excerpt(asked.text, 120)}"
    job = _Job(store, plain, on_progress)
    try:
        if address.file is None:
            return _of_server(address, asked, shown, job)
        return _of_file(address, asked, shown, job)
    except FinaiError:
        raise
    except NoSuchModuleError:
        raise ConfigError(
            f"unknown kind of database {address.url.drivername!r}",
            where=f"{where}.url",
            fix="correct the URL's dialect",
        ) from None
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the driver of {address.url.drivername} is not installed ({error.name})",
            where=f"{where}.url",
            fix=f"pip install {error.name}",
        ) from None
    except (SQLAlchemyError, duckdb.Error, sqlite3.Error, OSError) as error:
        # The original error is not chained: its text, and the values of its traceback, may hold the password.
        told = str(getattr(error, "orig", None) or error)
        raise ContractError(
            f"the database failed: {excerpt(address.scrubbed(told), 400)}",
            where=shown,
            fix="check the URL, the table or query, and the rights of its user",
        ) from None


@dataclass(frozen=True, slots=True)
class _Job:
    store: Store
    plain: Plain
    on_progress: Progress


class _Question:
    def __init__(self, table: str | None, query: str | None, where: str) -> None:
        self.table, self.query = table, None if query is None else query.strip().rstrip(";").strip()
        self.text = f"table {table}" if query is None else (self.query or "")
        if self.query is not None:
            bare = re.sub(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|--[^\n]*|/\*.*?\*/", "", self.query, flags=re.DOTALL)
            if ";" in bare or not re.match(r"\s*\(*\s*(select|with|values|from|table)\b", bare, re.IGNORECASE):
                raise ConfigError("the query does more than read", where=where, fix=_ONE_SELECT)


def _of_file(address: Address, asked: _Question, shown: str, job: _Job) -> Answer:
    file = address.file
    assert file is not None  # noqa: S101 - the caller asks
    if not file.is_file():
        raise ContractError(
            "there is no database",
            where=address.shown,
            fix="correct the URL; a relative path lies in the source folder",
        )
    digest = _digest(file, job.store)
    rules = [job.plain.time_zone, job.plain.truncate_nanoseconds]
    key = job.store.key(digest, {"table": asked.table, "query": asked.query, "plain": rules})
    entry = job.store.find(key)
    if entry is None:
        read = _from_duckdb if address.url.get_backend_name() == "duckdb" else _from_sqlalchemy
        entry, _ = read(address, asked, shown, job, key)
        if _digest(file, job.store) != digest:
            raise ContractError(
                "the database changed while it was read", where=shown, fix="run again when it is at rest"
            )
        job.store.put(key, entry)
    return Answer(shown, file.name, digest, entry)


def _digest(file: Path, store: Store) -> str:
    """Return the digest of a database's file and, where rows still lie in one, of the log beside it."""
    digest = file_digest(file, store.root)
    for log in (file.with_name(f"{file.name}-wal"), file.with_name(f"{file.name}.wal")):
        if log.is_file() and log.stat().st_size:
            digest = hashlib.sha256(f"{digest} {file_digest(log, store.root)}".encode()).hexdigest()
    return digest


def _of_server(address: Address, asked: _Question, shown: str, job: _Job) -> Answer:
    draft = job.store.key(f"{address.shown} {os.getpid()}", {"table": asked.table, "query": asked.query})
    entry, digest = _from_sqlalchemy(address, asked, shown, job, draft)
    key = job.store.key(digest, {"answer": True})
    if entry.parquet is not None:
        entry = replace(entry, parquet=entry.parquet.replace(job.store.root / f"{key}.parquet"))
    return Answer(shown, shown, digest, job.store.put(key, entry))


# ---- DuckDB


def _from_duckdb(address: Address, asked: _Question, shown: str, job: _Job, key: str) -> tuple[Entry, str]:
    config = {
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(str(address.file), read_only=True, config=config) as connection:
        select = asked.query or f"FROM {_duckdb_table(connection, asked.table or '', shown)}"
        statements = connection.extract_statements(select)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            raise ConfigError("the query does more than read", where=shown, fix=_ONE_SELECT)
        types = {row[0]: str(row[1]) for row in connection.execute(f"DESCRIBE {select}").fetchall()}
        named(list(types), shown)
        columns = ", ".join(
            f"CAST({quoted(name)} AS VARCHAR) AS {quoted(name)}" if _as_text(kind) else quoted(name)
            for name, kind in types.items()
        )
        whole = f"SELECT {columns} FROM ({select}) AS answer"

        def opened() -> Batches:
            reader = connection.sql(whole).to_arrow_reader(BATCH)
            return plain_batches(reader.schema, lambda: iter(reader), shown, job.plain)

        return _written(opened, {name: kind.lower() for name, kind in types.items()}, shown, job, key)


def _duckdb_table(connection: duckdb.DuckDBPyConnection, table: str, shown: str) -> str:
    rows = connection.execute("SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL").fetchall()
    names = {name: f"{quoted(schema)}.{quoted(name)}" for schema, name in rows if schema == "main"}
    names |= {f"{schema}.{name}": f"{quoted(schema)}.{quoted(name)}" for schema, name in rows}
    return names[_chosen(table, list(names), shown)]


def _as_text(kind: str) -> bool:
    return kind.startswith(_AS_TEXT)


def _chosen(table: str, names: Sequence[str], shown: str) -> str:
    """Return the table of a name, whatever its case.

    Raises
    ------
    ContractError
        There is none, or several.
    """
    found = [name for name in names if name == table] or [name for name in names if name.lower() == table.lower()]
    if len(found) == 1:
        return found[0]
    near = get_close_matches(table, names, n=3, cutoff=0.5)
    raise ContractError(
        f"there is {'no' if not found else 'more than one'} table {excerpt(table)}; the database has "
        f"{', '.join(map(excerpt, names[:20])) or 'none'}"
        + (f"; did you mean {', '.join(map(excerpt, near))}?" if near else ""),
        where=shown,
        fix="correct `table`, or write a `query`",
    )


def _written(
    opened: Callable[[], Batches], schema: dict[str, str], shown: str, job: _Job, key: str
) -> tuple[Entry, str]:
    """Write an answer to the cache; return its entry and the digest of its rows."""
    digest = hashlib.sha256()

    def write(target: pa.Schema, batches: Iterator[pa.RecordBatch]) -> tuple[Path, int]:
        nonlocal digest
        digest = hashlib.sha256(target.serialize())

        def told() -> Iterator[pa.RecordBatch]:
            rows = 0
            for batch in batches:
                digest.update(batch.serialize())
                rows += batch.num_rows
                job.on_progress(f"{shown}, rows", rows, rows)
                yield batch

        return job.store.write(key, target, told())

    path, rows, refused = write_plain(opened, write)
    return Entry(rows, schema, path, refused), digest.hexdigest()


# ---- SQLite and every database that SQLAlchemy has a dialect for


def _from_sqlalchemy(address: Address, asked: _Question, shown: str, job: _Job, key: str) -> tuple[Entry, str]:
    with _engine(address) as engine, engine.connect() as plain_connection:
        options: dict[str, Any] = {"stream_results": True, "yield_per": BATCH}
        if engine.dialect.name == "postgresql":
            options["postgresql_readonly"] = True
        connection = plain_connection.execution_options(**options)
        statement = (
            sa.text(asked.query.replace(":", r"\:")) if asked.query else _select_all(engine, asked.table or "", shown)
        )
        with connection.begin() as transaction, tempfile.TemporaryFile() as spool:
            result = connection.execute(statement)
            names = named(list(result.keys()), shown)
            kinds, refused = _spool(result, names, spool)
            transaction.rollback()
            target = pa.schema([(name, type_of(kinds[name])) for name in names if name not in refused])

            def opened() -> Batches:
                batches = plain_batches(target, lambda: _spooled(spool, target, shown), shown, job.plain)
                batches.refused.update(refused)
                return batches

            return _written(opened, {name: kinds.get(name, "several types") for name in names}, shown, job, key)


@contextmanager
def _engine(address: Address) -> Iterator[sa.Engine]:
    file = address.file
    if file is None:
        engine = sa.create_engine(address.url)
    else:
        # A log beside the file may hold rows; without one the file is all there is, and nothing beside it is written.
        log = file.with_name(f"{file.name}-wal")
        mode = "mode=ro" if log.is_file() and log.stat().st_size else "mode=ro&immutable=1"
        uri = f"{file.resolve().as_uri()}?{mode}"
        engine = sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(uri, uri=True))
    try:
        yield engine
    finally:
        engine.dispose()


def _select_all(engine: sa.Engine, table: str, shown: str) -> sa.Select[Any]:
    inspector = sa.inspect(engine)
    schema, _, name = table.rpartition(".")
    own = [*inspector.get_table_names(), *inspector.get_view_names()]
    if table in own or not schema:
        return sa.select(sa.text("*")).select_from(sa.table(_chosen(table, own, shown)))
    others = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
    return sa.select(sa.text("*")).select_from(sa.table(_chosen(name, others, shown), schema=schema))


def _spool(
    result: sa.CursorResult[Any], names: Sequence[str], spool: BinaryIO
) -> tuple[dict[str, str], dict[str, Refusal]]:
    """Write the rows to a file in batches of their own types; return the kind of each column, and why some have none."""
    kinds: dict[str, set[str]] = {name: {"nothing"} for name in names}
    for rows in result.partitions(BATCH):
        arrays = []
        for place, name in enumerate(names):
            values = [row[place] for row in rows]
            here = {kind_of_value(value) for value in values}
            kinds[name] |= here
            kind = common_kind(here)
            try:
                arrays.append(pa.nulls(len(values)) if isinstance(kind, Refusal) else column_of(values, kind))
            except (pa.ArrowInvalid, OverflowError):
                kinds[name] |= {"more than 38 digits"}
                arrays.append(pa.nulls(len(values)))
        batch = pa.RecordBatch.from_arrays(arrays, names=list(names))
        with ipc.new_stream(spool, batch.schema) as stream:
            stream.write_batch(batch)
    common = {name: common_kind(found) for name, found in kinds.items()}
    refused = {name: kind for name, kind in common.items() if isinstance(kind, Refusal)}
    return {name: kind for name, kind in common.items() if not isinstance(kind, Refusal)}, refused


def _spooled(spool: BinaryIO, target: pa.Schema, shown: str) -> Iterator[pa.RecordBatch]:
    spool.seek(0, os.SEEK_END)
    size = spool.tell()
    spool.seek(0)
    while spool.tell() < size:
        with ipc.open_stream(spool) as stream:
            for batch in stream:
                yield pa.RecordBatch.from_arrays([_cast(batch, column, shown) for column in target], schema=target)


def _cast(batch: pa.RecordBatch, wanted: pa.Field, shown: str) -> pa.Array:
    try:
        return batch.column(wanted.name).cast(wanted.type)
    except pa.ArrowInvalid as error:
        raise ContractError(
            f"a value does not fit {wanted.type} ({error})",
            where=f"{shown}, column {excerpt(wanted.name)}",
            fix="select one type: `query: SELECT CAST(... AS ...) ...`",
        ) from None
