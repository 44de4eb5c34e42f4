"""Looks for what names a person directly: columns that are called so, and texts that look so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """A column that is called or filled like an identifier; ``masked`` shows a value without telling it."""

    place: str
    what: str
    values: int
    masked: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return it as a row of a check's table."""
        return {"place": self.place, "found": self.what, "distinct values": self.values, "for example": self.masked}


def luhn(digits: str) -> bool:
    """Tell whether a number's last digit is the check digit of a payment card (ISO/IEC 7812-1, annex B).

    Examples
    --------
    >>> luhn("4111111111111111"), luhn("4111111111111112")
    (True, False)
    """
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if position % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return len(set(digits)) > 1 and luhn(digits)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a kind of identifier looks like, and what says of a match whether it is one."""

    name: str
    pattern: re.Pattern[str]
    confirms: Callable[[str], bool] = lambda _text: True


# A resident registration number is a date of birth, a digit from 1 to 8, and six more; those issued since October 2020 have no
# check digit, so that none is asked for. Digits before or after would make it a part of something longer.
_SHAPES = (
    _Shape(
        "national id",
        re.compile(r"(?<!\d)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[- ]?[1-8]\d{6}(?!\d)"),
    ),
    _Shape("card number", re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)"), _is_card),
    _Shape(
        "phone number",
        re.compile(
            r"(?<![\d.])(?:\+\d{1,3}[ -]?\(?\d{1,4}\)?(?:[ -]?\d{2,4}){2,3}|01[016789][- ]?\d{3,4}[- ]?\d{4}"
            r"|0\d{1,2}[- ]\d{3,4}[- ]\d{4})(?![\d.])"
        ),
    ),
    _Shape("e-mail address", re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")),
)
# What any of them needs at least, for the fast pass over a whole column.
_COARSE = r"\d(?:[ ()-]?\d){8,}|[A-Za-z0-9]@[A-Za-z0-9]"


def find_in_text(text: str) -> Iterator[tuple[str, str]]:
    """Yield what a text holds: the kind of identifier, and the part of the text.

    Examples
    --------
    >>> list(find_in_text("call 010-1234-5678"))
    [('phone number', '010-1234-5678')]
    """
    for shape in _SHAPES:
        for match in shape.pattern.finditer(text):
            if shape.confirms(match[0]):
                yield shape.name, match[0]


def masked(text: str) -> str:
    """Return a text with every letter and digit but the first replaced, so that evidence tells nobody's data.

    Examples
    --------
    >>> masked("010-1234-5678")
    '0**-****-****'
    """
    return text[:1] + re.sub(r"\w", "*", text[1:])


def denied_names(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """Return the names that a deny list of shell patterns matches, whatever their case."""
    denied = re.compile("|".join(translate(pattern.lower()) for pattern in patterns)) if patterns else None
    return [name for name in names if denied and denied.match(name.lower())]


def scan_texts(place: str, column: pa.ChunkedArray | pa.Array) -> list[Finding]:
    """Return what the distinct values of a string column hold."""
    distinct = pc.unique(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
    if pa.types.is_dictionary(distinct.type):
        distinct = distinct.dictionary
    suspects = distinct.filter(pc.match_substring_regex(distinct.cast(pa.string()), _COARSE))
    found: dict[str, list[str]] = {}
    for text in suspects.to_pylist():
        for what, part in find_in_text(text):
            found.setdefault(what, []).append(part)
    return [Finding(place, what, len(set(parts)), masked(parts[0])) for what, parts in found.items()]


def is_text(kind: pa.DataType) -> bool:
    """Tell whether a column of this type holds texts."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def scan_json(place: str, content: Any) -> list[Finding]:
    """Return what the texts of a JSON value hold. Its keys are no columns: a registry may well have a key ``name``."""
    texts = list(_texts(content))
    return scan_texts(place, pa.array(texts, pa.string())) if texts else []


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for value in content.values() if isinstance(content, Mapping) else content:
            yield from _texts(value)
