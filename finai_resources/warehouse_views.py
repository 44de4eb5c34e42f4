"""Views of DuckDB over the lake's tables: over files on disk, over an Arrow data set or httpfs in S3.

A view reads exactly the Parquet files that the manifests list, so that it never shows half a partition or a stray file. DuckDB
never fetches an extension: httpfs serves where somebody has installed it, and Arrow everywhere else.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.fs as pafs

from finai_resources import objects
from finai_resources.chained_log import HEAD
from finai_resources.errors import LakeError
from finai_resources.lake import Lake
from finai_resources.manifest import Manifest
from finai_resources.sql_text import exact_path, literal, literals, quoted, view_name

if TYPE_CHECKING:
    import pyarrow.dataset as ds

MONTH = "month"
EVIDENCE = "evidence"  # the folder of the chained log of the checks' results
EVIDENCE_VIEW = "evidence.log"
STREAM = "lake:"  # how the Arrow data sets are called that a connection reads
_FILE = "_lake_file"  # the column by which DuckDB distinguishes the files of a view
_LOG_COLUMNS = {"sequence": "BIGINT", "previous": "VARCHAR", "recorded_at": "TIMESTAMP", "record": "JSON"}


@dataclass(frozen=True, slots=True)
class LakeTable:
    """An asset that holds Parquet, with the partitions that its view shows.

    Parameters
    ----------
    asset : str
        ``features/demographics`` is the view ``features.demographics``; what follows the first slash is the view's name.
    manifests : tuple of Manifest
        In the order of the rows.
    """

    asset: str
    manifests: tuple[Manifest, ...]

    @property
    def name(self) -> str:
        """Return the view's name without quotes, ``features.demographics``."""
        return self.asset.replace("/", ".", 1)

    @property
    def rows(self) -> int:
        """Return the number of rows of all partitions."""
        return sum(manifest.rows for manifest in self.manifests)

    @property
    def months(self) -> list[str]:
        """Return the months that are stored, ascending; none for a table without months."""
        return [manifest.partition for manifest in self.manifests if manifest.partition]

    @property
    def has_parquet(self) -> bool:
        """Whether the asset holds a Parquet file."""
        return any(stored.name.endswith(".parquet") for manifest in self.manifests for stored in manifest.files)


@dataclass(frozen=True, slots=True)
class _Partition:
    manifest: Manifest
    filesystem: pafs.FileSystem
    paths: list[str]

    @property
    def kind(self) -> tuple[str, bool]:
        """Return what partitions must share to be read as one table: their schema, and whether they have a month."""
        return self.manifest.schema_hash, self.manifest.partition is not None


def create_view(
    connection: duckdb.DuckDBPyConnection, lake: Lake, table: LakeTable, *, verified: bool = True
) -> list[str]:
    """Create the view of a table on a connection, and return the paths that the connection reads for it.

    Parameters
    ----------
    verified
        Whether the content of files on a disk is verified now; otherwise, and in S3, where a question reads parts of files that
        would have to be fetched whole, their presence and size alone.

    Raises
    ------
    LakeError
        The asset holds no Parquet, or a file is gone or damaged.
    """
    found = lake.each(
        lambda manifest: lake.parquet_paths(manifest, verified=verified and lake.is_local), table.manifests
    )
    listed = [_Partition(manifest, *paths) for manifest, paths in zip(table.manifests, found, strict=True)]
    parts = [part for part in listed if part.paths]
    if not parts:
        raise LakeError("the asset holds no table", where=table.asset, fix="`finai sql --tables` lists the tables")
    local = all(isinstance(part.filesystem, pafs.LocalFileSystem) for part in parts)
    if local or use_httpfs(connection, lake):
        prefix = "" if local else "s3://"
        urls = [prefix + path for part in parts for path in part.paths]
        query = _over_files(parts, prefix)
    else:
        urls, source = [], STREAM + table.asset
        connection.register(source, _dataset(parts))
        query = f"SELECT * FROM {quoted(source)}"  # noqa: S608 - quoted
    if "/" in table.asset:
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(table.asset.partition('/')[0])}")
    connection.execute(f"CREATE OR REPLACE VIEW {view_name(table.asset)} AS {query}")
    return urls


def _over_files(parts: Sequence[_Partition], prefix: str) -> str:
    """Return the query that reads the files; of each schema, only the first file is opened in advance.

    Partitions whose schemas differ are joined by the names of their columns, never by position. The month of the partition stands
    in for a column of that name.
    """
    pieces = []
    for (_, has_month), alike in groupby(parts, key=lambda part: part.kind):
        paths = [exact_path(prefix + path) for part in alike for path in part.paths]
        files = f"read_parquet({literals(paths)}, hive_partitioning = false, filename = {literal(_FILE)})"
        chosen = f"* EXCLUDE ({_FILE})"
        if has_month:
            own = f"COLUMNS(lambda name: lower(name) NOT IN ({literal(MONTH)}, {literal(_FILE)}))"
            chosen = rf"regexp_extract({_FILE}, '/month=([^/]*)/[^/]*$', 1) AS {MONTH}, {own}"
        pieces.append(f"SELECT {chosen} FROM {files}")  # noqa: S608 - paths are quoted
    return " UNION ALL BY NAME ".join(pieces)


