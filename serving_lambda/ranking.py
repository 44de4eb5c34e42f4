"""From task scores to products (FD-TVS): every product's score is a sum of terms, and all that it is made of is kept.

``score(p) = fatigue^n * sum of terms - risk penalty(p)``, with a term for each task that speaks for the product:
``term = task weight * segment multiplier * rule boost * P(task) * share(p | choice set, customer)``

The events are any acquisition (1 less the next best action's "nothing"; the choice set is the whole catalogue), the product's
family as the next best action, and the acquisition sets with the product; kinds of weight 0 take no part. n counts
the recent messages to the customer about the product. All weights come from configuration; the neutral ones are 1, no boost, no
penalty. Sums go from left to right, so that the batch job gets the same bits with arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from serving_lambda.catalogue import ANY, Product, products_of, sources_of
from serving_lambda.contract import Customer
from serving_lambda.diversify import Similarity
from serving_lambda.rules import Facts, matches
from serving_lambda.scorer import Scored
from serving_lambda.shares import shares_of


class Term(NamedTuple):
    """One summand of a product's score: the product of ``weight``, ``multiplier``, ``boost``, ``probability`` and ``share``.

    ``output`` is the class of the task's prediction, 0 where it has one output; ``kind`` says what the event is.
    """

    task: str
    output: int
    kind: str
    weight: float
    multiplier: float
    boost: float
    probability: float
    share: float
    value: float


class Ranked(NamedTuple):
    """A product with its score, ``fatigue * sum of the terms' values - risk_penalty``, terms in the order of addition.

    ``shares`` goes with ``terms``: the share of each open member of the term's choice set, by product id.
    """

    product_id: int
    score: float
    terms: tuple[Term, ...]
    shares: tuple[Mapping[int, float], ...]
    fatigue: float
    risk_penalty: float

    @property
    def explaining(self) -> Term:
        """Return the term that explains the product: the largest, the first of equals."""
        return max(self.terms, key=lambda term: term.value)

    @property
    def explaining_shares(self) -> Mapping[int, float]:
        """Return the shares of the choice set of the term that explains the product."""
        return self.shares[self.terms.index(self.explaining)]


def probability_of(kind: str, predicted: Any) -> Any:
    """Return a term's probability from the task's output, a number or an array: of any acquisition, 1 less that of none."""
    return 1.0 - predicted if kind == ANY else predicted


class Ranking:
    """The catalogue, and everything that ranking weighs with.

    Parameters
    ----------
    products : sequence of mapping
        The entries of ``products.json``, one for each field of :class:`~serving_lambda.catalogue.Product`, ids dense from 0.
    ranking : mapping
        ``acquisitions`` (count per product id), ``smoothing``, ``weights`` (of each kind of term),
        ``segment_multipliers`` (segment to kind of term to factor), ``rule_boosts`` (``id``, ``when``, ``classes``, ``factor``
        each), ``risk_penalties`` (risk grade as text to what is subtracted), ``fatigue``, ``diversity``
        (``relevance``, ``same_family``, ``same_class``), ``held_products`` ("exclude" or "allow"), ``top_k``, ``attributions``.
    """

    def __init__(self, products: Sequence[Mapping[str, Any]], ranking: Mapping[str, Any]) -> None:
        self.declared = products, ranking
        self.products = products_of(products)
        self.counts = tuple(count + ranking["smoothing"] for count in ranking["acquisitions"])
        self.weights: Mapping[str, float] = {kind: float(weight) for kind, weight in ranking["weights"].items()}
        self.sources = sources_of(self.products, self.weights)
        self.tasks = frozenset(source.task for sources in self.sources for source in sources)
        self.multipliers: Mapping[str, Mapping[str, float]] = ranking["segment_multipliers"]
        self.rule_boosts: Sequence[Mapping[str, Any]] = ranking["rule_boosts"]
        penalties = ranking["risk_penalties"]
        self.penalties = tuple(float(penalties.get(str(product.risk_grade), 0.0)) for product in self.products)
        self.fatigue = float(ranking["fatigue"])
        self.relevance = float(ranking["diversity"]["relevance"])
        self.similarity = Similarity(ranking["diversity"]["same_family"], ranking["diversity"]["same_class"])
        self.exclude_held = ranking["held_products"] == "exclude"
        self.top_k = int(ranking["top_k"])
        self.attributions = int(ranking["attributions"])
        self.ids = {product.code: product.product_id for product in self.products}
        self._class_of = {product.product_id: product.product_class for product in self.products}

    def altered(self, changes: Mapping[str, Any]) -> Ranking:
        """Return the ranking with some entries of ``ranking`` replaced."""
        products, ranking = self.declared
        return Ranking(products, {**ranking, **changes})

    def boosts(self, customer: Customer) -> Sequence[float]:
        """Return each product's factor by the rules that hold for a customer; those that meet are multiplied."""
        factors = [1.0] * len(self.products)
        facts = Facts(customer.age, customer.segment, customer.held, customer.standing.asset_band, {})
        for rule in self.rule_boosts:
            if matches(rule["when"], facts, self._class_of):
                for product in self.products:
                    if product.product_class in rule["classes"]:
                        factors[product.product_id] *= rule["factor"]
        return factors

    def rank(self, scored: Scored, customer: Customer, offered: Sequence[Product]) -> list[Ranked]:
        """Return every offered product that has at least one term, best first, ties by product id."""
        open_ids = {product.product_id for product in offered}
        known: dict[tuple[int, ...], Mapping[int, float]] = {}
        boosts = self.boosts(customer) if self.rule_boosts else None
        multipliers = self.multipliers.get(customer.segment or "", {})
        ranked = []
        for product in offered:
            place = product.product_id
            terms, shares = [], []
            for task, output, kind, members in self.sources[place]:
                if task not in scored.scores:
                    continue
                if members not in known:
                    known[members] = shares_of(members, open_ids, scored.margins, self.counts)
                weight, multiplier = self.weights[kind], multipliers.get(kind, 1.0)
                boost = boosts[place] if boosts else 1.0
                probability, share = probability_of(kind, scored.scores[task][output]), known[members][place]
                value = weight * multiplier * boost * probability * share
                terms.append(Term(task, output, kind, weight, multiplier, boost, probability, share, value))
                shares.append(known[members])
            if terms:
                ranked.append(self._ranked(place, terms, shares, customer))
        ranked.sort(key=lambda entry: (-entry.score, entry.product_id))
        return ranked

    def _ranked(
        self, product_id: int, terms: Sequence[Term], shares: Sequence[Mapping[int, float]], customer: Customer
    ) -> Ranked:
        total = 0.0
        for term in terms:
            total += term.value
        fatigue, penalty = self.fatigue ** customer.contacts.get(product_id, 0), self.penalties[product_id]
        return Ranked(product_id, fatigue * total - penalty, tuple(terms), tuple(shares), fatigue, penalty)
