"""From scores to what is shown: choose the products, say what explains each, and put it into words.

The handler and the batch job take these functions in the same order; only who computes the scores differs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from serving_lambda.bundle import Bundle
from serving_lambda.contract import Customer
from serving_lambda.ranking import Term, explaining
from serving_lambda.reasons import Evidence
from serving_lambda.rules import Facts
from serving_lambda.scorer import RULES_LAYER, Scored, Student, class_contributions


class Choice(NamedTuple):
    """A product to show, and how it came there: by the terms of models, or by rules."""

    product_id: int
    score: float
    layer: int
    terms: tuple[Term, ...]
    rules: tuple[str, ...]

    @property
    def explained_by(self) -> Term | None:
        """Return the term whose task explains the product, or None where the rules chose it."""
        return explaining(self) if self.terms else None  # type: ignore[arg-type] # it asks for terms alone


class _WithinContract:
    """The columns of a customer that lie within their contract, looked up when a rule asks."""

    def __init__(self, bundle: Bundle, customer: Customer) -> None:
        self._place, self._row = bundle.place, customer.row
        self._flagged = {flag.column for flag in customer.flags}

    def get(self, name: str) -> float | None:
        if name in self._flagged or name not in self._place:
            return None
        return self._row[self._place[name]]


def choose(bundle: Bundle, scored: Scored, customer: Customer, k: int) -> list[Choice]:
    """Return at most ``k`` products: those that models rank, then, where these don't suffice, those of the rules.

    A customer whose features lie outside the contract is served by the rules alone.
    """
    chosen = []
    if not customer.flags:
        for ranked in bundle.ranking.rank(scored.scores, customer.held)[:k]:
            layer = max(scored.layer(term.task) for term in ranked.terms)
            chosen.append(Choice(ranked.product_id, ranked.score, layer, ranked.terms, ()))
    if len(chosen) < k:
        skip = {choice.product_id for choice in chosen}
        if bundle.ranking.exclude_held:
            skip |= customer.held
        facts = Facts(customer.age, customer.segment, customer.held, _WithinContract(bundle, customer))  # type: ignore[arg-type]
        for found in bundle.rules.rank(facts, skip)[: k - len(chosen)]:
            chosen.append(Choice(found.product_id, found.score, RULES_LAYER, (), found.rules))  # noqa: PERF401
    return chosen


def evidence_of(student: Student, contributions: Sequence[float], output: int, row: Sequence[float]) -> list[Evidence]:
    """Return every column's part in one output of a student, in the student's order.

    ``contributions`` [classes * (columns + 1)] and ``row`` (contract order) belong to the same customer.
    """
    values = class_contributions(student, contributions, output)
    return [Evidence(at, row[at], value) for at, value in zip(student.positions, values, strict=True)]


def strongest(evidence: Sequence[Evidence], count: int) -> list[Evidence]:
    """Return the largest contributions by size, ties in column order; zeros are left out."""
    ordered = sorted(evidence, key=lambda entry: -abs(entry.contribution))
    return [entry for entry in ordered[:count] if entry.contribution != 0.0]


def reason_of(bundle: Bundle, choice: Choice, evidence: Sequence[Evidence], customer: Customer) -> dict[str, str]:
    """Return the reason for a product, in Korean and English."""
    product = bundle.ranking.products[choice.product_id]
    names = {"ko": product.name_ko, "en": product.name}
    return bundle.renderer.reason(evidence, names, customer.customer_id, choice.product_id)


def described(
    bundle: Bundle, choice: Choice, evidence: Sequence[Evidence], customer: Customer, locale: str
) -> dict[str, Any]:
    """Return one recommendation as the caller sees it. Contributions are in units of the explaining task's raw score."""
    product = bundle.ranking.products[choice.product_id]
    explained = choice.explained_by
    return {
        "product_id": choice.product_id,
        "product": product.code,
        "name": product.name,
        "name_ko": product.name_ko,
        "score": choice.score,
        "task_scores": {term.task: term.probability for term in choice.terms},
        "layer": choice.layer,
        "reason": reason_of(bundle, choice, evidence, customer),
        "explained_by": explained.task if explained else None,
        "attributions": [
            {
                "column": bundle.names[entry.position],
                "concept": bundle.renderer.concept(entry.position, locale),
                "value": entry.value if entry.value == entry.value else None,
                "contribution": entry.contribution,
                "displayable": bundle.columns[entry.position].displayable,
            }
            for entry in strongest(evidence, bundle.ranking.attributions)
        ],
        "terms": [term._asdict() for term in choice.terms] or [{"rule": name} for name in choice.rules],
    }


def summary(scored: Scored) -> dict[str, Any]:
    """Return every task's score: a number, or the likeliest class with its probability."""
    shown: dict[str, Any] = {}
    for task, values in scored.scores.items():
        student = scored.students[task]
        if student.kind == "multiclass":
            top = max(range(len(values)), key=values.__getitem__)
            shown[task] = {"class": student.class_labels[top], "probability": values[top]}
        else:
            shown[task] = values[0]
    return shown
