"""JSON as it is stored and printed: numpy values become plain ones, and no NaN or infinity, which JSON lacks, is written."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def number(value: float, digits: int | None = None) -> float | None:
    """Return a finite number, rounded where digits are given; None for NaN and infinity.

    >>> number(float("nan")), number(0.25), number(0.123456, digits=3)
    (None, 0.25, 0.123)
    """
    if not math.isfinite(value):
        return None
    return float(value) if digits is None else round(float(value), digits)


def plain(value: Any) -> Any:
    """Return a value that JSON can hold.

    Numpy scalars and arrays become numbers and lists, NaN and infinity become null, keys become strings, a set becomes a sorted
    list, and anything else (a date, a path) its text.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):  # numpy's float64 is one
        return number(value)
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, set | frozenset):
        return [plain(entry) for entry in sorted(value, key=str)]
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def to_json(value: Any, *, indent: int | None = None, sort_keys: bool = False, ensure_ascii: bool = False) -> bytes:
    """Return a value as the bytes of a JSON file.

    Raises
    ------
    ValueError
        A number is NaN or infinite, so that other readers would refuse the file; :func:`plain` makes them null.
    """
    text = json.dumps(value, indent=indent, sort_keys=sort_keys, ensure_ascii=ensure_ascii, allow_nan=False)
    return text.encode()


def remembered(file: Path) -> dict[str, Any]:
    """Return the JSON object of a file whose content can be computed again; an empty one where it is absent or damaged."""
    try:
        found = json.loads(file.read_bytes())
    except (FileNotFoundError, ValueError):  # a loss of power may have cut it off
        return {}
    return found if isinstance(found, dict) else {}
