"""Calendar months as values: the unit of every partition, and the arithmetic of cutoffs.

A snapshot month is stored under its key ``2016-05``; its *cutoff* is the first instant of the next month.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Self

_FORM = re.compile(r"^(\d{4})-(\d{2})(-01)?$")


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """One calendar month, counted from year 0 so that months can be added and compared.

    >>> Month.parse("2016-05") + 1
    Month('2016-06')
    """

    ordinal: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``2016-05`` or ``2016-05-01``.

        Raises
        ------
        ValueError
            The text is neither.
        """
        found = _FORM.match(text)
        if not found or not 1 <= int(found[2]) <= 12:
            raise ValueError(f"{text!r} is not a month; write it as 2016-05")
        return cls(int(found[1]) * 12 + int(found[2]) - 1)

    @classmethod
    def of(cls, day: date) -> Self:
        """Return the month that holds the day."""
        return cls(day.year * 12 + day.month - 1)

    @property
    def key(self) -> str:
        """Return the name of the month in the lake: ``2016-05``."""
        return f"{self.ordinal // 12:04d}-{self.ordinal % 12 + 1:02d}"

    @property
    def partition_key(self) -> str:
        """Return the Dagster partition key: ``2016-05-01``."""
        return self.key + "-01"

    @property
    def start(self) -> datetime:
        """Return the first instant of the month (local time, no zone)."""
        return datetime(self.ordinal // 12, self.ordinal % 12 + 1, 1)

    @property
    def cutoff(self) -> datetime:
        """Return the first instant after the month: features read before it, labels from it on."""
        return (self + 1).start

    @property
    def start_us(self) -> int:
        """Return ``start`` as microseconds since 1970, the unit of ``ts``."""
        return (self.start - datetime(1970, 1, 1)) // _MICROSECOND

    @property
    def cutoff_us(self) -> int:
        """Return ``cutoff`` as microseconds since 1970, the unit of ``ts``."""
        return (self + 1).start_us

    def __add__(self, months: int) -> Month:
        return Month(self.ordinal + months)

    def __sub__(self, months: int) -> Month:
        return Month(self.ordinal - months)

    def __str__(self) -> str:
        return self.key

    def __repr__(self) -> str:
        return f"Month({self.key!r})"


_MICROSECOND = datetime(1970, 1, 1, 0, 0, 0, 1) - datetime(1970, 1, 1)


def month_range(first: Month, last: Month) -> Iterator[Month]:
    """Yield every month from ``first`` to ``last``, both included."""
    for ordinal in range(first.ordinal, last.ordinal + 1):
        yield Month(ordinal)
