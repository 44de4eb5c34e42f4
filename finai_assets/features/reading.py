"""Reading a range of customers of a raw table, whatever the order of its rows."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from finai_resources.errors import LakeError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month


def read_range(
    session: LakeSession, asset: str, month: Month, low: int, high: int, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the rows of a month with ``low <= customer_id <= high``.

    Only row groups that reach into the range are decoded. They are decoded on the calling thread: blocks are read side by
    side already.
    """
    table = read_row_groups(session, asset, month, low, high, columns=columns)
    ids = table["customer_id"]
    return table.filter(pc.and_(pc.greater_equal(ids, low), pc.less_equal(ids, high)))


def read_row_groups(
    session: LakeSession, asset: str, month: Month, low: int, high: int, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return every row group that may hold a customer of the range, whole; it also holds rows of other customers.

    Raises
    ------
    LakeError
        The partition is absent, damaged, or holds no Parquet file.
    """
    manifest = session.manifest(asset, month.key)
    where = f"{asset}@{month.key}"
    pieces: list[pa.Table] = []
    schema: pa.Schema | None = None
    chosen = list(columns) if columns else None
    for file in session.lake.open_parquet(manifest):
        schema = file.schema_arrow
        position = schema.get_field_index("customer_id")
        groups = []
        for index in range(file.metadata.num_row_groups):
            statistics = file.metadata.row_group(index).column(position).statistics
            if statistics is None or not statistics.has_min_max or (statistics.min <= high and statistics.max >= low):
                groups.append(index)
        if groups:
            try:
                pieces.append(file.read_row_groups(groups, columns=chosen, use_threads=False))
            except (OSError, pa.ArrowInvalid) as error:
                raise LakeError(
                    f"the partition cannot be read: {error}", where=where, fix="materialise it again"
                ) from error
    if pieces:
        return pa.concat_tables(pieces)
    if schema is None:
        raise LakeError("the partition holds no Parquet file", where=where, fix="materialise it again")
    return pa.schema([schema.field(name) for name in chosen] if chosen else list(schema)).empty_table()
