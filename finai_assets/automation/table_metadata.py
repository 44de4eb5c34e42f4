"""Tables in Dagster's terms: schemas with nullability, and which raw columns a feature column is computed from."""

from __future__ import annotations

from collections.abc import Iterable

import dagster as dg
import pyarrow as pa

from finai_assets.features.registry import Column


def table_schema(schema: pa.Schema) -> dg.TableSchema:
    """Return an Arrow schema as the value of ``dagster/column_schema``."""
    return dg.TableSchema(
        [
            dg.TableColumn(field.name, str(field.type), constraints=dg.TableColumnConstraints(nullable=field.nullable))
            for field in schema
        ]
    )


def column_lineage(columns: Iterable[Column]) -> dg.TableColumnLineage:
    """Return the declared inputs of feature columns as the value of ``dagster/column_lineage``."""
    return dg.TableColumnLineage(
        {column.name: [_dependency(name) for name in column.inputs if "." in name] for column in columns}
    )


def _dependency(name: str) -> dg.TableColumnDep:
    table, _, column = name.rpartition(".")
    return dg.TableColumnDep(dg.AssetKey(table.split("/")), column)
