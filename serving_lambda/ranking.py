"""From task scores to products: every product's score is a sum of terms, and every term is kept.

``score(p) = w_nba * P(family of p) * share(p | family) + w_acq * sum over acquisition sets S with p of P(S) * share(p | S)``

A share is the product's smoothed count of train acquisitions over that of all products of the family (or set) that the
customer may still be offered, so the shares of what can be offered sum to one. Only tasks that have a score take part.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import fsum
from typing import Any, NamedTuple

from serving_lambda.scorer import Scores

NEXT_BEST_ACTION = "nba_primary"
ACQUISITION_PREFIX = "will_acquire_"


class Product(NamedTuple):
    """One product of the catalogue."""

    product_id: int
    code: str
    name: str
    name_ko: str
    family: int
    product_class: str
    risk_grade: int | None
    sets: tuple[str, ...]


class Term(NamedTuple):
    """One summand of a product's score: ``value = weight * probability * share``; ``output`` is the class, else 0."""

    task: str
    output: int
    weight: float
    probability: float
    share: float
    value: float


class Ranked(NamedTuple):
    """A product with its score and the terms that sum to it, in the order in which they are added."""

    product_id: int
    score: float
    terms: tuple[Term, ...]


class Ranking:
    """The catalogue, the weights and the train counts.

    Parameters
    ----------
    products : sequence of mapping
        ``product_id, code, name, name_ko, family, product_class, risk_grade, sets`` each, ids dense from 0.
    ranking : mapping
        ``acquisitions`` (count per product id), ``smoothing``, ``weights`` (``nba_primary``, ``will_acquire``),
        ``held_products`` ("exclude" or "allow"), ``top_k``, ``attributions``.
    """

    def __init__(self, products: Sequence[Mapping[str, Any]], ranking: Mapping[str, Any]) -> None:
        self.products = tuple(Product(**{**entry, "sets": tuple(entry["sets"])}) for entry in products)
        self.counts = tuple(count + ranking["smoothing"] for count in ranking["acquisitions"])
        self.weight_nba = float(ranking["weights"]["nba_primary"])
        self.weight_acquire = float(ranking["weights"]["will_acquire"])
        self.exclude_held = ranking["held_products"] == "exclude"
        self.top_k = int(ranking["top_k"])
        self.attributions = int(ranking["attributions"])
        self.ids = {product.code: product.product_id for product in self.products}
        families: dict[int, list[int]] = {}
        sets: dict[str, list[int]] = {}
        for product in self.products:
            families.setdefault(product.family, []).append(product.product_id)
            for name in product.sets:
                sets.setdefault(name, []).append(product.product_id)
        self.families = families
        self.sets = sets

    def offered(self, held: Collection[int]) -> list[Product]:
        """Return the products that may be offered, by id."""
        return [p for p in self.products if not (self.exclude_held and p.product_id in held)]

    def rank(self, scores: Scores, held: Collection[int]) -> list[Ranked]:
        """Return every offerable product that has at least one term, best first, ties by product id."""
        families = self.families if NEXT_BEST_ACTION in scores else {}
        sets = {name: members for name, members in self.sets.items() if ACQUISITION_PREFIX + name in scores}
        if not families and not sets:
            return []
        offered = self.offered(held)
        open_ids = {product.product_id for product in offered}
        family_total = {name: self._total(members, open_ids) for name, members in families.items()}
        set_total = {name: self._total(members, open_ids) for name, members in sets.items()}
        ranked = []
        for product in offered:
            terms = self._terms(product, scores, family_total, set_total)
            if terms:
                ranked.append(Ranked(product.product_id, fsum(term.value for term in terms), terms))
        ranked.sort(key=lambda entry: (-entry.score, entry.product_id))
        return ranked

    def _total(self, members: Sequence[int], open_ids: Collection[int]) -> float:
        return fsum(self.counts[member] for member in members if member in open_ids)

    def _terms(
        self,
        product: Product,
        scores: Scores,
        family_total: Mapping[int, float],
        set_total: Mapping[str, float],
    ) -> tuple[Term, ...]:
        count = self.counts[product.product_id]
        terms = []
        if product.family in family_total:
            output = 1 + product.family  # class 0 is "nothing acquired"
            terms.append(_term(NEXT_BEST_ACTION, output, self.weight_nba, scores, count / family_total[product.family]))
        terms += [
            _term(ACQUISITION_PREFIX + name, 0, self.weight_acquire, scores, count / set_total[name])
            for name in product.sets
            if name in set_total
        ]
        return tuple(terms)


def _term(task: str, output: int, weight: float, scores: Scores, share: float) -> Term:
    probability = scores[task][output]
    return Term(task, output, weight, probability, share, weight * probability * share)


def explaining(ranked: Ranked) -> Term:
    """Return the term that explains a product: the largest, the first of equals."""
    return max(ranked.terms, key=lambda term: term.value)
