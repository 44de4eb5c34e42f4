"""Reasons that a branch employee can read out: approved templates whose slots are filled from the evidence.

The evidence is the positive part of a product's attributions, summed by concept. Only columns that the bundle marks as
displayable take part; a text that would break a rule (length, share of Hangul) gives way to a plainer one, and at last to a
neutral sentence that the build has checked for every product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from string import Formatter
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

if TYPE_CHECKING:
    from serving_lambda.bundle import ContractColumn

LONGEST = 200
SHORTEST = 30
HANGUL_SHARE = 0.8
CONCEPTS_TOLD = 2

Segment = tuple[str, str, str]  # literal text, slot ("" at the end), particles of the slot


class Evidence(NamedTuple):
    """One column's part in what moved a product: its place in the contract, its value, and its contribution.

    ``contribution`` is the sum of ``of_task`` and ``of_share`` (:mod:`serving_lambda.attribution`).
    """

    position: int
    value: float
    contribution: float
    of_task: float = 0.0
    of_share: float = 0.0


class Told(NamedTuple):
    """A concept to tell, by its strongest column: the column's place in the contract, and its value."""

    concept: str
    position: int
    value: float


class Renderer:
    """The templates of a bundle.

    Parameters
    ----------
    templates : mapping
        ``grounded`` and ``neutral`` (lists of ``{ko, en}``), ``concepts`` (id to ``{ko, en, value, counter}``), ``units``
        (unit to ``{ko, en}`` with slots ``{value}`` and ``{counter}``).
    columns : sequence of ContractColumn
    """

    def __init__(self, templates: Mapping[str, Any], columns: Sequence[ContractColumn]) -> None:
        self._grounded = [{lang: _segments(text) for lang, text in entry.items()} for entry in templates["grounded"]]
        self._neutral = [{lang: _segments(text) for lang, text in entry.items()} for entry in templates["neutral"]]
        self._concepts: Mapping[str, Mapping[str, Any]] = templates["concepts"]
        self._units: Mapping[str, Mapping[str, str]] = templates["units"]
        self._columns = columns

    def concept(self, position: int, language: str) -> str:
        """Return the name of a column's concept."""
        return str(self._concepts[self._columns[position].concept][language])

    def reason(
        self, told: Sequence[Told], name_ko: str, name_en: str, customer_id: int | None, product_id: int
    ) -> dict[str, str]:
        """Return the reason in Korean and English.

        Parameters
        ----------
        told
            What :meth:`told` chose of the evidence; empty where no model speaks.
        name_ko, name_en
            The product's names.
        customer_id
            Chooses the template, so that a customer reads the same text each time.
        """
        chosen = crc32(f"{customer_id}:{product_id}".encode())
        return {"ko": self._text("ko", told, name_ko, chosen), "en": self._text("en", told, name_en, chosen)}

    def neutral(self, names: Mapping[str, str], language: str) -> list[str]:
        """Return every neutral text for a product; the build checks them all."""
        return [_fill(entry[language], {"product": names[language]}) for entry in self._neutral]

    def grounded(self, evidence: str, names: Mapping[str, str], language: str) -> list[str]:
        """Return every grounded text for a product and one piece of evidence; the build checks them."""
        slots = {"product": names[language], "evidence": evidence}
        return [_fill(entry[language], slots) for entry in self._grounded]

    def _text(self, language: str, told: Sequence[Told], product: str, chosen: int) -> str:
        if told:
            template = self._grounded[chosen % len(self._grounded)][language]
            full = [self._phrase(entry, language) for entry in told]
            plain = [str(self._concepts[entry.concept][language]) for entry in told]
            for phrases in (full, full[:1], plain, plain[:1]):
                text = _fill(template, {"product": product, "evidence": _joined(phrases, language)})
                if acceptable(text, product, language):
                    return text
        return _fill(self._neutral[chosen % len(self._neutral)][language], {"product": product})

    def told(self, evidence: Iterable[Evidence]) -> list[Told]:
        """Return the concepts that spoke for the product, strongest first, each with its strongest column.

        Parameters
        ----------
        evidence
            Every column that the explaining models read; empty where no model speaks.
        """
        totals: dict[str, float] = {}
        best: dict[str, Evidence] = {}
        for entry in evidence:
            column = self._columns[entry.position]
            if not column.displayable or entry.contribution == 0.0:
                continue
            totals[column.concept] = totals.get(column.concept, 0.0) + entry.contribution
            held = best.get(column.concept)
            if held is None or entry.contribution > held.contribution:
                best[column.concept] = entry
        spoke = sorted((-total, concept) for concept, total in totals.items() if total > 0)
        return [Told(concept, best[concept].position, best[concept].value) for _, concept in spoke[:CONCEPTS_TOLD]]

    def _phrase(self, told: Told, language: str) -> str:
        """Return "description value" where the value can be told, else the concept's name."""
        named = self._concepts[told.concept]
        column = self._columns[told.position]
        value = self.value(column, told.value, language) if named["value"] else None
        if value is None:
            return str(named[language])
        if language == "ko":
            return f"{column.description_ko} {value}".rstrip()
        meant = f"{_lowered(column.description)}: {value}" if value else _lowered(column.description)
        return f"{named[language]} ({meant})"

    def value(self, column: ContractColumn, value: float, language: str) -> str | None:
        """Return a value with its unit as text, empty for a flag that is set, or None where it is not to be told."""
        if value != value:  # noqa: PLR0124 -- NaN is the one value that differs from itself
            return None
        if column.kind == "binary":
            return "" if value == 1.0 else None
        if column.kind == "share":
            return f"{round(value * 100)}%"
        pattern = self._units.get(column.unit)
        if pattern is None:
            return None
        shown = f"{round(value):,}" if abs(value) >= 100 or value == int(value) else f"{value:.1f}"
        counter = self._concepts[column.concept]["counter"] if language == "ko" else ""
        return pattern[language].replace("{value}", shown).replace("{counter}", counter)


