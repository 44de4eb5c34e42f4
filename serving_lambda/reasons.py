"""Reasons that a branch employee can read out: approved templates whose slots are filled with the facts that were chosen.

A reason is a sentence with one or two facts (:mod:`serving_lambda.facts`), a sentence that introduces the product, what a benefit
of the product offers where its merchant category meets a told fact, and a closing. Customer and product choose the variant of
each part, so that a customer reads the same text each time. A text that would break a limit gives way to a shorter
one, and at last to a neutral one that the build has checked for every product.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import ceil
from string import Formatter
from typing import TYPE_CHECKING, Any
from zlib import crc32

from serving_lambda.facts import Fact, Teller, Told
from serving_lambda.korean import MYRIAD, ended, hangul_share, in_myriads, particle

if TYPE_CHECKING:
    from serving_lambda.bundle import ContractColumn
    from serving_lambda.catalogue import Benefit, Product

LONGEST = 200
SHORTEST = 30
HANGUL_SHARE = 0.8
LANGUAGES = ("ko", "en")

Segments = tuple[tuple[str, str, str], ...]  # literal text, slot ("" at the end), particles of the slot


class Renderer:
    """The templates of a bundle.

    Parameters
    ----------
    templates : mapping
        ``introductions``, ``closings``, ``benefits``, ``neutral`` (lists of ``{ko, en}``), ``clauses`` (form to ``{ko, en}``, a
        list each), ``facts`` (:class:`~serving_lambda.facts.Teller`), ``concepts`` (id to ``{ko, en}``), ``currency``
        (``{ko, en, myriads}``), ``terms`` (kind of term to ``{ko, en}``).
    columns : sequence of ContractColumn
    products : sequence of Product
    """

    def __init__(
        self, templates: Mapping[str, Any], columns: Sequence[ContractColumn], products: Sequence[Product]
    ) -> None:
        self.teller = Teller(templates["facts"], columns, products)
        self.clauses = {
            form: {language: [_segments(text) for text in texts] for language, texts in by_language.items()}
            for form, by_language in templates["clauses"].items()
        }
        self.introductions, self.closings, self._benefits, self._neutral = (
            [{language: _segments(text) for language, text in entry.items()} for entry in templates[name]]
            for name in ("introductions", "closings", "benefits", "neutral")
        )
        self.terms: Mapping[str, Mapping[str, str]] = templates["terms"]
        self.currency: Mapping[str, Any] = templates["currency"]
        self._concepts: Mapping[str, Mapping[str, str]] = templates["concepts"]
        self.columns = columns

    def concept(self, position: int, language: str) -> str:
        """Return the name of a column's concept."""
        return self._concepts[self.columns[position].concept][language]

    def reason(self, told: Sequence[Told], product: Product, customer_id: int | None) -> dict[str, str]:
        """Return the reason in Korean and English.

        Parameters
        ----------
        told
            What was chosen of the evidence; empty where no model speaks or no fact can be told.
        customer_id
            Chooses the variant together with the product.
        """
        chosen = crc32(f"{customer_id}:{product.product_id}".encode())
        facts = [(self.teller.by_key[entry.key], entry.figure) for entry in told]
        return {language: self._text(facts, product, chosen, language) for language in LANGUAGES}

    def benefit_met(self, told: Sequence[Told], product: Product) -> Benefit | None:
        """Return the first benefit of a product whose merchant category meets a told fact."""
        return _met([self.teller.by_key[entry.key] for entry in told], product)

    def neutral(self, product: Product, language: str) -> list[str]:
        """Return every neutral text for a product; the build checks them all."""
        return [_fill(entry[language], {"product": _name(product, language)}) for entry in self._neutral]

    def variants(self, fact: Fact, figure: float, language: str) -> Iterator[str]:
        """Return the sentence of a fact in each of its variants."""
        for at in range(len(self.clauses[fact.form][language])):
            yield self._sentence([(fact, figure)], at, language)

    def introduced(self, product: Product, language: str) -> Iterator[str]:
        """Return every introduction of a product; with a sentence of facts each is a reason that has room for no closing."""
        for entry in self.introductions:
            yield _fill(entry[language], {"product": _name(product, language)})

    def after(self, product: Product, language: str, benefit: Benefit | None = None) -> Iterator[str]:
        """Return everything that may follow the sentence of facts: introductions with each closing, or with a benefit."""
        slots = {"product": _name(product, language)}
        if benefit is None:
            ends = [_fill(entry[language], slots) for entry in self.closings]
        else:
            ends = [self._offer(benefit, product, at, language) for at in range(len(self._benefits))]
        for introduction in self.introduced(product, language):
            for end in ends:
                yield f"{introduction} {end}"

    def _text(self, facts: Sequence[tuple[Fact, float]], product: Product, chosen: int, language: str) -> str:
        name = _name(product, language)
        if facts:
            chosen, intro = divmod(chosen, len(self.introductions))
            chosen, close = divmod(chosen, len(self.closings))
            introduction = _fill(self.introductions[intro][language], {"product": name})
            closing = _fill(self.closings[close][language], {"product": name})
            met = _met([fact for fact, _ in facts], product)
            offer = [self._offer(met, product, chosen, language)] if met else []
            both = self._sentence(facts, chosen, language)
            meeting = [entry for entry in facts if met and met.category in entry[0].categories]
            first = self._sentence((meeting or facts)[:1], chosen, language)
            for parts in (
                (both, introduction, *offer, closing),
                (both, introduction, *offer),
                (first, introduction, *offer),
                (both, introduction, closing),
                (both, introduction),
                (first, introduction, closing),
                (first, introduction),
            ):
                text = " ".join(parts)
                if acceptable(text, name, language):
                    return text
        return _fill(self._neutral[chosen % len(self._neutral)][language], {"product": name})

    def _offer(self, benefit: Benefit, product: Product, chosen: int, language: str) -> str:
        template = self._benefits[chosen % len(self._benefits)][language]
        text = benefit.ko if language == "ko" else benefit.en
        return _fill(template, {"product": _name(product, language), "benefit": text.rstrip(".")})

    def _sentence(self, facts: Sequence[tuple[Fact, float]], chosen: int, language: str) -> str:
        """Return the facts as one sentence; the second takes another variant than the first."""
        clauses = [self._clause(fact, figure, chosen + 3 * at, language) for at, (fact, figure) in enumerate(facts)]
        if language == "ko":
            return "고, ".join([*clauses[:-1], ended(clauses[-1])]) + "."
        text = ", and ".join(clauses)
        return f"{text[0].upper()}{text[1:]}."

    def _clause(self, fact: Fact, figure: float, chosen: int, language: str) -> str:
        texts = self.clauses[fact.form][language]
        slots = {slot: text[language] for slot, text in fact.words.items()}
        if fact.shown_as:
            slots["value"] = self.shown(figure, fact.shown_as, language)
        return _fill(texts[chosen % len(texts)], slots)

    def shown(self, figure: float, shown_as: str, language: str) -> str:
        """Return a figure as it is told: percent and whole numbers rounded, years down, days up to 2 or more, won to 10,000."""
        if shown_as == "percent":
            return f"{round(figure * 100)}%"
        if shown_as == "money":
            return self.money(figure, language)
        if shown_as == "years":
            return str(int(figure // 12))
        return f"{max(ceil(figure), 2) if shown_as == 'days' else round(figure):,}"

    def money(self, amount: float, language: str) -> str:
        """Return an amount with its currency."""
        if self.currency["myriads"] and amount >= MYRIAD:
            if language == "ko":
                return f"{in_myriads(amount)} {self.currency['ko']}"
            amount = round(amount / MYRIAD) * MYRIAD
        if language == "ko":
            return f"{round(amount):,}{self.currency['ko']}"
        return f"{self.currency['en']} {round(amount):,}"


def acceptable(text: str, product: str, language: str) -> bool:
    """Tell whether a text keeps the limits: 30 to 200 characters and, in Korean, 80 % Hangul among the letters."""
    if not SHORTEST <= len(text) <= LONGEST:
        return False
    return language != "ko" or hangul_share(text.replace(product, "")) >= HANGUL_SHARE


def _met(facts: Sequence[Fact], product: Product) -> Benefit | None:
    if not product.benefits:
        return None
    named = {category for fact in facts for category in fact.categories}
    return next((benefit for benefit in product.benefits if benefit.category in named), None)


def _name(product: Product, language: str) -> str:
    return product.name_ko if language == "ko" else product.name


def _segments(template: str) -> Segments:
    return tuple((literal, slot or "", spec or "") for literal, slot, spec, _ in Formatter().parse(template))


def _fill(segments: Segments, slots: Mapping[str, str]) -> str:
    parts = []
    for literal, slot, pair in segments:
        parts.append(literal)
        if slot:
            word = slots[slot]
            parts.append(word + (particle(word, pair) if pair else ""))
    return "".join(parts)
