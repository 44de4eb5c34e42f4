"""The warehouse: a DuckDB file of views over the lake, for people with SQL. Safe to delete; rebuilt in one step.

Compute never uses it. Each asset becomes the view ``<room>.<name>`` with a ``month`` column, over exactly the files that the
manifests list, so that a view never shows half a partition.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

from finai_resources.errors import LakeError
from finai_resources.lake import Lake


def rebuild(lake: Lake, file: Path, assets: list[str]) -> list[str]:
    """Write the views of the assets that hold tables, and return their names.

    Parameters
    ----------
    lake : Lake
        A lake on disk.
    file : Path
        The DuckDB file; replaced whole.
    assets : list of str
        Asset paths; those that are not stored, or hold no Parquet, are left out.

    Raises
    ------
    LakeError
        The lake is remote, or the file is open elsewhere.
    """
    if not lake.is_local:
        raise LakeError("views need files on this machine", where=lake.root, fix="query the lake with a remote engine")
    partial = file.with_suffix(".new")
    partial.unlink(missing_ok=True)
    made = []
    with duckdb.connect(str(partial)) as connection:
        for asset in sorted(set(assets)):
            query = _union(lake, asset)
            if query is None:
                continue
            schema, _, name = asset.partition("/")
            view = f"{_quoted(schema)}.{_quoted(name.replace('/', '_'))}"
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {_quoted(schema)}")
            connection.execute(f"CREATE VIEW {view} AS {query}")
            made.append(f"{schema}.{name.replace('/', '_')}")
    try:
        partial.replace(file)
    except OSError as error:
        raise LakeError(
            f"the warehouse cannot be replaced: {error}", where=str(file), fix="close it elsewhere"
        ) from error
    return made


def _union(lake: Lake, asset: str) -> str | None:
    pieces = []
    for month in [*lake.partitions(asset), None]:
        manifest = lake.find(asset, month)
        if manifest is None:
            continue
        paths = [lake.path(manifest, stored) for stored in manifest.files if stored.name.endswith(".parquet")]
        if paths:
            listed = ", ".join(_literal(path) for path in paths)
            label = f", {_literal(month)} AS lake_month" if month else ""
            pieces.append(f"SELECT *{label} FROM read_parquet([{listed}])")  # noqa: S608 - literals are quoted below
    return " UNION ALL ".join(pieces) if pieces else None


def _quoted(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
