"""Texts that somebody else wrote (paths, columns, values) as a message shows them: whole in meaning, harmless on a terminal."""

from __future__ import annotations

import re

LONGEST_LINE = 1_500  # of a message; a longer line is cut in its middle
# Control characters but tab and line feed, separators that end a line, marks that turn the direction of a text, the byte-order
# mark, and lone surrogates, which stand for the bytes of a file name that are no text.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    r"""Return a text whose invisible and unprintable characters are written as escapes; everything else stays as it is.

    >>> print(printable("a\x1b[31m [red] \udce9"))
    a\x1b[31m [red] \udce9
    """
    return _HIDDEN.sub(lambda found: _escape(found[0]), text)


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def cut_middle(text: str, limit: int) -> str:
    """Return a text of at most some ``limit`` characters: of a longer one its beginning, its end, and how long it is.

    >>> cut_middle("abcdefghijklmnopqrstuvwxyz", 10)
    'abcde ... vwxyz (26 characters)'
    """
    if len(text) <= limit:
        return text
    half = max(limit // 2, 1)
    return f"{text[:half]} ... {text[-half:]} ({len(text):,} characters)"


def excerpt(value: object, limit: int = 80) -> str:
    """Return a value as an error shows it: on one line, printable, cut in the middle where it is long."""
    text = value if isinstance(value, str) else repr(value)
    return printable(cut_middle(text, limit)).replace("\n", "\\n").replace("\t", "\\t")


def message(text: str) -> str:
    """Return the whole text of a message, printable, each of its lines cut in the middle where it is very long."""
    return "\n".join(cut_middle(line, LONGEST_LINE) for line in printable(text).split("\n"))
