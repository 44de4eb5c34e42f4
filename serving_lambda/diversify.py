"""Maximal marginal relevance: a list whose neighbours are not all of one kind.

Carbonell and Goldstein: The use of MMR, diversity-based reranking for reordering documents and producing summaries (SIGIR 1998).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

from serving_lambda.catalogue import Product


class Scorable(Protocol):
    """A ranked product."""

    @property
    def product_id(self) -> int:
        """Return its id."""

    @property
    def score(self) -> float:
        """Return its score."""


Entry = TypeVar("Entry", bound=Scorable)


class Similarity(NamedTuple):
    """How alike two products are: of one family, else of one class, else not at all (0)."""

    same_family: float
    same_class: float

    def of(self, first: Product, second: Product) -> float:
        """Return the similarity of two products."""
        if first.family == second.family:
            return self.same_family
        return self.same_class if first.product_class == second.product_class else 0.0


def diversify(
    ranked: Sequence[Entry], products: Sequence[Product], relevance: float, similarity: Similarity
) -> Iterator[Entry]:
    """Yield ranked products one by one, each the one with the greatest marginal relevance beside those before it.

    ``relevance * score / best score - (1 - relevance) * greatest similarity to a product before it``; equal ones keep their
    order. With a relevance of 1, or where no score is positive, the order stays.

    Parameters
    ----------
    ranked
        Best first.
    products
        The catalogue by id.
    relevance
        MMR's lambda, 0..1.
    """
    best = ranked[0].score if ranked else 0.0
    if relevance == 1.0 or best <= 0.0:
        yield from ranked
        return
    left = list(ranked)
    alike = [0.0] * len(left)  # to the nearest product chosen so far
    while left:
        gains = [
            relevance * entry.score / best - (1.0 - relevance) * near for entry, near in zip(left, alike, strict=True)
        ]
        at = max(range(len(left)), key=gains.__getitem__)
        chosen = left.pop(at)
        alike.pop(at)
        yield chosen
        own = products[chosen.product_id]
        alike = [
            max(near, similarity.of(own, products[entry.product_id])) for entry, near in zip(left, alike, strict=True)
        ]
