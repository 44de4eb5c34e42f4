"""What Korean sentences need of a machine: particles, polite endings, amounts as they are spoken, and the share of Hangul."""

from __future__ import annotations

_FIRST, _FINALS = ord("가"), 28
_BIEUP = 17  # index of the final consonant of 십니다
_RIEUL = 8  # index of the final consonant that takes 로, not 으로
_DIGIT_FINAL = {"0": 21, "1": 8, "2": 0, "3": 16, "4": 0, "5": 0, "6": 1, "7": 8, "8": 8, "9": 0, "%": 0}
MYRIAD = 10_000


def particle(word: str, pair: str) -> str:
    """Return the particle that follows a word: the first of ``을/를`` after a final consonant, else the second.

    After a word whose ending has no Korean reading here (a Latin letter), both are written: ``을(를)``.
    """
    closed, open_ = pair.split("/")
    last = word.rstrip(")]\"' ")[-1:]
    if "가" <= last <= "힣":
        final = (ord(last) - _FIRST) % _FINALS
    elif last in _DIGIT_FINAL:
        final = _DIGIT_FINAL[last]
    else:
        return f"{closed}({open_})"
    if final == _RIEUL and closed == "으로":
        return open_
    return closed if final else open_


def ended(stem: str) -> str:
    """Return a predicate's stem with its formal ending: 늘었 becomes 늘었습니다, 이용 중이시 becomes 이용 중이십니다."""
    last = ord(stem[-1])
    if (last - _FIRST) % _FINALS:
        return f"{stem}습니다"
    return f"{stem[:-1]}{chr(last + _BIEUP)}니다"


def in_myriads(amount: float) -> str:
    """Return an amount of at least 10,000, rounded to the nearest 10,000, as it is spoken: ``145만``, ``1억 2,500만``."""
    hundred_millions, myriads = divmod(round(amount / MYRIAD), MYRIAD)
    parts = [f"{hundred_millions:,}억"] if hundred_millions else []
    parts += [f"{myriads:,}만"] if myriads else []
    return " ".join(parts)


def hangul_share(text: str) -> float:
    """Return the share of Hangul syllables among the letters of a text."""
    letters = sum(map(str.isalpha, text))
    hangul = sum(map("가".__le__, text)) - sum(map("힣".__lt__, text))  # every syllable between is a letter
    return hangul / letters if letters else 0.0
