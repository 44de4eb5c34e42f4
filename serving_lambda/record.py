"""The evidence record of one recommendation, and its three renderings: for the customer, for the banker, for the auditor.

The handler makes the record from what it computed; a row of the monthly table holds the same record, so that what was served can
be rendered again later.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from serving_lambda.facts import Told

if TYPE_CHECKING:
    from serving_lambda.bundle import ContractColumn
    from serving_lambda.catalogue import Product
    from serving_lambda.reasons import Renderer

_RULES = {"ko": "모델이 아닌 규칙에 따라 선정되었습니다.", "en": "It was chosen by rules, not by a model."}
_NUMBERED = re.compile(
    r"(?:top-level category|대분류 업종) [0-9]+"
)  # in a column's description, which is the same for all data sets
_NO_FACT = {"ko": "고객에게 말씀드릴 수 있는 근거가 없습니다.", "en": "There is no fact that can be told."}


class Part(NamedTuple):
    """One summand of a score: ``value = factor * probability * share``; the factor is weight, segment multiplier and boost."""

    task: str
    kind: str
    factor: float
    probability: float
    share: float
    value: float


class Driver(NamedTuple):
    """A column among the strongest contributions, with its value in the contract row (NaN where missing)."""

    column: str
    value: float
    contribution: float


class Record(NamedTuple):
    """Everything that the reason of one recommendation stands on.

    Parameters
    ----------
    told
        The facts that are told, best first; empty where the rules chose the product or nothing can be told.
    carried
        The share of the positive evidence that the told facts carry.
    not_displayable
        How many of ``drivers`` no fact can tell to the customer.
    drivers
        The strongest contributions, of either sign.
    parts
        The summands of the score; empty where the rules chose the product.
    """

    customer_id: int | None
    product: Product
    score: float
    layer: int
    bundle_id: str
    explained_by: str | None
    told: tuple[Told, ...]
    carried: float
    not_displayable: int
    drivers: tuple[Driver, ...]
    parts: tuple[Part, ...]

    def customer(self, renderer: Renderer) -> dict[str, str]:
        """Return the text that may be read out to the customer, ``ko`` and ``en``."""
        return renderer.reason(self.told, self.product, self.customer_id)

    def banker(self, renderer: Renderer) -> dict[str, str]:
        """Return the text for the employee, ``ko`` and ``en``: exact figures, benefits, the score in words, what was not told."""
        return {language: " ".join(_banker(self, renderer, language)) for language in ("ko", "en")}

    def facts(self, renderer: Renderer) -> list[dict[str, Any]]:
        """Return the told facts with their columns, values and contributions."""
        return [_fact(entry, renderer) for entry in self.told]

    def auditor(self, renderer: Renderer) -> dict[str, Any]:
        """Return the record in values that JSON can hold, with the texts that it gives."""
        benefit = renderer.benefit_met(self.told, self.product)
        return {
            "customer_id": self.customer_id,
            "product_id": self.product.product_id,
            "product": self.product.code,
            "disclosures": list(self.product.disclosures),
            "score": self.score,
            "layer": self.layer,
            "bundle_id": self.bundle_id,
            "explained_by": self.explained_by,
            "facts": self.facts(renderer),
            "benefit": benefit._asdict() if benefit else None,
            "carried": self.carried,
            "not_displayable": self.not_displayable,
            "drivers": [{**driver._asdict(), "value": _or_none(driver.value)} for driver in self.drivers],
            "terms": [part._asdict() for part in self.parts],
            "reason": self.customer(renderer),
        }


def _fact(told: Told, renderer: Renderer) -> dict[str, Any]:
    fact = renderer.teller.by_key[told.key]
    base = renderer.columns[fact.base].name if fact.base >= 0 else None
    return {
        "family": fact.family,
        "form": fact.form,
        "column": renderer.columns[fact.position].name,
        "value": told.value,
        "compared_with": base,
        "base": _or_none(told.base),
        "figure": told.figure,
        "contribution": told.contribution,
        "categories": list(fact.categories),
    }


def _banker(record: Record, renderer: Renderer, language: str) -> list[str]:
    korean, product = language == "ko", record.product
    said = [f"[{product.name_ko}]" if korean else f"[{product.name}]"]
    if record.told:
        facts = "; ".join(_exact(entry, renderer, language) for entry in record.told)
        share = f"{record.carried:.0%}"
        said.append(f"근거: {facts}." if korean else f"Facts: {facts}.")
        said.append(
            f"말씀드리는 근거가 전체 긍정 근거의 {share}입니다."
            if korean
            else f"What is told carries {share} of the positive evidence."
        )
    elif record.parts:
        said.append(_NO_FACT[language])
    if record.drivers:
        left, count = record.not_displayable, len(record.drivers)
        said.append(
            f"주요 요인 {count}개 중 {left}개는 고객에게 안내할 수 없습니다."
            if korean
            else f"{left} of {count} top drivers are not displayable."
        )
    if product.benefits:
        texts = "; ".join((benefit.ko if korean else benefit.en).rstrip(".") for benefit in product.benefits)
        said.append(f"혜택: {texts}." if korean else f"Benefits: {texts}.")
    said.append(_score(record, renderer, language) if record.parts else _RULES[language])
    said.append(f"{record.layer}단계 모델의 결과입니다." if korean else f"Layer {record.layer}.")
    return said


def _exact(told: Told, renderer: Renderer, language: str) -> str:
    """Return a fact's columns with their exact values, and of a comparison the change."""
    fact = renderer.teller.by_key[told.key]
    parts = [_described(renderer.columns[fact.position], told.value, renderer.currency[language], language)]
    if fact.base >= 0:
        change = told.figure if fact.measure == "rise" else -told.figure
        parts += [
            _described(renderer.columns[fact.base], told.base, renderer.currency[language], language),
            f"{'변화' if language == 'ko' else 'change'} {change:+.1%}",
        ]
    if "what" in fact.words and fact.categories:
        name = fact.words["what"][language]
        told_by_name, numbered = _NUMBERED.subn(name, parts[0])
        parts[0] = told_by_name if numbered else f"{parts[0]} ({name})"
    return ", ".join(parts)


