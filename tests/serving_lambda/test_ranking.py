"""Ranking as arithmetic: shares sum to one, held products are out, ties go by id, only available tasks speak."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_lambda.ranking import Ranking, explaining

PRODUCTS = [
    {
        "product_id": index, "code": f"p{index}", "name": f"P{index}", "name_ko": f"상품{index}", "family": index // 2,
        "product_class": "deposit", "risk_grade": None, "sets": ["deposits"] if index < 3 else [],
    }
    for index in range(6)
]  # fmt: skip


def ranking(**changes: Any) -> Ranking:
    chosen = {
        "acquisitions": [3, 1, 0, 0, 7, 2], "smoothing": 1.0, "weights": {"nba_primary": 2.0, "will_acquire": 1.0},
        "held_products": "exclude", "top_k": 3, "attributions": 5,
    }  # fmt: skip
    return Ranking(PRODUCTS, {**chosen, **changes})


SCORES = {"nba_primary": [0.4, 0.3, 0.2, 0.1], "will_acquire_deposits": [0.5]}


def test_a_score_is_the_weighted_sum_of_probability_times_share() -> None:
    first = next(entry for entry in ranking().rank(SCORES, set()) if entry.product_id == 0)
    assert [tuple(term) for term in first.terms] == [
        ("nba_primary", 1, 2.0, 0.3, 4 / 6, 2.0 * 0.3 * (4 / 6)),
        ("will_acquire_deposits", 0, 1.0, 0.5, 4 / 7, 1.0 * 0.5 * (4 / 7)),
    ]
    assert first.score == pytest.approx(0.4 + 2 / 7)


def test_a_held_product_leaves_its_share_to_its_siblings() -> None:
    entries = ranking().rank(SCORES, {0})
    assert 0 not in {entry.product_id for entry in entries}
    sibling = next(entry for entry in entries if entry.product_id == 1)
    assert sibling.terms[0].share == 1.0


def test_held_products_stay_where_the_policy_allows_them() -> None:
    assert {entry.product_id for entry in ranking(held_products="allow").rank(SCORES, {0})} == set(range(6))


def test_equal_scores_are_ordered_by_product_id() -> None:
    entries = ranking(acquisitions=[1] * 6).rank({"nba_primary": [0.1, 0.3, 0.3, 0.3]}, set())
    assert [entry.product_id for entry in entries] == list(range(6))


def test_only_tasks_with_a_score_take_part_and_a_product_without_terms_is_not_ranked() -> None:
    entries = ranking().rank({"will_acquire_deposits": [0.5], "churn_signal": [0.9]}, set())
    assert {entry.product_id for entry in entries} == {0, 1, 2}
    assert all([term.task for term in entry.terms] == ["will_acquire_deposits"] for entry in entries)
    assert ranking().rank({"churn_signal": [0.9]}, set()) == []


def test_the_largest_term_explains_a_product() -> None:
    entries = {entry.product_id: entry for entry in ranking().rank(SCORES, set())}
    assert explaining(entries[0]).task == "nba_primary"
    assert explaining(entries[2]).task == "nba_primary"
    low = ranking(weights={"nba_primary": 0.1, "will_acquire": 1.0}).rank(SCORES, set())
    assert explaining(next(entry for entry in low if entry.product_id == 0)).task == "will_acquire_deposits"


@given(held=st.sets(st.integers(0, 5)), counts=st.lists(st.integers(0, 10**6), min_size=6, max_size=6))
def test_the_shares_of_what_can_be_offered_sum_to_one(held: set[int], counts: list[int]) -> None:
    entries = ranking(acquisitions=counts).rank(SCORES, held)
    assert {entry.product_id for entry in entries} == set(range(6)) - held
    for family in range(3):
        shares = [entry.terms[0].share for entry in entries if entry.product_id // 2 == family]
        assert not shares or sum(shares) == pytest.approx(1.0)
