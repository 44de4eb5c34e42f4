"""The shape of a source: its tables' columns in order, with types and what little is remembered of their values.

Two states of a source are compared by it. No value of a customer is kept: only the words of columns whose words the mapping
declares, shares of missing values, and of every column a sketch of keyed hashes, by which the likeness of two columns is
estimated.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import duckdb

from finai_assets.ingest.adapter import Adapter
from finai_assets.ingest.source_lineage import Place, SourceLineage
from finai_assets.ingest.tables.adapter import TablesAdapter
from finai_assets.ingest.tables.reading import Rows
from finai_assets.settings.schema_changes import SchemaChangeSettings
from finai_resources.sql_text import quoted

SKETCH = 128  # hashes of a sketch: the standard error of a likeness of .9 is .03
_DIGITS = 16


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """One column of a source's table.

    Parameters
    ----------
    name, type : str
        As the source has them; ``string`` for every column of a text file.
    nulls : float or None
        Share of missing values of a key column; None of another column, or where it is not known.
    words : tuple of str or None
        The different values of a column whose words the mapping declares, ascending; None as for ``nulls``.
    sketch : tuple of str or None
        The least of the keyed hashes of its different values, ascending; None where the values are not known.
    """

    name: str
    type: str
    nulls: float | None = None
    words: tuple[str, ...] | None = None
    sketch: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class SourceShape:
    """The tables of a source.

    Parameters
    ----------
    tables : mapping
        Name of each -> its columns.
    ordered : bool
        Whether the columns stand in the order of the source.
    key : str
        Names the key of the sketches; those under different keys are not compared.
    """

    tables: Mapping[str, tuple[ColumnShape, ...]] = field(default_factory=dict)
    ordered: bool = True
    key: str = ""

    def column(self, table: str, name: str) -> ColumnShape | None:
        """Return a column by its name; None where there is none."""
        return next((column for column in self.tables.get(table, ()) if column.name == name), None)

    def with_columns(self, table: str, columns: Sequence[ColumnShape]) -> SourceShape:
        """Return the shape with other columns of one table."""
        return replace(self, tables={**self.tables, table: tuple(columns)})

    def without_values(self) -> SourceShape:
        """Return the shape without sketches, as logs keep it."""
        tables = {name: tuple(replace(each, sketch=None) for each in columns) for name, columns in self.tables.items()}
        return SourceShape(tables, self.ordered)

    def with_values_of(self, seen: SourceShape) -> SourceShape:
        """Return the shape with the sketches of another one, of the columns that both have."""
        tables = {
            table: tuple(
                replace(each, sketch=known.sketch) if (known := seen.column(table, each.name)) else each
                for each in columns
            )
            for table, columns in self.tables.items()
        }
        return SourceShape(tables, self.ordered, seen.key)

    def completed(self, now: SourceShape) -> SourceShape:
        """Return names and types of this shape, with what else is known now of the columns that both have.

        Columns stand in the order of ``now``, and those that it lacks behind them.
        """
        tables = {}
        for table, columns in self.tables.items():
            mine = {each.name: each for each in columns}
            both = [replace(each, type=mine[each.name].type) for each in now.tables.get(table, ()) if each.name in mine]
            tables[table] = (*both, *(each for each in columns if now.column(table, each.name) is None))
        return SourceShape(tables, self.ordered, now.key)

    def as_dict(self) -> dict[str, Any]:
        """Return it for a log."""
        tables = {name: [asdict(column) for column in columns] for name, columns in self.tables.items()}
        return {"tables": tables, "ordered": self.ordered, "key": self.key}

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> SourceShape:
        """Read what :meth:`as_dict` wrote."""
        tables = {name: tuple(map(column_of, columns)) for name, columns in content["tables"].items()}
        return cls(tables, content["ordered"], content["key"])

    @classmethod
    def of_schema(cls, schema: Mapping[str, Mapping[str, str]]) -> SourceShape:
        """Return the shape of which a manifest tells: names and types alone, in no order."""
        tables = {
            table: tuple(ColumnShape(name, plain_type(kind)) for name, kind in sorted(columns.items()))
            for table, columns in schema.items()
        }
        return cls(tables, ordered=False)


def column_of(content: Mapping[str, Any]) -> ColumnShape:
    """Read a column from a log."""
    words, sketch = content["words"], content["sketch"]
    return ColumnShape(
        content["name"],
        content["type"],
        content["nulls"],
        None if words is None else tuple(words),
        None if sketch is None else tuple(sketch),
    )


def plain_type(kind: str) -> str:
    """Return the name of a type without how its offsets are stored: ``large_string`` is ``string``."""
    return kind.removeprefix("large_")


def shape_of(adapter: Adapter, key: bytes, lineage: SourceLineage, rules: SchemaChangeSettings) -> SourceShape:
    """Return the shape of a source as it is now; of an adapter in Python, names and types.

    Parameters
    ----------
    key : bytes
        The pseudonym key, from which that of the sketches follows.

    Raises
    ------
    ContractError
        The source cannot be read.
    """
    if not isinstance(adapter, TablesAdapter):
        return SourceShape.of_schema(adapter.source_schema())
    secret = hmac.new(key, b"sketch of a source's column", hashlib.sha256).hexdigest()
    tables = {name: _columns(name, rows, secret, lineage, rules) for name, rows in adapter.rows.items()}
    return SourceShape(tables, key=hashlib.sha256(secret.encode()).hexdigest()[:8])


def _columns(
    table: str, rows: Rows, secret: str, lineage: SourceLineage, rules: SchemaChangeSettings
) -> tuple[ColumnShape, ...]:
    found = []
    with duckdb.connect(":memory:") as database:
        database.execute("SET threads = 1")
        database.execute(f"SELECT * FROM {rows.scan()} LIMIT 0")  # noqa: S608 - paths as literals
        there = {column[0] for column in database.description or ()}
        for name, kind in rows.schema.items():
            column = ColumnShape(name, plain_type(kind))
            if name in there:
                column = _with_values(database, rows.scan(), column, Place(table, name), secret, lineage, rules)
            found.append(column)
    return tuple(found)


def _with_values(
    database: duckdb.DuckDBPyConnection,
    scan: str,
    column: ColumnShape,
    place: Place,
    secret: str,
    lineage: SourceLineage,
    rules: SchemaChangeSettings,
) -> ColumnShape:
    text = f"CAST({quoted(column.name)} AS VARCHAR)"
    counts = f"SELECT count(*), count({quoted(column.name)}) FROM {scan}"  # noqa: S608 - quoted names
    count, known = database.execute(counts).fetchone() or (0, 0)
    sketch = database.execute(
        f"SELECT DISTINCT left(sha256(concat(?, {text})), {_DIGITS}) AS h FROM {scan} "  # noqa: S608 - quoted names
        f"WHERE {quoted(column.name)} IS NOT NULL ORDER BY h LIMIT {SKETCH}",
        [secret],
    ).fetchall()
    words: tuple[str, ...] | None = None
    if place in lineage.categorical:
        listed = database.execute(
            f"SELECT DISTINCT trim({text}) AS w FROM {scan} WHERE {quoted(column.name)} IS NOT NULL "  # noqa: S608
            f"ORDER BY w LIMIT {rules.max_words + 1}"
        ).fetchall()
        words = tuple(word for (word,) in listed) if len(listed) <= rules.max_words else None
    nulls = round(1 - known / count, 6) if count and place in lineage.keys else None
    return replace(column, nulls=nulls, words=words, sketch=tuple(h for (h,) in sketch))
