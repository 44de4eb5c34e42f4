"""Ranking as arithmetic: shares sum to one, held products are out, all factors count, ties go by id, only present tasks speak."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving_lambda.contract import Customer
from serving_lambda.filters import ALREADY_HELD, Removed, apply, filters_of
from serving_lambda.offering import Occasion, Offering
from serving_lambda.ranking import Ranked, Ranking
from serving_lambda.scorer import Scored

PRODUCTS = [
    {
        "product_id": index, "code": f"p{index}", "name": f"P{index}", "name_ko": f"상품{index}", "family": index // 2,
        "product_class": "fund" if index == 1 else "deposit", "risk_grade": 2 if index == 4 else None,
        "sets": ["deposits"] if index < 3 else [], "minimum_age": None, "maximum_age": None, "minimum_asset_band": None,
        "disclosures": [], "benefits": [],
    }
    for index in range(6)
]  # fmt: skip


def ranking(**changes: Any) -> Ranking:
    chosen = {
        "acquisitions": [3, 1, 0, 0, 7, 2], "smoothing": 1.0,
        "weights": {"any_acquisition": 0.0, "nba_primary": 2.0, "will_acquire": 1.0},
        "segment_multipliers": {}, "rule_boosts": [], "risk_penalties": {}, "fatigue": 0.85,
        "diversity": {"relevance": 1.0, "same_family": 1.0, "same_class": 0.5},
        "held_products": "exclude", "top_k": 3, "attributions": 5,
    }  # fmt: skip
    return Ranking(PRODUCTS, {**chosen, **changes})


OFFERING = Offering(frozenset(), 65, 1, 5, 7, 21, 8, frozenset(), 540, ())
TODAY = Occasion("2026-06-01")
SCORES = {"nba_primary": [0.4, 0.3, 0.2, 0.1], "will_acquire_deposits": [0.5]}


def ranked(
    of: Ranking, held: set[int], scores: Any = None, margins: list[float] | None = None, **known: Any
) -> dict[int, Ranked]:
    """Return the ranked products by id, best first."""
    customer = Customer(**{"customer_id": 1, "row": [], "held": frozenset(held), "age": None, "segment": None,
                           "flags": (), **known})  # fmt: skip
    offered, _ = apply(filters_of(exclude_held=of.exclude_held), of.products, customer, TODAY, OFFERING)
    product = SimpleNamespace(layer=1) if margins else None
    scored = Scored(SCORES if scores is None else scores, {}, (), product, margins)  # type: ignore[arg-type]
    return {entry.product_id: entry for entry in of.rank(scored, customer, offered)}


def test_a_score_is_the_weighted_sum_of_probability_times_share() -> None:
    first = ranked(ranking(), set())[0]
    assert [tuple(term) for term in first.terms] == [
        ("nba_primary", 1, "nba_primary", 2.0, 1.0, 1.0, 0.3, 4 / 6, 2.0 * 0.3 * (4 / 6)),
        ("will_acquire_deposits", 0, "will_acquire", 1.0, 1.0, 1.0, 0.5, 4 / 7, 1.0 * 0.5 * (4 / 7)),
    ]
    assert first.score == pytest.approx(0.4 + 2 / 7)
    assert (first.fatigue, first.risk_penalty) == (1.0, 0.0)


def test_any_acquisition_is_all_but_the_probability_of_nothing_over_all_that_is_open() -> None:
    of = ranking(weights={"any_acquisition": 3.0, "nba_primary": 2.0, "will_acquire": 1.0})
    found = ranked(of, {2})
    assert tuple(found[0].terms[0]) == (
        "nba_primary", 0, "any_acquisition", 3.0, 1.0, 1.0, 1.0 - 0.4, 4 / 18, 3.0 * (1.0 - 0.4) * (4 / 18),
    )  # fmt: skip
    kinds = {at: [term.kind for term in entry.terms] for at, entry in found.items()}
    assert kinds[0] == kinds[1] == ["any_acquisition", "nba_primary", "will_acquire"]
    assert kinds[3] == ["any_acquisition", "nba_primary"]
    assert set(found[4].shares[0]) == {0, 1, 3, 4, 5}
    assert sum(entry.terms[0].share for entry in found.values()) == pytest.approx(1.0)


def test_kinds_of_weight_0_have_no_source_and_no_task() -> None:
    alone = ranking(weights={"any_acquisition": 1.0, "nba_primary": 0.0, "will_acquire": 0.0})
    assert alone.tasks == {"nba_primary"}
    assert {len(sources) for sources in alone.sources} == {1}
    sets = ranking(weights={"any_acquisition": 0.0, "nba_primary": 0.0, "will_acquire": 1.0})
    assert sets.tasks == {"will_acquire_deposits"}
    assert set(ranked(sets, set())) == {0, 1, 2}


def test_with_any_acquisition_alone_the_order_is_that_of_the_margins_over_what_is_open() -> None:
    alone = ranking(weights={"any_acquisition": 1.0, "nba_primary": 0.0, "will_acquire": 0.0})
    assert list(ranked(alone, {3}, margins=[0.5, -1.0, 2.0, 9.0, 0.5, 0.25])) == [2, 0, 4, 5, 1]
    boosted = ranking(weights=alone.weights, segment_multipliers={"plus": {"any_acquisition": 1.5, "nba_primary": 1.2}})
    term = ranked(boosted, set(), segment="plus")[0].terms[0]
    assert (term.multiplier, term.value) == (1.5, 1.5 * (1.0 - 0.4) * (4 / 19))


def test_the_product_models_shares_are_a_logit_over_what_is_open() -> None:
    margins = [0.0, math.log(3.0), math.log(4.0), 0.0, 5.0, 5.0]
    found = ranked(ranking(), set(), margins=margins)
    assert [term.share for term in found[1].terms] == pytest.approx([3 / 4, 3 / 8])
    assert [term.share for term in found[4].terms] == pytest.approx([1 / 2])
    found = ranked(ranking(), {0}, margins=margins)
    assert [term.share for term in found[1].terms] == pytest.approx([1.0, 3 / 7])
    assert found[1].shares[1] == pytest.approx({1: 3 / 7, 2: 4 / 7})


def test_margins_of_any_size_give_shares() -> None:
    found = ranked(ranking(), set(), margins=[2000.0, -2000.0, 0.0, 0.0, -3000.0, -3000.0])
    assert [term.share for term in found[0].terms] == [1.0, 1.0]
    assert [term.share for term in found[1].terms] == [0.0, 0.0]
    assert [term.share for term in found[4].terms] == [0.5]


def test_a_held_product_leaves_its_share_to_its_siblings() -> None:
    found = ranked(ranking(), {0})
    assert 0 not in found
    assert found[1].terms[0].share == 1.0


def test_what_is_held_is_removed_with_its_code_unless_the_policy_allows_it() -> None:
    customer = Customer(1, [], frozenset({0, 3}), None, None, ())
    offered, removed = apply(filters_of(exclude_held=True), ranking().products, customer, TODAY, OFFERING)
    assert [product.product_id for product in offered] == [1, 2, 4, 5]
    assert removed == [Removed(0, ALREADY_HELD), Removed(3, ALREADY_HELD)]
    assert set(ranked(ranking(held_products="allow"), {0})) == set(range(6))


def test_equal_scores_are_ordered_by_product_id() -> None:
    assert list(ranked(ranking(acquisitions=[1] * 6), set(), {"nba_primary": [0.1, 0.3, 0.3, 0.3]})) == list(range(6))


def test_only_tasks_with_a_score_take_part_and_a_product_without_terms_is_not_ranked() -> None:
    found = ranked(ranking(), set(), {"will_acquire_deposits": [0.5], "churn_signal": [0.9]})
    assert set(found) == {0, 1, 2}
    assert all([term.task for term in entry.terms] == ["will_acquire_deposits"] for entry in found.values())
    assert ranked(ranking(), set(), {"churn_signal": [0.9]}) == {}


def test_the_largest_term_explains_a_product() -> None:
    found = ranked(ranking(), set())
    assert found[0].explaining.task == found[2].explaining.task == "nba_primary"
    low = ranked(ranking(weights={"any_acquisition": 0.0, "nba_primary": 0.1, "will_acquire": 1.0}), set())
    assert low[0].explaining.task == "will_acquire_deposits"
    assert set(low[0].explaining_shares) == {0, 1, 2}


def test_a_segments_multiplier_lifts_its_kind_of_term_alone() -> None:
    of = ranking(segment_multipliers={"plus": {"will_acquire": 1.5}})
    found = ranked(of, set(), segment="plus")[0]
    assert [term.multiplier for term in found.terms] == [1.0, 1.5]
    assert found.terms[1].value == pytest.approx(1.5 * 0.5 * 4 / 7)
    assert [term.multiplier for term in ranked(of, set(), segment="mass")[0].terms] == [1.0, 1.0]
    assert [term.multiplier for term in ranked(of, set())[0].terms] == [1.0, 1.0]


def test_boosts_whose_conditions_hold_are_multiplied_and_one_about_the_unknown_does_not_hold() -> None:
    boosts = [
        {"id": "young", "when": {"age": [None, 30]}, "classes": ["fund"], "factor": 1.2},
        {"id": "few", "when": {"held_count": [0, 2]}, "classes": ["fund", "deposit"], "factor": 2.0},
    ]
    of = ranking(rule_boosts=boosts)
    young, unknown = ranked(of, {5}, age=29), ranked(of, {5})
    assert [term.boost for term in young[1].terms] == [2.4, 2.4]
    assert [term.boost for term in young[0].terms] == [2.0, 2.0]
    assert [term.boost for term in unknown[1].terms] == [2.0, 2.0]
    assert young[1].terms[0].value == pytest.approx(2.0 * 2.4 * 0.3 * 2 / 6)


def test_a_risk_penalty_is_subtracted_and_fatigue_counts_the_messages_about_a_product() -> None:
    plain = ranked(ranking(), set())
    found = ranked(ranking(risk_penalties={"2": 0.05}), set(), contacts={4: 3})
    assert found[4].score == pytest.approx(0.85**3 * plain[4].score - 0.05)
    assert (found[4].fatigue, found[4].risk_penalty) == (0.85**3, 0.05)
    assert found[0] == plain[0]


@given(
    held=st.sets(st.integers(0, 5)),
    counts=st.lists(st.integers(0, 10**6), min_size=6, max_size=6),
    margins=st.none() | st.lists(st.floats(-800, 800), min_size=6, max_size=6),
)
def test_the_shares_of_what_can_be_offered_sum_to_one(
    held: set[int], counts: list[int], margins: list[float] | None
) -> None:
    found = ranked(ranking(acquisitions=counts), held, margins=margins)
    assert set(found) == set(range(6)) - held
    for family in range(3):
        shares = [entry.terms[0].share for at, entry in found.items() if at // 2 == family]
        assert not shares or sum(shares) == pytest.approx(1.0)
