"""A source's files or its database as Parquet that DuckDB reads, with what was read: digests, schema, counts, refused columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from finai_assets.ingest.tables.reading.columnar import Plain
from finai_assets.ingest.tables.reading.database import read_database
from finai_assets.ingest.tables.reading.files import FileReader
from finai_assets.ingest.tables.reading.store import Store
from finai_assets.ingest.tables.reading.union import one_schema
from finai_assets.settings.tables import SourceSettings
from finai_resources.errors import ContractError
from finai_resources.printable import excerpt
from finai_resources.progress import report_progress
from finai_resources.sql_text import exact_path, literals

Progress = Callable[[str, int, int], None]  # what is read, how many bytes of it are done, how many there are


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of one source.

    Parameters
    ----------
    name
        Of the source in the settings.
    shown
        How errors name it.
    files
        Each file, by its path below the folder that they share, with the SHA-256 of its bytes; what a database answered, by its
        address without user and password.
    schema
        Column -> type as the source has it: ``string`` for every column of a text file.
    parquet
        Files with the rows in order, all of one schema; the source's own where nothing had to be changed.
    counts
        Number of rows by file.
    refused
        Columns that are in the source and not in ``parquet``, each with the error to raise where one of them is used.
    notes
        What a person should know of the files and what stops nothing, such as a last line without a line end.
    """

    name: str
    shown: str
    files: dict[str, str]
    schema: dict[str, str]
    parquet: list[Path]
    counts: dict[str, int]
    refused: dict[str, ContractError] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def scan(self) -> str:
        """Return the rows as a table function of DuckDB's SQL, paths taken literally."""
        paths = literals([exact_path(str(path)) for path in self.parquet])
        return f"read_parquet({paths}, hive_partitioning = false)"

    def require(self, columns: Iterable[str]) -> None:
        """Raise the error of the first of some columns that was refused.

        Raises
        ------
        ContractError
            One of them was.
        """
        refused = {name.casefold(): error for name, error in self.refused.items()}
        for column in columns:
            if column.casefold() in refused:
                raise refused[column.casefold()]

    def nested(self, column: str) -> str | None:
        """Return the type of a column that holds no single value (a struct, a list, a map), None for any other."""
        kind = self.schema.get(column, "")
        return kind if kind.startswith(("struct", "list", "large_list", "fixed_size_list", "map")) else None


def read_source(
    name: str,
    source: SourceSettings,
    folder: Path | None,
    cache: Path,
    on_progress: Progress = report_progress,
    *,
    time_zone: str | None = None,
) -> Rows:
    """Read a source, or find that the cache has it already.

    Memory is bounded whatever the size of the files; what was read once is found again by its content, wherever it lies.

    Parameters
    ----------
    folder
        Where relative paths lie, also that of a database in a file.
    cache
        The folder of cached rows and of remembered digests.
    on_progress
        Is told the bytes that were read of a file.
    time_zone
        The zone of whose clock timestamps with a zone are read.

    Raises
    ------
    ConfigError
        A setting cannot be: no folder, an unknown encoding or variable, a driver that is not installed.
    ContractError
        A file is missing, damaged, or not as it is declared; the error names file, line or column, count, examples and fix.
    """
    store = Store(cache)
    plain = Plain(time_zone, truncate_nanoseconds=source.nanoseconds == "truncate")
    if source.url is not None:
        answer = read_database(name, source, folder, store, plain, on_progress)
        wrong = {
            column: ContractError(what, where=f"{answer.shown}, column {excerpt(column)}", fix=fix)
            for column, (what, fix) in answer.entry.refused.items()
        }
        parquet = [answer.entry.parquet] if answer.entry.parquet else []
        files, counts = {answer.key: answer.sha256}, {answer.key: answer.entry.rows}
        return Rows(name, answer.shown, files, answer.entry.schema, parquet, counts, wrong)
    reader = FileReader(name, source, folder, store, plain, on_progress)
    found, entries = reader.read()
    entries, schema = one_schema(entries, found, store, union=source.union)
    refused = {
        column: ContractError(what, where=f"{file.shown}, column {excerpt(column)}", fix=fix)
        for file, entry in zip(found, entries, strict=True)
        for column, (what, fix) in entry.refused.items()
    }
    return Rows(
        name,
        reader.shown(found),
        {file.key: file.sha256 for file in found},
        schema,
        [entry.parquet or file.local for file, entry in zip(found, entries, strict=True)],
        {file.key: entry.rows for file, entry in zip(found, entries, strict=True)},
        refused,
        tuple(f"{file.shown}: {note}" for file, entry in zip(found, entries, strict=True) for note in entry.notes),
    )
