"""The warehouse: every table of the lake as a view of DuckDB, for questions in SQL. It stores no data of its own.

The asset ``features/demographics`` is the view ``features.demographics``; a table in months has a column ``month`` before its
own. Each question is answered by a DuckDB of its own in memory, whose views show what the manifests list at that moment. For
people with a DuckDB client :func:`rebuild` writes the same views into a file, which is safe to delete.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from finai_resources.errors import LakeError, QueryError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.sql_text import exact_path, literals, named_tables
from finai_resources.warehouse_views import EVIDENCE_VIEW, STREAM, LakeTable, create_evidence_view, create_view

if TYPE_CHECKING:  # a type of DuckDB that a module holds makes nanobind print dozens of lines when Python ends
    Connect = Callable[[], AbstractContextManager[duckdb.DuckDBPyConnection]]

MEMORY = ":memory:"
# One thread adds numbers in one order, so that a sum comes out the same again to the bit. Extensions are never fetched (a closed
# network would keep a question waiting), and no name in SQL means a variable of Python.
SETTINGS: dict[str, Any] = {"threads": 1, "autoinstall_known_extensions": False, "python_enable_replacements": False}
LIST_TABLES = "`finai sql --tables` lists the tables"

_OF_FILES = (duckdb.IOException, duckdb.HTTPException, duckdb.InternalException, duckdb.FatalException)
_SYSTEM = ("information_schema", "pg_catalog")

Reads = Mapping[str, Sequence[str] | None]
Answer = Callable[..., pa.Table]


@contextmanager
def in_memory() -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty DuckDB in memory."""
    connection = duckdb.connect(MEMORY, config=SETTINGS)
    try:
        yield connection
    finally:
        connection.close()


