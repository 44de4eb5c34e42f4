"""Marginal relevance by hand, on four products of two families."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from serving_lambda.catalogue import Product
from serving_lambda.diversify import Similarity, diversify


class Entry(NamedTuple):
    product_id: int
    score: float


def product(place: int, family: int, product_class: str) -> Product:
    return Product(place, f"p{place}", "", "", family, product_class, None, (), None, None, None, (), ())


# Two savings, an account of another family but the same class, and a card.
PRODUCTS = [product(0, 0, "deposit"), product(1, 0, "deposit"), product(2, 1, "deposit"), product(3, 2, "card")]
RANKED = [Entry(0, 1.0), Entry(1, 0.9), Entry(2, 0.8), Entry(3, 0.4)]


def order(relevance: float, ranked: list[Entry] = RANKED) -> list[int]:
    return [entry.product_id for entry in diversify(ranked, PRODUCTS, relevance, Similarity(1.0, 0.5))]


def test_with_a_relevance_of_one_the_order_stays() -> None:
    assert order(1.0) == [0, 1, 2, 3]


def test_the_next_product_has_the_greatest_relevance_less_its_likeness_to_those_before_it() -> None:
    # After 0: 1 has .45 - .5 = -.05, 2 has .4 - .25 = .15, 3 has .2 - 0 = .2. After 3: 1 -.05, 2 .15.
    assert order(0.5) == [0, 3, 2, 1]
    # After 0: 1 has .81 - .1 = .71, 2 has .72 - .05 = .67, 3 has .36.
    assert order(0.9) == [0, 1, 2, 3]
    # After 0: 1 has .63 - .3 = .33, 2 has .56 - .15 = .41, 3 has .28. After 2: 1 .33, 3 .28.
    assert order(0.7) == [0, 2, 1, 3]


def test_scores_are_measured_by_the_best_one_so_that_their_unit_does_not_matter() -> None:
    assert order(0.7, [Entry(at, score * 1e-4) for at, score in RANKED]) == order(0.7)


@pytest.mark.parametrize("scores", [[], [0.0, 0.0], [-0.5, -0.6]])
def test_where_no_score_is_positive_the_order_stays(scores: list[float]) -> None:
    entries = [Entry(place, score) for place, score in enumerate(scores)]
    assert order(0.3, entries) == list(range(len(scores)))