def acceptable(text: str, product: str, language: str) -> bool:
    """Tell whether a text keeps the limits: 30 to 200 characters and, in Korean, 80 % Hangul among the letters."""
    if not SHORTEST <= len(text) <= LONGEST:
        return False
    return language != "ko" or hangul_share(text.replace(product, "")) >= HANGUL_SHARE


def hangul_share(text: str) -> float:
    """Return the share of Hangul syllables among the letters of a text."""
    letters = sum(map(str.isalpha, text))
    hangul = sum(map("가".__le__, text)) - sum(map("힣".__lt__, text))  # every syllable between is a letter
    return hangul / letters if letters else 0.0


def particle(word: str, pair: str) -> str:
    """Return the particle that follows a word: the first of ``을/를`` after a final consonant, else the second.

    After a word whose ending has no Korean reading here (a Latin letter), both are written: ``을(를)``.
    """
    closed, open_ = pair.split("/")
    last = word.rstrip(")]\"' ")[-1:]
    if "가" <= last <= "힣":
        final = (ord(last) - ord("가")) % 28
    elif last in _DIGIT_FINAL:
        final = _DIGIT_FINAL[last]
    else:
        return f"{closed}({open_})"
    if final == _RIEUL and closed == "으로":
        return open_
    return closed if final else open_


_RIEUL = 8  # index of the final consonant that takes 로, not 으로
_DIGIT_FINAL = {"0": 21, "1": 8, "2": 0, "3": 16, "4": 0, "5": 0, "6": 1, "7": 8, "8": 8, "9": 0, "%": 0}


def _segments(template: str) -> tuple[Segment, ...]:
    return tuple((literal, slot or "", spec or "") for literal, slot, spec, _ in Formatter().parse(template))


def _fill(segments: Sequence[Segment], slots: Mapping[str, str]) -> str:
    parts = []
    for literal, slot, pair in segments:
        parts.append(literal)
        if slot:
            word = slots[slot]
            parts.append(word + (particle(word, pair) if pair else ""))
    return "".join(parts)


def _joined(phrases: Sequence[str], language: str) -> str:
    if len(phrases) == 1:
        return phrases[0]
    if language == "en":
        return " and ".join(phrases)
    return f"{phrases[0]}{particle(phrases[0], '과/와')} {phrases[1]}"


def _lowered(text: str) -> str:
    """Lower the first letter for the middle of a sentence, unless it begins an abbreviation."""
    return text[0].lower() + text[1:] if len(text) > 1 and text[1].islower() else text