class Warehouse:
    """Answers questions in SQL through a session, which records the partitions that an answer reads.

    Parameters
    ----------
    session
        Of the lake.
    connect
        Opens a DuckDB for one question.
    """

    def __init__(self, session: LakeSession, connect: Connect = in_memory) -> None:
        self.session, self._connect = session, connect

    def tables(self) -> list[LakeTable]:
        """Return every table that the lake holds, by name."""
        return stored_tables(self.session.lake)

    def query(
        self, question: str, parameters: Mapping[str, Any] | None = None, *, reads: Reads | None = None
    ) -> pa.Table:
        """Answer one SELECT.

        The question reads the views of the tables that it names, and nothing else: no other file, no network.

        Parameters
        ----------
        question
            ``SELECT segment, count(*) FROM raw.snapshots WHERE month = $month GROUP BY ALL ORDER BY ALL``.
        parameters
            Values by name, ``{"month": "2015-01"}``.
        reads
            By asset, the months that its view shows; None stands for every partition. They are recorded as read. By default,
            every partition of the tables that the question names.

        Returns
        -------
        pa.Table
            In the order that the question asks for; in no particular order where it asks for none.

        Raises
        ------
        QueryError
            The question is not a SELECT, or names an unknown table or column.
        LakeError
            A partition is absent or damaged.
        """
        with self._connect() as connection:
            named = named_tables(connection, question)
            tables = self._named(named) if reads is None else self._listed(reads)
            with _as_finai_errors() as paths:
                for table in tables:
                    paths.extend(create_view(connection, self.session.lake, table))
                if reads is None and EVIDENCE_VIEW in {f"{schema}.{name}" for schema, name in named}:
                    paths.extend(create_evidence_view(connection, self.session.lake))
                _close(connection, paths)
                return connection.sql(question, params=dict(parameters or {})).to_arrow_table()

    @contextmanager
    def opened(self, reads: Reads) -> Iterator[Answer]:
        """Open the views of some tables once, for several questions that see nothing else.

        Parameters
        ----------
        reads
            As for :meth:`query`.

        Yields
        ------
        callable
            ``answer(question, parameters)``, which returns and raises as :meth:`query` does.
        """
        with self._connect() as connection:
            with _as_finai_errors() as paths:
                for table in self._listed(reads):
                    paths.extend(create_view(connection, self.session.lake, table))
                _close(connection, paths)

            def answer(question: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
                named_tables(connection, question)  # refuses what is no SELECT
                with _as_finai_errors() as known:
                    known.extend(paths)
                    return connection.sql(question, params=dict(parameters or {})).to_arrow_table()

            yield answer

    def _listed(self, reads: Reads) -> list[LakeTable]:
        return [
            self._table(asset)
            if months is None
            else LakeTable(asset, tuple(self.session.manifest(asset, month) for month in months))
            for asset, months in reads.items()
        ]

    def _named(self, named: Sequence[tuple[str, str]]) -> list[LakeTable]:
        """Return the tables that a question names; all where it names none, as SHOW ALL TABLES does."""
        assets = {asset.casefold(): asset for asset in self.session.lake.assets()}
        asked = [(schema, name) for schema, name in named if schema not in _SYSTEM]
        if not asked:
            return [table for table in map(self._table, assets.values()) if table.has_parquet]
        for schema, name in asked:  # a name without a schema may stand for a WITH of the question
            written = f"{schema}.{name}"
            if schema and f"{schema}/{name}".casefold() not in assets and written != EVIDENCE_VIEW:
                raise _no_such_table(self.session.lake, written, [table.name for table in self.tables()])
        wanted = {f"{schema}/{name}" if schema else name for schema, name in asked}
        return [self._table(assets[path]) for path in sorted({path.casefold() for path in wanted}) if path in assets]

    def _table(self, asset: str) -> LakeTable:
        manifests = self.session.manifests(asset)
        if damages := self.session.lake.put_aside(asset):  # an answer without those months would look like a whole one
            raise LakeError(
                f"{len(damages)} partitions were found damaged: {', '.join(map(str, damages))}",
                where=asset,
                fix="`finai run` computes them again",
            )
        if not manifests:
            raise LakeError("nothing of this asset is stored", where=asset, fix=f"materialise {asset} first")
        return LakeTable(asset, tuple(manifests))


def stored_tables(lake: Lake) -> list[LakeTable]:
    """Return every table that a lake holds, by name.

    Raises
    ------
    LakeError
        It holds none.
    """
    tables = [LakeTable(asset, tuple(lake.manifests(asset))) for asset in lake.assets()]
    found = [table for table in tables if table.has_parquet]
    if not found:
        raise LakeError("the lake holds no table", where=lake.root, fix="`finai run` fills it")
    return found


def create_views(connection: duckdb.DuckDBPyConnection, lake: Lake, *, verified: bool = True) -> list[str]:
    """Create a view of every table, and of the evidence log, on a connection; return their names.

    Parameters
    ----------
    verified
        Whether the files' content is verified now, or their size alone.

    Raises
    ------
    LakeError
        The lake holds no table, or one cannot be read.
    """
    tables = stored_tables(lake)
    with _as_finai_errors():
        for table in tables:
            create_view(connection, lake, table, verified=verified)
        has_log = create_evidence_view(connection, lake)
    return [*(table.name for table in tables), *([EVIDENCE_VIEW] if has_log else [])]


def rebuild(lake: Lake, file: Path) -> list[str]:
    """Write or replace a DuckDB file with the views of a lake on disk, and return their names.

    The files behind the views are not read, and nothing verifies them when another client reads them through the views.

    Raises
    ------
    LakeError
        The lake is remote or holds no table, or the file is open elsewhere.
    """
    if not lake.is_local:
        raise LakeError("a file of views needs a lake on this machine", where=lake.root, fix="ask with `finai sql`")
    partial = file.with_suffix(".new")
    partial.unlink(missing_ok=True)
    with duckdb.connect(str(partial)) as connection:
        made = create_views(connection, lake, verified=False)
    try:
        partial.replace(file)
    except OSError as error:
        raise LakeError(
            f"the warehouse cannot be replaced: {error}", where=str(file), fix="close it elsewhere"
        ) from error
    return made


def shows(lake: Lake, file: Path) -> bool:
    """Return whether a DuckDB file of :func:`rebuild` shows this lake; one that was copied with its home shows the original's."""
    if not file.is_file():
        return False
    with duckdb.connect(str(file), read_only=True) as connection:
        found = connection.execute("SELECT sql FROM duckdb_views() WHERE NOT internal").fetchall()
    return all(f"'{lake.root}/" in sql for (sql,) in found)


def _close(connection: duckdb.DuckDBPyConnection, paths: Sequence[str]) -> None:
    """Forbid a connection to read anything but its views, whose files may be given as a pattern."""
    allowed = sorted({*paths, *map(exact_path, paths)})
    connection.execute(f"SET allowed_paths = {literals(allowed)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def _no_such_table(lake: Lake, written: str, known: Sequence[str]) -> QueryError:
    near = difflib.get_close_matches(written, known, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    return QueryError(f"there is no table {written} in {lake.root}", where="SQL", fix=f"{hint}{LIST_TABLES}")


@contextmanager
def _as_finai_errors() -> Iterator[list[str]]:
    """Turn errors of DuckDB and Arrow into one sentence with a fix.

    Yields a list for the paths that are read: an error that names one of them is a fault of the file, not of the question.
    """
    paths: list[str] = []
    try:
        yield paths
    except duckdb.PermissionException as error:
        raise QueryError(
            f"a question reads the lake's tables and nothing else ({_sentence(error)})", where="SQL", fix=LIST_TABLES
        ) from error
    except (duckdb.Error, OSError, pa.ArrowException) as error:
        if _is_of_a_file(error, paths):
            raise LakeError(
                f"a table cannot be read: {_sentence(error)}",
                where="warehouse",
                fix="ask again if the lake was being written; if the error stays, `finai doctor` finds damaged files",
            ) from error
        raise QueryError(_sentence(error), where="SQL", fix=f"correct the question; {LIST_TABLES}") from error


def _is_of_a_file(error: Exception, paths: Sequence[str]) -> bool:
    """Return whether an error comes from a file; for a damaged file DuckDB raises some errors without a class of their own."""
    if not isinstance(error, duckdb.Error) or type(error) is duckdb.Error or isinstance(error, _OF_FILES):
        return True
    return any(path in str(error) for path in (*paths, f"'{STREAM}"))


def _sentence(error: Exception) -> str:
    """Return an error's message in one line, without the copy of the question that DuckDB adds."""
    return " ".join(str(error).partition("\n\nLINE")[0].split())
