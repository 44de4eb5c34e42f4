"""Violations of the contract, counted over a month and reported as one error; conversion of a table to its schema.

Pure Arrow in and out. The rules themselves stand in ``contract``; nothing here knows a table's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_resources.errors import ContractError

EXAMPLES = 3


class BrokenContractError(ContractError):
    """Rules of the contract are broken; the text is about the first of them, ``violations`` counts all."""

    def __init__(self, what: str, violations: Violations, *, where: str, fix: str) -> None:
        super().__init__(what, where=where, fix=fix)
        self.violations = violations


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule in one column of one source."""

    source: str
    column: str
    rule: str
    fix: str


@dataclass
class Violations:
    """Broken rules, counted over all pieces of a month, in the order in which they were first seen."""

    counts: dict[Violation, int] = field(default_factory=dict)
    examples: dict[Violation, list[str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def add(self, violation: Violation, rows: int, examples: Iterable[str]) -> None:
        """Count rows that break a rule, and keep the first three of them as text."""
        if rows:
            self.counts[violation] = self.counts.get(violation, 0) + rows
            kept = self.examples.setdefault(violation, [])
            for example in examples:
                if len(kept) < EXAMPLES:
                    kept.append(example)

    def mask(self, violation: Violation, broken: np.ndarray, table: pa.Table, show: Sequence[str]) -> None:
        """Count the rows [n] where ``broken`` is true; examples show the named columns of the table."""
        at = np.flatnonzero(broken)
        if len(at):
            rows = table.select(list(show)).take(pa.array(at[:EXAMPLES])).to_pylist()
            self.add(violation, len(at), (_shown(row) for row in rows))

    def raise_if_any(self) -> None:
        """Raise an error about the first broken rule; it names the others with their counts.

        Raises
        ------
        ContractError
            At least one rule is broken.
        """
        if not self.counts:
            return
        first, *others = self.counts
        what = f"{first.rule}: {_rows(self.counts[first])}, for example {'; '.join(self.examples[first])}"
        if others:
            more = ", ".join(f"{other.column}: {other.rule} ({_rows(self.counts[other])})" for other in others[:5])
            what += f". Also broken: {more}"
        raise BrokenContractError(what, self, where=f"{first.source}, column {first.column}", fix=first.fix)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count:,} rows"


def _shown(row: Mapping[str, Any]) -> str:
    return "(" + ", ".join(f"{name}={value}" for name, value in row.items()) + ")"


def conform(table: pa.Table, schema: pa.Schema, *, source: str) -> pa.Table:
    """Return the table with exactly the columns, order and types of a schema.

    Types are widened or narrowed only where every value survives; text is never parsed here.

    Raises
    ------
    ContractError
        A column is missing, unknown, of another type, out of its type's range, or null where the contract requires a value.
    """
    missing = [name for name in schema.names if name not in table.column_names]
    unknown = [name for name in table.column_names if name not in schema.names]
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    for rule, names in (("missing column", missing), ("unknown column", unknown), ("column occurs twice", twice)):
        if names:
            raise ContractError(
                f"{rule} ({_rows(table.num_rows)}): {', '.join(names)}",
                where=f"{source}, column {names[0]}",
                fix=f"deliver exactly {', '.join(schema.names)}",
            )
    violations = Violations()
    columns = [_cast(table, wanted, source, violations) for wanted in schema]
    violations.raise_if_any()
    return pa.Table.from_arrays(columns, schema=schema)


def _cast(table: pa.Table, wanted: pa.Field, source: str, violations: Violations) -> pa.ChunkedArray:
    column = table[wanted.name]
    if not _kindred(column.type, wanted.type):
        violations.add(
            Violation(source, wanted.name, f"wrong type {column.type}, not {wanted.type}", f"deliver {wanted.type}"),
            len(column),
            (_shown({wanted.name: value}) for value in column.slice(0, EXAMPLES).to_pylist()),
        )
        return pa.chunked_array([pa.nulls(len(column), wanted.type)])
    if not wanted.nullable:
        absent = pc.is_null(column).to_numpy(zero_copy_only=False)
        fix = "a required value is missing at the source: deliver it, or leave the row out"
        violations.mask(
            Violation(source, wanted.name, "null in a required column", fix), absent, table, _keys(table, wanted)
        )
    try:
        return column.cast(wanted.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        values = column.to_pylist()
        broken = np.array([not _fits(value, wanted.type) for value in values], dtype=bool)
        rule = f"value does not fit {wanted.type}"
        violations.mask(
            Violation(source, wanted.name, rule, "correct it at the source"), broken, table, _keys(table, wanted)
        )
        return pa.chunked_array([pa.nulls(len(column), wanted.type)])


def _keys(table: pa.Table, wanted: pa.Field) -> list[str]:
    return [name for name in dict.fromkeys(("customer_id", wanted.name)) if name in table.column_names]


def _fits(value: object, kind: pa.DataType) -> bool:
    try:
        pa.array([value]).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False
    return True


def _kindred(found: pa.DataType, wanted: pa.DataType) -> bool:
    """Return whether one type can stand for the other without a change of meaning."""
    t = pa.types
    if t.is_dictionary(found):
        return _kindred(found.value_type, wanted)
    if t.is_list(wanted):
        listed = t.is_list(found) or t.is_large_list(found)
        return listed and _kindred(found.value_type, wanted.value_type)
    if t.is_struct(wanted):
        return bool(t.is_struct(found))
    accepted = {
        pa.int16(): t.is_integer,
        pa.float64(): lambda kind: t.is_floating(kind) or t.is_integer(kind),
        pa.timestamp("us"): lambda kind: t.is_date(kind) or (t.is_timestamp(kind) and kind.tz is None),
        pa.date32(): t.is_date,
        pa.bool_(): t.is_boolean,
        pa.string(): lambda kind: t.is_string(kind) or t.is_large_string(kind),
    }
    return bool(t.is_null(found) or accepted[pa.int16() if t.is_integer(wanted) else wanted](found))


def blank_sentinels(table: pa.Table, sentinels: Mapping[str, Sequence[float]]) -> pa.Table:
    """Replace the listed values of the listed columns by null; columns that the table lacks are ignored."""
    for name, values in sentinels.items():
        position = table.schema.get_field_index(name)
        kind = table.schema.field(position).type if position >= 0 else None
        if kind is None or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
            continue
        column = table[name]
        marks = pc.is_in(pc.cast(column, pa.float64()), value_set=pa.array([float(v) for v in values], pa.float64()))
        table = table.set_column(
            position, table.schema.field(position), pc.if_else(marks, pa.scalar(None, kind), column)
        )
    return table


def check_order(
    ids: np.ndarray, last: int | None, table: pa.Table, *, source: str, unique: bool, out: Violations
) -> None:
    """Count rows whose customer precedes the customer of the row before, or repeats it where each may occur once.

    Parameters
    ----------
    ids : int64 [n]
    last : int or None
        The last customer of the piece before.
    """
    before = np.concatenate([[ids[0] if last is None else last], ids[:-1]]) if len(ids) else ids
    fix = "sort the source by customer_id"
    out.mask(
        Violation(source, "customer_id", "rows are not in ascending order of customer", fix),
        ids < before,
        table,
        ["customer_id"],
    )
    if unique:
        repeated = ids == before
        if len(ids) and last is None:
            repeated[0] = False
        fix = "deliver one row for each customer and month"
        out.mask(Violation(source, "customer_id", "duplicate (customer, month)", fix), repeated, table, ["customer_id"])
