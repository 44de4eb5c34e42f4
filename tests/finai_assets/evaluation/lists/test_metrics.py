"""Every figure of a list is compared with values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.evaluation.lists.metrics import (
    ACCURACY,
    accuracy_of_rows,
    coverage,
    mean_ndcg,
    novelty_of_rows,
    rank_products,
    scores_of_lists,
    self_information,
)
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_resources.errors import GateError

SECOND, THIRD = 1 / math.log2(3), 1 / math.log2(4)  # what a hit at the second and the third place is worth


def flags(*rows: list[int], products: int = 8) -> np.ndarray:
    out = np.zeros((len(rows), products), dtype=bool)
    for row, ids in enumerate(rows):
        out[row, ids] = True
    return out


def ranked(*rows: list[int], products: int = 8) -> np.ndarray:
    return np.array([[*ids, *[-1] * (products - len(ids))] for ids in rows])


@pytest.mark.parametrize(
    ("order", "acquired", "expected"),
    [
        ([5, 1, 2], [5], (1, 1, 1, 1)),  # at the first place
        ([1, 5, 2], [5], (0, 1, 1 / 2, SECOND)),
        ([1, 2, 5], [5], (0, 1, 1 / 3, THIRD)),
        ([1, 2, 3, 5], [5], (0, 0, 1 / 4, 0)),  # below the three that count
        ([0, 1, 2, 3, 4, 6, 7, 5], [5], (0, 0, 0, 0)),  # below the seven that count
        ([0, 1, 2, 3, 4, 6, 5], [5], (0, 0, 1 / 7, 0)),
        ([1, 2, 3], [5], (0, 0, 0, 0)),  # a product that is not in the list is not hit
        ([], [5], (0, 0, 0, 0)),
        # Two acquired: precision 1/1 at the first and 2/3 at the third place, over two.
        ([4, 1, 6], [4, 6], (1, 1, (1 + 2 / 3) / 2, (1 + THIRD) / (1 + SECOND))),
        # Three acquired, one of them not in the list.
        ([1, 4, 6], [4, 6, 7], (0, 1, (1 / 2 + 2 / 3) / 3, (SECOND + THIRD) / (1 + SECOND + THIRD))),
        # Four acquired: no list of three can hold them, so three hits are the best.
        ([0, 1, 2], [0, 1, 2, 3], (1, 1, 3 / 4, 1)),
        ([0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7], (1, 1, 1, 1)),  # eight: MAP@7 is a mean over seven
        ([1, 2, 3], [], (math.nan,) * 4),
    ],
)
def test_accuracy_of_a_row(order: list[int], acquired: list[int], expected: tuple[float, ...]) -> None:
    found = accuracy_of_rows(ranked(order), flags(acquired))
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_with_fewer_products_than_places_the_figures_stay_defined() -> None:
    found = accuracy_of_rows(np.array([[1, 0]]), flags([0], products=2))
    np.testing.assert_allclose(found, [[0, 1, 1 / 2, SECOND]])


def test_equal_scores_are_ordered_by_product_and_held_products_are_left_out() -> None:
    score = np.array([[1.0, 3.0, 1.0, 3.0, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    assert rank_products(score, flags([], [], products=5)).tolist() == [[1, 3, 4, 0, 2], [0, 1, 2, 3, 4]]
    assert rank_products(score, flags([1, 4], [0, 1, 2, 3, 4], products=5)).tolist() == [
        [3, 0, 2, -1, -1],
        [-1, -1, -1, -1, -1],
    ]


def test_many_equal_scores_are_ordered_by_product_too() -> None:
    score = np.tile(np.arange(60) % 2.0, (1, 1))  # long enough for a sort that is not stable to mix them
    expected = [*range(1, 60, 2), *range(0, 60, 2)]
    assert rank_products(score, np.zeros((1, 60), dtype=bool))[0].tolist() == expected


def test_a_product_without_a_score_is_not_in_the_list() -> None:
    score = np.array([[np.nan, -np.inf, -5.0, np.inf]])
    assert rank_products(score, flags([], products=4)).tolist() == [[3, 2, -1, -1]]
    assert rank_products(score.astype(np.float32), flags([3], products=4)).tolist() == [[2, -1, -1, -1]]


def test_a_held_product_takes_no_place_from_the_products_behind_it() -> None:
    order = rank_products(scores_of_lists(np.array([[2, 5, 3]]), 8), flags([2]))
    assert order[0, :3].tolist() == [5, 3, -1]
    np.testing.assert_allclose(accuracy_of_rows(order, flags([3])), [[0, 1, 1 / 2, SECOND]])


def test_a_given_list_is_ranked_as_it_stands_with_its_gaps() -> None:
    lists = np.array([[7, 0, -1], [-1, 3, 1], [-1, -1, -1]])
    order = rank_products(scores_of_lists(lists, 8), flags([], [], []))
    assert order[:, :3].tolist() == [[7, 0, -1], [3, 1, -1], [-1, -1, -1]]
    assert (order[:, 3:] == -1).all()


@given(st.lists(st.permutations(range(6)), min_size=1, max_size=5), st.integers(0, 6))
def test_the_first_products_of_a_whole_order_are_hit_as_the_short_list_is(orders: list[list[int]], k: int) -> None:
    """A list that is cut has the figures of the whole one as far as it goes."""
    whole = np.array(orders)
    acquired = flags(*([order[k - 1]] if k else [order[0]] for order in orders), products=6)
    none = flags(*[[]] * len(orders), products=6)
    full = rank_products(scores_of_lists(whole, 6), none)
    assert full.tolist() == whole.tolist()
    cut = rank_products(scores_of_lists(whole[:, :k], 6), none)
    assert cut[:, :k].tolist() == whole[:, :k].tolist()
    found = accuracy_of_rows(cut, acquired)
    np.testing.assert_allclose(found, accuracy_of_rows(full, acquired) if k else np.zeros_like(found))


@pytest.mark.parametrize(
    ("lists", "text"),
    [
        ([[1, 8]], r"1 listed products have an id outside 0\.\.7"),
        ([[-2, 1]], r"1 listed products have an id outside 0\.\.7"),
        ([[3, 1, 3], [2, 2, 2]], "3 products stand twice"),
    ],
)
def test_a_list_of_unknown_or_repeated_products_is_refused(lists: list[list[int]], text: str) -> None:
    with pytest.raises(GateError, match=text):
        scores_of_lists(np.array(lists), 8)


def test_scores_of_another_shape_are_refused() -> None:
    with pytest.raises(GateError, match=r"scores of shape \(1, 7\)"):
        rank_products(np.zeros((1, 7)), flags([]))


def test_mean_ndcg_is_over_the_rows_that_acquire() -> None:
    outcomes = Outcomes(np.arange(3), flags([0], [], []), flags([2], [], [1]))
    score = np.tile(np.arange(8)[::-1], (3, 1))  # product 0 first; the first row holds it, so 2 is at the second place
    assert mean_ndcg(score, outcomes) == pytest.approx((SECOND + SECOND) / 2)
    assert math.isnan(mean_ndcg(score[1:2], outcomes.take(slice(1, 2))))


def test_novelty_is_the_surprise_of_what_is_shown() -> None:
    information = self_information(np.array([0, 3, 1, 8]))  # with one more of each: 1, 4, 2, 9 of 16
    np.testing.assert_allclose(information, [4, 2, 3, 4 - math.log2(9)])
    told, shown = novelty_of_rows(ranked([0, 1], [1, 2, 0, 3], [], products=4), information)
    np.testing.assert_allclose(told, [6, 9, 0])  # the fourth product of the second list is not shown
    assert shown.tolist() == [2, 3, 0]


def test_coverage_counts_the_products_that_any_row_is_shown() -> None:
    assert coverage(ranked([0, 1, 2, 7], [1, 2], [])) == 3 / 8
    assert coverage(ranked([], [])) == 0


@pytest.mark.parametrize(
    ("held", "acquired", "customers", "text"),
    [
        ([1], [1, 2], 1, "1 rows acquire a product that they hold"),
        ([1], [2], 2, r"2 customers, holdings of shape \(1, 8\)"),
    ],
)
def test_outcomes_that_contradict_themselves_are_refused(
    held: list[int], acquired: list[int], customers: int, text: str
) -> None:
    with pytest.raises(GateError, match=text):
        Outcomes(np.arange(customers), flags(held), flags(acquired))


def test_the_figures_have_their_order() -> None:
    assert ACCURACY == ("hr_at_1", "hr_at_3", "map_at_7", "ndcg_at_3")
