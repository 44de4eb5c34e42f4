"""What is computed for each row of a source, whatever the month: its columns, its number, and from when on it is known.

It is computed once and kept as Parquet under the digest of all that it is made from, so that a month reads values.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb

from finai_assets.ingest.tables import language
from finai_assets.ingest.tables.database import NUMBERS, POSITION, Database, tried
from finai_assets.ingest.tables.reading import Rows
from finai_assets.ingest.tables.reading.store import Store
from finai_assets.settings.tables import SourceSettings, TablesSettings
from finai_resources.errors import ConfigError, ContractError
from finai_resources.json_text import to_json
from finai_resources.sql_text import exact_path, literal, literals, quoted

KNOWN = "known from"  # the column that dates a row; its name has a blank, so that no expression means it
_RESERVED = (POSITION, KNOWN, "file_row_number", "file_index")
_COMPUTER = 1  # raise it where the same rows would be computed differently


def unread(column: str) -> str:
    """Return the name of the column that says whether a computed column cannot be read."""
    return f"{column}?"


def compute_sources(tables: TablesSettings, rows: Mapping[str, Rows], cache: Path) -> dict[str, Path]:
    """Return the Parquet of each source with what is computed for its rows, made where the cache lacks it.

    Raises
    ------
    ConfigError
        An expression is not allowed, or computes a column that is there.
    ContractError
        An expression names a column that the source lacks, or does not fit its types.
    """
    computer, store, found = Database(tables, rows), Store(cache), {}
    for name in tables.sources:
        key = f"computed-{_key(name, tables, rows[name])}"
        found[name] = cache / f"{key}.parquet"
        if not found[name].is_file():
            reader = computer.db.sql(_sql(computer, name)).to_arrow_reader(1 << 17)
            store.write(key, reader.schema, reader)
    return found


def _key(name: str, tables: TablesSettings, rows: Rows) -> str:
    source = tables.sources[name].model_dump(mode="json")
    made_from = [_COMPUTER, duckdb.__version__, rows.files, rows.schema, source, tables.words, tables.time_zone]
    return hashlib.sha256(to_json(made_from, sort_keys=True)).hexdigest()[:40]


def _sql(computer: Database, name: str) -> str:
    """Return the query of a source's rows with what is computed; each computed column stands beside whether it was read."""
    source, rows = computer.tables.sources[name], computer.rows[name]
    if taken := [column for column in rows.schema if column.lower() in _RESERVED]:
        raise ContractError(
            f"the source has a column {taken[0]}, and so has every source here",
            where=f"{rows.shown}, column {taken[0]}",
            fix="rename the column, or read the source by a query",
        )
    computer.db.execute(f"CREATE VIEW {quoted(name)} AS {_numbered(computer, rows, source)}")
    whole = quoted(name)
    for column, sql in source.computed.items():
        where = f"tables.sources.{name}.computed.{column}"
        if column.lower() in {each.lower() for each in computer.columns(whole)}:
            raise ConfigError(f"the source has a column {column} already", where=where, fix="give it another name")
        value = tried(computer.bound(sql, whole, where=where, source=rows.shown, renamed=name))
        whole = f"(SELECT *, {value}.v AS {quoted(column)}, {value} IS NULL AS {quoted(unread(column))} FROM {whole})"
    if source.known_from is not None:
        where = f"tables.sources.{name}.known_from"
        checked = computer.bound(source.known_from, whole, where=where, source=rows.shown, renamed=name)
        value = tried(computer.local_time(checked, whole, where=where))
        whole = f"(SELECT *, {value}.v AS {quoted(KNOWN)}, {value} IS NULL AS {quoted(unread(KNOWN))} FROM {whole})"
    return f"SELECT * FROM {whole}"


def _numbered(computer: Database, rows: Rows, source: SourceSettings) -> str:
    """Return the rows of all files in order, numbered from 1, with null for what means missing and for optional columns."""
    ends = [0]
    for count in rows.counts.values():
        ends.append(ends[-1] + count)
    row = f"{ends}[CAST(file_index AS BIGINT) + 1] + CAST(file_row_number AS BIGINT) + 1"
    scan = f"read_parquet({literals([exact_path(str(path)) for path in rows.parquet])}, hive_partitioning = false)"
    missing, columns = source.missing, computer.columns(scan)
    if isinstance(missing, dict) and (unknown := [column for column in missing if column not in columns]):
        raise language.unknown_column(
            unknown[0], where="`missing` of the source", have=list(columns), source=rows.shown
        )
    listed = []
    for column, kind in columns.items():
        marked = _means_missing(column, kind, missing.get(column, ()) if isinstance(missing, dict) else missing)
        listed.append(
            f"CASE WHEN {marked} THEN NULL ELSE {quoted(column)} END AS {quoted(column)}" if marked else quoted(column)
        )
    listed += [f"CAST(NULL AS VARCHAR) AS {quoted(each)}" for each in source.optional if each not in columns]
    return f"SELECT {', '.join(listed)}, {row} AS {POSITION} FROM {scan}"


def _means_missing(column: str, kind: str, texts: Sequence[str]) -> str:
    """Return the condition that a value is one of those that mean missing, empty where it cannot be; blanks around do not count."""
    if kind == "VARCHAR" and texts:
        return f"trim({quoted(column)}) IN ({', '.join(literal(each.strip()) for each in texts)})"
    numbers = [each.strip() for each in texts if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", each.strip())]
    if numbers and (kind in NUMBERS or kind.startswith("DECIMAL")):
        return f"{quoted(column)} IN ({', '.join(numbers)})"
    return ""
