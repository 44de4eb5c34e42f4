"""Faults of what is stored: a file changed behind the product's back, by a program that knows the format."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import group_asset
from finai_checks.framework.record import record_path
from finai_resources.lake import Lake
from finai_resources.manifest import StoredFile

GROUP, MONTH, COLUMN = group_asset("txn_behavior"), "2015-02", 2
CHECK = "point_in_time_replay"


def rewrite_a_column(home: Path) -> None:
    """Write a month's partition again with one column raised by 1, under the versions and upstream that it had."""
    lake = Lake.on_disk(home / "lake")
    manifest = lake.manifest(GROUP, MONTH)
    table = lake.read(GROUP, MONTH)
    field = table.schema.field(COLUMN)
    raised = pa.array(table.column(COLUMN).to_numpy() + np.float32(1), field.type)
    others = {file.role: lake.read_bytes(GROUP, MONTH, file.role) for file in manifest.files if not _is_table(file)}
    with lake.write(
        GROUP,
        MONTH,
        code_version=manifest.code_version,
        config_hash=manifest.config_hash,
        upstream=manifest.upstream,
        extra=manifest.extra,
    ) as out:
        out.write(table.set_column(COLUMN, field, raised))
        for role, content in others.items():
            out.put(role, content)


def alter_a_month_and_its_record(home: Path) -> None:
    """Raise a column, and let the records of the month's checks say that they passed on what is stored now."""
    rewrite_a_column(home)
    lake = Lake.on_disk(home / "lake")
    content = lake.manifest(GROUP, MONTH).content_hash
    for folder in (home / "lake" / "checks").iterdir():
        path = Path(record_path(lake, folder.name, GROUP, MONTH))
        if path.is_file():
            record = json.loads(path.read_text())
            path.write_text(json.dumps({**record, "content_hash": content, "passed": True}))


def flip_a_bit(home: Path) -> None:
    """Flip one bit in the middle of a stored Parquet file."""
    lake = Lake.on_disk(home / "lake")
    manifest = lake.manifest(GROUP, MONTH)
    path = Path(lake.path(manifest, next(file for file in manifest.files if _is_table(file))))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _is_table(file: StoredFile) -> bool:
    return file.name.endswith(".parquet")
