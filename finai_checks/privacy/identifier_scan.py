"""Searches for direct identifiers of a person: by the name of a column, and by the form of a text."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from finai_checks.privacy.luhn import luhn
from finai_checks.privacy.machine_text import without_machine_text


@dataclass(frozen=True, slots=True)
class Finding:
    """A column with the name or the content of an identifier; ``masked`` is an example without its letters and digits."""

    place: str
    what: str
    values: int
    masked: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the finding as a row of a check's table."""
        return {"place": self.place, "found": self.what, "distinct values": self.values, "for example": self.masked}


# A resident registration number is a date of birth, a digit from 1 to 8, and six more; those issued since October 2020 have no
# check digit, so that none is asked for. Digits before or after would make it a part of something longer.
_NATIONAL_ID = re.compile(r"(?<!\d)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])[- ]?[1-8]\d{6}(?!\d)")
# A number that ends a sentence or follows a list's "1." is one; the fraction of a decimal number is none.
_PHONE = re.compile(
    r"(?:(?<![\d.])\+\d{1,3}[ -]?\(?\d{1,4}\)?(?:[ -]?\d{2,4}){2,3}"
    r"|(?<!\d)(?<!\d\.)01[016789][- ]?\d{3,4}[- ]?\d{4}"
    r"|(?<!\d)(?:(?<!\d\.)|(?=\d+-))0\d{1,2}[- ]\d{3,4}[- ]\d{4})(?!\d|\.\d)"
)
_FEWEST_PHONE_DIGITS = 9
# The last part of a host is no number: numpy@2.1.0 is a version, not a mailbox.
_MAIL = re.compile(r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9._%+-]+@(?=[A-Za-z0-9])(?:[A-Za-z0-9-]+\.)+[A-Za-z][A-Za-z0-9-]+")
_NUMBERS = re.compile(r"\d+(?:[ -]\d+)*")
_CARD_DIGITS = range(13, 20)
# In what groups cards are written (ISO/IEC 7812-1 leaves it open), where more numbers stand beside them.
_CARD_GROUPS = ((4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (4, 3, 3, 3), (8, 8), (6, 10), (6, 13))


def _national_ids(text: str) -> Iterator[str]:
    yield from _NATIONAL_ID.findall(text)


def _phones(text: str) -> Iterator[str]:
    for found in _PHONE.findall(text):
        if sum(map(str.isdigit, found)) >= _FEWEST_PHONE_DIGITS:
            yield found


def _mails(text: str) -> Iterator[str]:
    yield from _MAIL.findall(text)


def _cards(text: str) -> Iterator[str]:
    """Yield possible card numbers: a row of numbers as a whole, or a part of it in the groups of a card."""
    for row in _NUMBERS.finditer(text):
        groups = list(re.finditer(r"\d+", row[0]))
        lengths = tuple(len(group[0]) for group in groups)
        if sum(lengths) < _CARD_DIGITS.start:
            continue
        spans = {(0, len(groups))} if sum(lengths) in _CARD_DIGITS else set()
        spans |= {(place, place + 1) for place, length in enumerate(lengths) if length in _CARD_DIGITS}
        spans |= {
            (place, place + len(form))
            for form in _CARD_GROUPS
            for place in range(len(lengths) - len(form) + 1)
            if lengths[place : place + len(form)] == form
        }
        for first, end in sorted(spans):
            part = row[0][groups[first].start() : groups[end - 1].end()]
            if _is_card(part):
                yield part


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return len(set(digits)) > 1 and luhn(digits)


# Each of them is searched for in what a machine did not write; a mailbox everywhere, since none of those forms holds an @, and a
# digest may be its name.
_DIGITS: Mapping[str, Callable[[str], Iterator[str]]] = {
    "national id": _national_ids,
    "card number": _cards,
    "phone number": _phones,
}
# What any of them needs at least, for the fast pass over a whole column.
_COARSE = r"\d(?:[ ()-]{0,3}\d){8,}|[A-Za-z0-9._%+-]@[A-Za-z0-9]"


def find_in_text(text: str) -> Iterator[tuple[str, str]]:
    """Yield the identifiers in a text: the kind of each, and the part of the text.

    Digits within a digest, an id or a number are not searched (:mod:`finai_checks.privacy.machine_text`).

    Examples
    --------
    >>> list(find_in_text("call 010-1234-5678"))
    [('phone number', '010-1234-5678')]
    """
    bare = without_machine_text(text)
    for name, found in _DIGITS.items():
        for part in found(bare):
            yield name, part
    for part in _mails(text):
        yield "e-mail address", part


def masked(text: str) -> str:
    """Return a text with every letter and digit but the first replaced, so that evidence holds no personal data.

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
    """Return the findings in the distinct values of a string column."""
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
    """Return whether a column of this type holds texts."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def scan_json(place: str, content: Any) -> list[Finding]:
    """Return the findings in the texts of a JSON value. Its keys are not columns: a registry may have a key ``name``."""
    texts = list(_texts(content))
    return scan_texts(place, pa.array(texts, pa.string())) if texts else []


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, Mapping | list):
        for value in content.values() if isinstance(content, Mapping) else content:
            yield from _texts(value)
