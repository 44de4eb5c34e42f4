"""The check digit of payment cards."""

from __future__ import annotations


def luhn(digits: str) -> bool:
    """Return whether a number's last digit is the check digit of a payment card (ISO/IEC 7812-1, annex B).

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
