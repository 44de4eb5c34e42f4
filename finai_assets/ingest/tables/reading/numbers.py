"""Numbers as a country and a program write them, by a declared rule: what the rule does not read is no number.

One pattern in RE2's syntax serves Arrow and DuckDB alike. Read are an optional sign before the digits, digits that the declared
sign groups by three or not at all, the declared decimal sign with digits before it, behind it or both, and an exponent. ``5-`` and
``(5)`` are numbers only where they are declared; ``12.34,5``, ``1.5`` under the decimal sign ``,`` and the grouping sign ``.``,
``1,234,56``, ``NaN``, ``1 €`` and digits of other scripts are none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from finai_resources.errors import ConfigError
from finai_resources.printable import excerpt
from finai_resources.sql_text import literal

# Signs that look alike on paper: a declared one stands for all of its row.
_ALIKE = {" ": " \u00a0\u202f\u2009", "'": "'\u2019"}
_BLANK = " \t"


@dataclass(frozen=True, slots=True)
class NumberFormat:
    """How numbers are written.

    Parameters
    ----------
    decimal
        The sign before the fraction.
    thousands
        The sign between groups of three digits, or None; a blank stands for every kind of blank, an apostrophe for both.
    trailing_minus
        Whether ``5-`` is -5, as SAP writes it.
    parentheses
        Whether ``(5)`` is -5, as accountants write it.

    Raises
    ------
    ConfigError
        A sign is not one character, is a digit or a letter, or both signs are the same.
    """

    decimal: str = "."
    thousands: str | None = None
    trailing_minus: bool = False
    parentheses: bool = False

    def __post_init__(self) -> None:
        signs = [self.decimal, *([self.thousands] if self.thousands is not None else [])]
        for sign in signs:
            if len(sign) != 1 or sign.isalnum() or sign in "+-()\r\n\\":
                raise ConfigError(
                    f"{excerpt(sign)!r} cannot be a sign within numbers",
                    where="decimal, thousands",
                    fix="declare one such as , or .",
                )
        if self.decimal in self._grouping():
            raise ConfigError(
                f"{self.decimal!r} is declared as the decimal sign and as the one between thousands",
                where="decimal, thousands",
                fix="declare two different signs",
            )

    def _grouping(self) -> str:
        return "" if self.thousands is None else _ALIKE.get(self.thousands, self.thousands)

    @property
    def pattern(self) -> str:
        """Return the pattern of a whole number, in RE2's syntax."""
        point = re.escape(self.decimal)
        whole = r"[0-9]+"
        if self.thousands is not None:
            whole = rf"(?:[0-9]{{1,3}}(?:[{_escaped(self._grouping())}][0-9]{{3}})+|[0-9]+)"
        body = rf"(?:{whole}(?:{point}[0-9]*)?|{point}[0-9]+)(?:[eE][+-]?[0-9]{{1,3}})?"
        forms = [f"[+-]?{body}"]
        forms += [f"{body}-"] if self.trailing_minus else []
        forms += [rf"\({body}\)"] if self.parentheses else []
        return f"^(?:{'|'.join(forms)})$"

    @property
    def _steps(self) -> list[tuple[str, str]]:
        """Return patterns and what takes their place, one after the other, from a number to its plain form."""
        steps = [(f"[{_escaped(self._grouping())}]", "")] if self.thousands is not None else []
        steps += [(re.escape(self.decimal), ".")] if self.decimal != "." else []
        steps += [(r"^\((.*)\)$", r"-\1"), (r"^(.*)-$", r"-\1"), (r"^\+", "")]
        steps += [(r"^(-?)\.", r"\g0."), (r"\.([eE]|$)", r"\1")]
        return [(pattern, put.replace(r"\g0", r"\10")) for pattern, put in steps]

    def plain(self, column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Return numbers of a column of text in the form of SQL and Python (``-1234.50``), null where there is none."""
        text = pc.utf8_trim(column, characters=_BLANK)
        text = pc.if_else(pc.match_substring_regex(text, self.pattern), text, pa.scalar(None, pa.string()))
        for pattern, put in self._steps:
            text = pc.replace_substring_regex(text, pattern, put)
        return text

    def values(self, column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
        """Return numbers of a column of text as float64, the nearest there is; null where there is none or it is too large."""
        numbers = self.plain(column).cast(pa.float64())
        return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))

    def plain_sql(self, expression: str) -> str:
        """Return the SQL of :meth:`plain` of an expression."""
        text = f"trim(CAST({expression} AS VARCHAR), {literal(_BLANK)})"
        whole = f"CASE WHEN regexp_matches({text}, {literal(self.pattern)}) THEN {text} END"
        for pattern, put in self._steps:
            whole = f"regexp_replace({whole}, {literal(pattern)}, {literal(put)}, 'g')"
        return whole

    def values_sql(self, expression: str) -> str:
        """Return the SQL of :meth:`values` of an expression."""
        number = f"TRY_CAST({self.plain_sql(expression)} AS DOUBLE)"
        return f"CASE WHEN isfinite({number}) THEN {number} END"

    def macro(self, name: str) -> str:
        """Return the statement that makes ``name(text)`` the number of a text in DuckDB."""
        return f"CREATE OR REPLACE TEMP MACRO {name}(text) AS {self.values_sql('text')}"


def _escaped(signs: str) -> str:
    return "".join(re.escape(sign) for sign in signs)