def _described(column: ContractColumn, value: float, currency: str, language: str) -> str:
    text = column.description_ko if language == "ko" else column.description
    if column.kind == "binary":
        return text
    if column.kind == "share":
        return f"{text} {value:.1%}"
    unit = column.unit.split("/")[0]
    shown = f"{value:,.0f}" if unit == "KRW" or value == int(value) else f"{value:,.1f}"
    if unit == "KRW":
        shown = f"{shown}{currency}" if language == "ko" else f"{currency} {shown}"
    elif unit in _UNITS:
        shown = f"{shown}{_UNITS[unit][language]}"
    return f"{text} {shown}"


_UNITS = {"days": {"ko": "일", "en": " days"}, "months": {"ko": "개월", "en": " months"}}


def _score(record: Record, renderer: Renderer, language: str) -> str:
    terms = []
    for part in record.parts:
        name = renderer.terms[part.kind][language]
        share = "그중 이 상품의 비중" if language == "ko" else "share of this product in it"
        factor = f" × {part.factor:.2f}" if part.factor != 1.0 else ""
        terms.append(f"{name} {part.probability:.1%} × {share} {part.share:.1%}{factor} = {part.value:.4f}")
    whole, korean = sum(part.value for part in record.parts), language == "ko"
    text = f"{'점수' if korean else 'Score'} {record.score:.4f}: " + "; ".join(terms)
    if abs(whole - record.score) > 1e-4:
        text += " (최근 안내 횟수와 위험 조정 후)" if korean else " (after recent messages and risk)"
    return text + "."


def _or_none(value: float) -> float | None:
    return value if value == value else None  # noqa: PLR0124 -- NaN is the one value that differs from itself
