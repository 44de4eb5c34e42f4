"""Values as a database's driver gives them, as Arrow columns of one type, which is told by the values alone."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from finai_assets.ingest.tables.reading.columnar import Refusal

# An integer is "small" where float64 holds it; a kind is a type of values that Arrow has one column for.
_WHOLE = ("small", "integer", "unsigned", "whole")
_SMALL, _INT64, _UINT64 = 1 << 53, 1 << 63, 1 << 64
_DIGITS = 38
_TYPES: dict[str, pa.DataType] = {
    "nothing": pa.null(),
    "boolean": pa.bool_(),
    "small": pa.int64(),
    "integer": pa.int64(),
    "unsigned": pa.uint64(),
    "whole": pa.decimal128(_DIGITS, 0),
    "real": pa.float64(),
    "text": pa.string(),
    "bytes": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us"),
    "instant": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"),
}


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (type(None), "nothing"),
    (bool, "boolean"),
    (float, "real"),
    (dt.date, "date"),
    (dt.time, "time"),
    ((bytes, bytearray, memoryview), "bytes"),
)


def kind_of_value(value: Any) -> str:
    """Return the kind of a value; ``decimal:2`` for one with two places after the point."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _kind_of_integer(value)
    if isinstance(value, Decimal):
        return f"decimal:{max(-int(value.as_tuple().exponent), 0)}" if value.is_finite() else "real"
    if isinstance(value, dt.datetime):
        return "timestamp" if value.tzinfo is None else "instant"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), "text")


def _kind_of_integer(value: int) -> str:
    if abs(value) <= _SMALL:
        return "small"
    if -_INT64 <= value < _INT64:
        return "integer"
    if 0 <= value < _UINT64:
        return "unsigned"
    return "whole" if abs(value) < 10**_DIGITS else "text"


def common_kind(kinds: Iterable[str]) -> str | Refusal:
    """Return the kind that holds values of several kinds without a change of meaning.

    Whole numbers beside text become text (identifiers of a column without a type); anything else that differs is refused.
    """
    left = set(kinds) - {"nothing"}
    if len(left) < 2:
        return left.pop() if left else "nothing"
    scales = [int(kind.partition(":")[2]) for kind in left if kind.startswith("decimal:")]
    others = {kind for kind in left if not kind.startswith("decimal:")}
    held = {frozenset({"small", "real"}): "real", frozenset({"date", "timestamp"}): "timestamp"}.get(frozenset(left))
    if others <= set(_WHOLE):
        widest = max(others, key=_WHOLE.index, default="small")
        held = f"decimal:{max(scales)}" if scales else "whole" if "unsigned" in others and len(others) > 1 else widest
    elif left <= {*_WHOLE, "text"}:
        held = "text"
    if held is not None:
        return held
    named = ", ".join(sorted({kind.partition(":")[0] for kind in left} - {"small"} or left))
    return Refusal(f"values of several types: {named}", "select one type: `query: SELECT CAST(... AS ...) ...`")


def type_of(kind: str) -> pa.DataType:
    """Return the Arrow type of a kind."""
    return pa.decimal128(_DIGITS, int(kind.partition(":")[2])) if kind.startswith("decimal:") else _TYPES[kind]


def column_of(values: Sequence[Any], kind: str) -> pa.Array:
    """Return values of one kind, or of kinds that it holds, as a column.

    Raises
    ------
    pyarrow.ArrowInvalid
        A decimal has more than 38 digits.
    """
    if kind == "text":
        return pa.array([None if value is None else _text(value) for value in values], pa.string())
    if kind == "timestamp":
        values = [dt.datetime.combine(v, dt.time()) if type(v) is dt.date else v for v in values]
    if kind in ("small", "integer", "unsigned"):
        values = [None if value is None else int(value) for value in values]
    if kind == "whole" or kind.startswith("decimal:"):
        values = [None if value is None else Decimal(value) for value in values]
    if kind == "real":
        values = [None if value is None else float(value) for value in values]
    if kind == "bytes":
        values = [None if value is None else bytes(value) for value in values]
    return pa.array(values, type_of(kind))


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
