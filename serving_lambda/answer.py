"""From what the path chose to what the caller sees: words, attributions, and everything that a score is recomputed from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from serving_lambda.attribution import strongest
from serving_lambda.bundle import Bundle
from serving_lambda.contract import Customer
from serving_lambda.facts import Evidence
from serving_lambda.filters import Removed
from serving_lambda.path import Choice
from serving_lambda.record import Driver, Part, Record
from serving_lambda.scorer import Scored


def record_of(bundle: Bundle, choice: Choice, evidence: Sequence[Evidence], customer: Customer) -> Record:
    """Return the evidence record of a product."""
    term, ranked = choice.explained_by, choice.ranked
    chosen = bundle.renderer.teller.choose(evidence, customer.row, choice.product_id)
    drivers = strongest(evidence, bundle.ranking.attributions)
    return Record(
        customer_id=customer.customer_id,
        product=bundle.ranking.products[choice.product_id],
        score=choice.score,
        layer=choice.layer,
        bundle_id=bundle.bundle_id,
        explained_by=term.task if term else None,
        told=chosen.told,
        carried=chosen.carried,
        not_displayable=sum(entry.position not in chosen.tellable for entry in drivers),
        drivers=tuple(Driver(bundle.names[entry.position], entry.value, entry.contribution) for entry in drivers),
        parts=tuple(
            Part(term.task, term.kind, term.weight * term.multiplier * term.boost, *term[-3:])
            for term in (ranked.terms if ranked else ())
        ),
    )


def described(
    bundle: Bundle, choice: Choice, evidence: Sequence[Evidence], customer: Customer, locale: str
) -> dict[str, Any]:
    """Return one recommendation as the caller sees it; contributions are in units of the explaining term's logarithm."""
    record, ranked = record_of(bundle, choice, evidence, customer), choice.ranked
    product, terms = record.product, ranked.terms if ranked else ()
    return {
        "product_id": choice.product_id,
        "product": product.code,
        "name": product.name,
        "name_ko": product.name_ko,
        "disclosures": list(product.disclosures),
        "score": choice.score,
        "fatigue": ranked.fatigue if ranked else 1.0,
        "risk_penalty": ranked.risk_penalty if ranked else 0.0,
        "task_scores": {term.task: term.probability for term in terms},
        "layer": choice.layer,
        "reason": record.customer(bundle.renderer),
        "banker": record.banker(bundle.renderer),
        "facts": record.facts(bundle.renderer),
        "carried": record.carried,
        "not_displayable": record.not_displayable,
        "explained_by": record.explained_by,
        "attributions": [
            {
                "column": bundle.names[entry.position],
                "concept": bundle.renderer.concept(entry.position, locale),
                "value": entry.value if entry.value == entry.value else None,
                "contribution": entry.contribution,
                "of_task": entry.of_task,
                "of_share": entry.of_share,
                "displayable": bundle.columns[entry.position].displayable,
            }
            for entry in strongest(evidence, bundle.ranking.attributions)
        ],
        "terms": [term._asdict() for term in terms] or [{"rule": name} for name in choice.rules],
    }


def filtered(bundle: Bundle, removed: Sequence[Removed]) -> list[dict[str, Any]]:
    """Return what was filtered, each product with its code."""
    products = bundle.ranking.products
    return [{"product_id": at, "product": products[at].code, "code": code} for at, code in removed]


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
