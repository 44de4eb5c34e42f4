"""What the values of a column are, from their texts: dates and their format, numbers and their signs, flags, missing texts.

A format is named only where every value has it. What two formats read alike is a question, not a choice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

Name = Literal["date", "number", "flag", "text", "nested", "empty"]
MISSING = frozenset(
    {
        "", "na", "n/a", "n.a.", "#n/a", "nan", "null", "(null)", "none", "nil", "-", "--", "?", ".", "\\n", "unknown", "unk",
        "missing",
    }
)  # fmt: skip
FLAGS = (
    {"0", "1"},
    {"y", "n"},
    {"yes", "no"},
    {"true", "false"},
    {"t", "f"},
    {"s", "n"},
    {"예", "아니오"},
    {"1.0", "0.0"},
)
_DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%d-%b-%Y", "%d%b%Y",
    "%d %b %Y",
)  # fmt: skip
_TIMES = ("", " %H:%M", " %H:%M:%S", "T%H:%M", "T%H:%M:%S", " %H:%M:%S.%f", "T%H:%M:%S.%f", " %I:%M:%S %p")
FORMATS = (
    *(day + time for day in _DAYS for time in _TIMES),
    *(f"%y%m%d{time}" for time in _TIMES[1:]),
    "%Y%m%d",
    "%Y%m%d%H%M%S",
    "%Y%m%d %H%M%S",
    "%Y-%m",
    "%Y%m",
)
COMPACT = "%y%m%d"  # also any number of six digits: only a name can tell
_NO_DAY = re.compile(r"^(0{4}-0{2}-0{2}.*|9{4}-12-31.*|9{6,8}|0{6,8}|31[./-]12[./-]9999|99991231)$")
_PLAIN = re.compile(r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$")
_COMMA = re.compile(r"^[+-]?(\d+|\d*,\d+)$")
_GROUPED = {",": re.compile(r"^[+-]?\d{1,3}(,\d{3})*(\.\d+)?$"), ".": re.compile(r"^[+-]?\d{1,3}(\.\d{3})*(,\d+)?$")}
_SENTINEL = re.compile(r"^-?9{3,}(\.0+)?$|^-1(\.0+)?$")
_FAR = 3.0  # a run of nines that is so many times the largest other value is a mark, not an amount
YEARS = (1880, 2100)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a column's values are.

    Parameters
    ----------
    format
        Of a date, for ``strptime``; None where the column is a date already.
    decimal, thousands
        Signs of a number.
    missing
        Texts that stand for a missing value.
    whole
        Whether every number is an integer.
    compact_date
        Whether every value could also be a date written as ``yymmdd``.
    question
        What the values do not tell.
    """

    name: Name
    format: str | None = None
    decimal: str = "."
    thousands: str | None = None
    missing: tuple[str, ...] = ()
    whole: bool = False
    compact_date: bool = False
    question: str = ""


def kind_of(values: Iterable[str]) -> Kind:
    """Return the kind of a column from its distinct texts.

    Parameters
    ----------
    values
        Distinct values that are not null, trimmed.
    """
    every = list(values)
    missing = [value for value in every if value.casefold() in MISSING]
    rest = [value for value in every if value.casefold() not in MISSING]
    if not rest:
        return Kind("empty", missing=tuple(missing))
    if len(rest) <= 2 and any({value.casefold() for value in rest} <= flags for flags in FLAGS):
        return Kind("flag", missing=tuple(missing), whole=set(rest) <= {"0", "1"})
    return _date(rest, missing) or _number(rest, missing) or Kind("text", missing=tuple(missing))


def _date(values: Sequence[str], missing: Sequence[str]) -> Kind | None:
    no_day = [value for value in values if _NO_DAY.match(value)]
    days = [value for value in values if not _NO_DAY.match(value)]
    if not days:
        return None
    fitting = [form for form in FORMATS if all(parses(value, form) for value in days)]
    if not fitting:
        return None
    other = [form for form in fitting[1:] if {fitting[0][:2], form[:2]} == {"%d", "%m"}]
    question = f"{days[0]!r} is read as {fitting[0]}; it could also be {other[0]}" if other else ""
    return Kind("date", fitting[0], missing=(*missing, *no_day), question=question)


def parses(value: str, form: str) -> bool:
    """Return whether a text is a date of a format, with a year that a bank's table can hold."""
    # strptime takes 2015123 for %Y%m%d and a day of one digit for %d: a format of digits alone fixes the length.
    if form in {"%Y%m%d", "%Y%m", "%Y%m%d%H%M%S", COMPACT} and len(value) != len(f"{datetime(2000, 1, 1):{form}}"):
        return False
    try:
        read = datetime.strptime(value, form)
    except ValueError:
        return False
    return YEARS[0] <= read.year <= YEARS[1]


def _number(values: Sequence[str], missing: Sequence[str]) -> Kind | None:
    decimal, thousands, question = ".", None, ""
    if all(_PLAIN.match(value) for value in values):
        pass
    elif all(_GROUPED[","].match(value) for value in values):
        thousands = ","
        if not any("." in value or value.count(",") > 1 for value in values):
            shown = next(value for value in values if "," in value)
            question = f"{shown!r} is read with a comma between thousands; it could be a decimal comma"
    elif all(_COMMA.match(value) for value in values):
        decimal = ","
    elif all(_GROUPED["."].match(value) for value in values):
        decimal, thousands = ",", "."
    else:
        return None
    marks = _sentinels(values, decimal, thousands)
    if marks:
        question = (
            question or f"{', '.join(marks)} stands far from every other value: is it a mark for a missing value?"
        )
    rest = [value for value in values if value not in marks]
    compact = bool(rest) and all(
        value.isdigit() and (parses(value, COMPACT) or _NO_DAY.match(value)) for value in values
    )
    return Kind(
        "number",
        decimal=decimal,
        thousands=thousands,
        missing=(*missing, *marks),
        whole=all(not value.strip("+-").replace(thousands or "\0", "").strip("0123456789") for value in rest),
        compact_date=compact,
        question=question,
    )


def to_number(value: str, decimal: str = ".", thousands: str | None = None) -> float:
    """Return the number that a text writes."""
    plain = value.replace(thousands, "") if thousands else value
    return float(plain.replace(decimal, "."))


def _sentinels(values: Sequence[str], decimal: str, thousands: str | None) -> list[str]:
    """Return the texts of runs of nines, and of -1, that lie far outside what every other value spans."""
    numbers = {value: to_number(value, decimal, thousands) for value in values}
    marks = [value for value in values if _SENTINEL.match(value)]
    rest = [number for value, number in numbers.items() if value not in marks]
    if not rest:
        return []
    low, high = min(rest), max(rest)
    far = _FAR * max(abs(low), abs(high))
    return [
        value
        for value in marks
        if (numbers[value] < 0 <= low and (len(value) > 3 or high > 1)) or abs(numbers[value]) > far
        if not (value.startswith("-1") and far <= 0)
    ]