def _dataset(parts: Sequence[_Partition]) -> ds.Dataset:
    """Return the partitions as one Arrow data set; a question reads only the columns and months that it needs."""
    import pyarrow.dataset as ds

    form = ds.ParquetFileFormat()
    fragments: list[ds.Fragment] = []
    schemas: list[pa.Schema] = []
    try:
        for (_, has_month), alike in groupby(parts, key=lambda part: part.kind):
            first = len(fragments)
            for part in alike:
                label = ds.field(MONTH) == part.manifest.partition if has_month else None
                fragments += [form.make_fragment(path, part.filesystem, label) for path in part.paths]
            schemas.append(fragments[first].physical_schema.remove_metadata())
        columns = list(pa.unify_schemas(schemas, promote_options="permissive"))
    except (OSError, pa.ArrowException) as error:
        raise LakeError(
            f"the table cannot be read: {error}", where=parts[0].manifest.asset, fix="materialise the asset again"
        ) from error
    if any(part.manifest.partition for part in parts):
        columns = [pa.field(MONTH, pa.string()), *(field for field in columns if field.name.lower() != MONTH)]
    return ds.FileSystemDataset(fragments, pa.schema(columns), form, parts[0].filesystem)


def use_httpfs(connection: duckdb.DuckDBPyConnection, lake: Lake) -> bool:
    """Let DuckDB read the lake's bucket itself where httpfs is installed on this machine; return whether it does."""
    if not _is_installed(connection, "httpfs") or lake.s3_client is None:
        return False
    connection.execute("LOAD httpfs")
    credentials = lake.s3_client._request_signer._credentials.get_frozen_credentials()
    scheme, _, host = lake.s3_client.meta.endpoint_url.partition("://")
    values = {
        "KEY_ID": credentials.access_key,
        "SECRET": credentials.secret_key,
        "SESSION_TOKEN": credentials.token,
        "REGION": lake.s3_client.meta.region_name,
        "ENDPOINT": host.rstrip("/"),
        "URL_STYLE": "path",
    }
    options = [f"{name} {literal(value)}" for name, value in values.items() if value]
    connection.execute(
        f"CREATE OR REPLACE SECRET lake (TYPE s3, {', '.join(options)}, USE_SSL {str(scheme == 'https').lower()})"
    )
    return True


def _is_installed(connection: duckdb.DuckDBPyConnection, extension: str) -> bool:
    """Return whether an extension is installed on this machine; DuckDB looks in its own folder and asks no server."""
    question = "SELECT installed FROM duckdb_extensions() WHERE extension_name = ?"
    return any(installed for (installed,) in connection.execute(question, [extension]).fetchall())


def create_evidence_view(connection: duckdb.DuckDBPyConnection, lake: Lake) -> list[str]:
    """Create the view of the evidence log, where there is one, and return the paths of its entries."""
    folder = f"{lake.root}/{EVIDENCE}"
    paths = [f"{folder}/{name}" for name in objects.names(lake, folder) if name != HEAD]
    if not paths:
        return []
    if lake.is_local:
        columns = ", ".join(f"{name}: {literal(kind)}" for name, kind in _LOG_COLUMNS.items())
        files = literals([exact_path(path) for path in paths])
        query = f"SELECT * FROM read_json({files}, format = 'newline_delimited', columns = {{{columns}}})"  # noqa: S608
    else:
        connection.register(STREAM + EVIDENCE, _entries(lake, paths))
        casts = ", ".join(f"{name}::{kind} AS {name}" for name, kind in _LOG_COLUMNS.items())
        query = f"SELECT {casts} FROM {quoted(STREAM + EVIDENCE)}"  # noqa: S608 - constants
    schema, name = EVIDENCE_VIEW.split(".")
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    connection.execute(f"CREATE OR REPLACE VIEW {schema}.{name} AS {query}")
    return paths


def _entries(lake: Lake, paths: list[str]) -> pa.Table:
    """Return the entries of the log as a table; each record stays JSON text."""
    entries = [json.loads(content) for content in objects.get_all(lake, paths) if content]
    columns = {name: [entry[name] for entry in entries] for name in ("sequence", "previous", "recorded_at")}
    records = [json.dumps(entry["record"], ensure_ascii=False) for entry in entries]
    return pa.table({**columns, "record": records})
