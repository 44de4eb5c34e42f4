"""Distinguishes text that a machine wrote (digests, ids, encoded bytes, numbers) from text that may name a person.

Ten digits in a row within a SHA-256 are no telephone number. The digits alone do not show it, only the run of characters that
holds them does: each run is therefore classified as a whole, and only the rest is searched for identifiers. A run
passes as a machine's only if it has the form to the last character; whatever stands beside it stays.

- UUID: 8, 4, 4, 4 and 12 hexadecimal digits (RFC 9562).
- Digest: 16 or more hexadecimal digits of one case, whole words of 32 bits (SHA-2 is made of such), with letters between digits.
  A number with a letter glued to it is none. A run of digits alone is none either: in 64 of them no identifier is looked for, as
  all have fewer; 16 of them are reported if they pass for a card, unless the place is known to hold a digest
  (:mod:`finai_checks.privacy.known_digests`).
- Base64: 22 characters or more (128 bits; RFC 4648, either alphabet) of capitals, small letters and digits that change kind as
  often as chance does, with no number between two of ``+``, ``/``, ``-`` and ``_``.
- Decimal: a fraction of seven digits or more, or a long whole part with a fraction. ``9001011234567.0`` stays, for a column of
  numbers with gaps writes whole numbers so.
- Power of ten: one digit before the point, and an exponent.
- Date: a month or day of the years 1900 to 2099, as ISO 8601 writes them.

In a list of nine numbers or more the numbers are looked at one by one, never joined over the space between them, unless all of
them together are card numbers or national ids. A shorter one may be the groups of a card number with what stands around it (a
count, the month of expiry, a code).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import pairwise

from finai_checks.privacy.luhn import luhn

GONE = "\0"  # stands for a machine's run: no digit, no letter, no separator, so that what is left and right of it is not joined

_WORD = "0-9A-Za-z"
_UUID = re.compile(
    rf"(?<![{_WORD}])[0-9A-Fa-f]{{8}}-(?:[0-9A-Fa-f]{{4}}-){{3}}[0-9A-Fa-f]{{12}}(?![{_WORD}])",
)
_HEX = re.compile(rf"(?<![{_WORD}])(?:0x)?([0-9a-f]{{16,}}|[0-9A-F]{{16,}})(?![{_WORD}])")
_HEX_WORD = 8  # hexadecimal digits of 32 bits
_BETWEEN_DIGITS = re.compile(r"\d[A-Fa-f]+\d")
_BASE64 = re.compile(rf"(?<![{_WORD}+/_-])[{_WORD}+/_-]{{22,}}={{0,2}}(?![{_WORD}+/_=-])")
_PART_NUMBER = re.compile(r"(?<![0-9A-Za-z])\d+(?![0-9A-Za-z])")
_KINDS = str.maketrans(
    {chr(code): kind for low, high, kind in (("A", "Z", "A"), ("a", "z", "a"), ("0", "9", "0"))
     for code in range(ord(low), ord(high) + 1)}
)  # fmt: skip
# Of two neighbours in random base64, 64 % are of different kinds (standard deviation over 43 characters 7 %); in words, names and
# numbers that are glued together some 20 % are.
_LEAST_CHANGES = 0.4

_WHOLE = r"-?(?:0|[1-9]\d*)"
_LIST = re.compile(rf"(?<![{_WORD}.+-])(?<!\d ){_WHOLE}(?: {_WHOLE}){{8,}}(?![{_WORD}]|[.-]\d| \d+(?![\d.]))")
_DECIMAL = re.compile(
    rf"(?<![{_WORD}.])[+-]?(?:\d+\.(?!0+(?!\d))\d{{7,}}|\d{{9,}}\.(?!0+(?!\d))\d{{1,6}}(?![/-]\d))(?:[eE][+-]?\d+)?(?!\.?\d)"
)
_POWER = re.compile(rf"(?<![{_WORD}.])[+-]?\d(?:\.\d+)?[eE][+-]?\d{{1,3}}(?![{_WORD}]|\.\d)")
_DATE = re.compile(r"(?<![\d-])(?:19|20)\d{2}-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12]\d|3[01]))?(?![\d-])")


def without_machine_text(text: str) -> str:
    r"""Return a text in which ``GONE`` stands for each part that a machine wrote.

    Examples
    --------
    >>> without_machine_text("sha256:9001011234567abc" + "0f" * 24 + " 900101-1234567")
    'sha256:\x00 900101-1234567'
    >>> without_machine_text("weight 0.4111111111111111, card 4111111111111111")
    'weight \x00, card 4111111111111111'
    """
    text = _UUID.sub(GONE, text)
    text = _HEX.sub(_gone_if(_is_digest), text)
    text = _BASE64.sub(_gone_if(_is_base64), text)
    text = _LIST.sub(_one_by_one, text)
    text = _POWER.sub(GONE, text)
    text = _DECIMAL.sub(GONE, text)
    return _DATE.sub(GONE, text)


def _gone_if(is_machines: Callable[[re.Match[str]], bool]) -> Callable[[re.Match[str]], str]:
    return lambda found: GONE if is_machines(found) else found[0]


def _is_digest(found: re.Match[str]) -> bool:
    return len(found[1]) % _HEX_WORD == 0 and _BETWEEN_DIGITS.search(found[1]) is not None


def _is_base64(found: re.Match[str]) -> bool:
    run = found[0].rstrip("=")
    kinds = run.translate(_KINDS)
    if not {"A", "a", "0"} <= set(kinds) or _PART_NUMBER.search(run):
        return False
    changes = sum(left != right for left, right in pairwise(kinds))
    return changes >= _LEAST_CHANGES * (len(run) - 1)


def _one_by_one(found: re.Match[str]) -> str:
    """Keep the numbers of a list apart, unless all of them are groups of card numbers or of national ids."""
    numbers = found[0].split(" ")
    lengths = [len(number) for number in numbers]
    cards = ["".join(numbers[place : place + 4]) for place in range(0, len(numbers), 4)]
    if set(lengths) == {4} and len(numbers) % 4 == 0 and all(map(luhn, cards)):
        return found[0]
    if lengths == [6, 7] * (len(numbers) // 2):
        return found[0]
    return GONE.join(numbers)
