"""Lists are compared on the same resamples of customers, over all rows and within groups."""

from __future__ import annotations

import math

import numpy as np
import pytest

from finai_assets.evaluation.lists.comparison import ComparedLists, compare_by_group, compare_lists
from finai_assets.evaluation.lists.metrics import ACCURACY, COVERAGE, NOVELTY, scores_of_lists
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.scoring.metrics import verdict
from finai_assets.scoring.resampling import mean_interval
from finai_assets.settings.method import MetricSettings
from finai_resources.errors import GateError

SETTINGS = MetricSettings(bootstrap_samples=200, confidence=0.95)
CUSTOMERS, MONTHS, PRODUCTS = 400, 3, 8


@pytest.fixture(scope="module")
def world() -> tuple[Outcomes, np.ndarray]:
    """Customers in three months, and the probability by which each product is acquired."""
    random = np.random.default_rng(1)
    customer = np.repeat(np.arange(CUSTOMERS), MONTHS)
    p = np.repeat(random.gamma(0.3, 0.12, (CUSTOMERS, PRODUCTS)), MONTHS, axis=0).clip(0, 0.9)
    held = random.random(p.shape) < 0.2
    return Outcomes(customer, held, (random.random(p.shape) < p) & ~held), p


@pytest.fixture(scope="module")
def compared(world) -> ComparedLists:
    return compare_lists(lists_of(*world), world[0], counts(world[0]), SETTINGS, seed=3)


def counts(outcomes: Outcomes) -> np.ndarray:
    return outcomes.acquired.sum(axis=0)


def lists_of(outcomes: Outcomes, p: np.ndarray) -> dict[str, np.ndarray]:
    random = np.random.default_rng(2)
    noisy = p * np.exp(random.normal(0, 1.0, p.shape))
    return {
        "popularity": np.tile(counts(outcomes), (len(p), 1)),
        "shuffled": random.permuted(noisy, axis=1),
        "another's": np.roll(noisy, MONTHS, axis=0),
        "model": noisy,
        "truth": p,
    }


def test_a_figure_is_the_mean_over_rows_that_acquire_and_its_interval_that_of_customers(world, compared) -> None:
    outcomes, p = world
    assert compared.rows == len(p)
    assert compared.acquiring == outcomes.acquires.sum()
    order = np.argsort(np.where(outcomes.held, np.inf, -p), axis=1)[:, :1]
    hit = np.where(outcomes.acquires, np.take_along_axis(outcomes.acquired, order, axis=1)[:, 0], np.nan)
    expected, found = mean_interval(hit, outcomes.customer, SETTINGS, 3), compared.figures("truth")["hr_at_1"]
    assert (found.value, found.low, found.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert found.n == compared.acquiring


def test_popularity_and_lists_of_others_are_told_from_a_model_and_the_model_from_the_truth(compared) -> None:
    assert verdict(compared.difference("model", "popularity"), "ndcg_at_3") == "better"
    assert verdict(compared.difference("another's", "model"), "ndcg_at_3") == "worse"
    assert verdict(compared.difference("shuffled", "model"), "ndcg_at_3") == "worse"
    assert verdict(compared.difference("truth", "model"), "ndcg_at_3") == "better"


def test_shuffled_products_are_no_better_than_chance(world, compared) -> None:
    """Each order of the products that are not held is as likely as another, so the first is hit as often as any of them."""
    outcomes, _ = world
    rows = np.flatnonzero(outcomes.acquires)
    chance = (outcomes.acquired.sum(axis=1) / (~outcomes.held).sum(axis=1))[rows].mean()
    found = compared.figures("shuffled")["hr_at_1"]
    assert found.low <= chance <= found.high


def test_a_list_differs_from_itself_by_nothing_and_a_pair_by_less_than_its_ends(compared) -> None:
    same = compared.difference("model", "model")
    assert (same.value, same.low, same.high) == (0, 0, 0)
    for figure in ACCURACY:
        pair, a, b = compared.difference("truth", "model", figure), *(compared.figures(x) for x in ("truth", "model"))
        assert pair.value == pytest.approx(a[figure].value - b[figure].value)
        assert pair.low < pair.value < pair.high
        apart = math.hypot(a[figure].high - a[figure].low, b[figure].high - b[figure].low)
        assert pair.high - pair.low < 0.9 * apart  # both err on the same customers


def test_a_paired_interval_holds_the_true_difference_as_often_as_it_says() -> None:
    """Over worlds with the same law, the interval of a difference misses its expectation in about one of twenty."""
    held = np.zeros((300, PRODUCTS), dtype=bool)
    truth = np.linspace(0.3, 0.01, PRODUCTS)
    a, b = (np.tile(score, (300, 1)) for score in (truth, np.roll(truth, 2)))
    found = []
    for seed in range(60):
        random = np.random.default_rng(seed)
        outcomes = Outcomes(np.repeat(np.arange(150), 2), held, random.random(held.shape) < truth)
        found.append(
            compare_lists({"a": a, "b": b}, outcomes, np.ones(PRODUCTS, dtype=int), SETTINGS, seed=0).difference(
                "a", "b"
            )
        )
    expected = np.mean([each.value for each in found])
    assert expected > 0.1
    assert sum(each.low <= expected <= each.high for each in found) >= 52  # a right one is below that in one of 300


def test_lift_share_is_zero_for_popularity_one_for_the_ceiling_and_between_for_a_model(compared) -> None:
    shares = {
        name: compared.lift_share(name, popularity="popularity", ceiling="truth")
        for name in ("popularity", "model", "truth")
    }
    assert [(s.value, s.low, s.high) for s in (shares["popularity"], shares["truth"])] == [(0, 0, 0), (1, 1, 1)]
    model = shares["model"]
    assert 0 < model.low < model.value < model.high < 1
    figure = {name: compared.figures(name)["ndcg_at_3"].value for name in shares}
    assert model.value == pytest.approx(
        (figure["model"] - figure["popularity"]) / (figure["truth"] - figure["popularity"])
    )


def test_without_a_ceiling_above_popularity_there_is_no_lift_share(compared) -> None:
    found = compared.lift_share("model", popularity="popularity", ceiling="shuffled")
    assert not found.defined
    assert found.note == "the ceiling is not above popularity"


def test_novelty_and_coverage_are_of_all_rows(world, compared) -> None:
    outcomes, _ = world
    short = scores_of_lists(np.where(outcomes.customer[:, None] == 0, [[5, 6]], -1), PRODUCTS)
    found = compare_lists({"short": short}, outcomes, counts(outcomes), SETTINGS, seed=3).figures("short")
    seen = {5, 6} - set(np.flatnonzero(outcomes.held[:MONTHS].all(axis=0)).tolist())
    assert found[COVERAGE].value == len(seen) / PRODUCTS
    assert math.isnan(found[COVERAGE].low)
    assert found[COVERAGE].n == len(outcomes)
    popular = compared.figures("popularity")
    assert popular[NOVELTY].value < compared.figures("shuffled")[NOVELTY].low
    assert popular[NOVELTY].n == len(outcomes)


def test_groups_have_the_figures_of_their_rows_and_differ_in_resamples_from_no_other_list(world) -> None:
    outcomes, p = world
    group = np.where(np.arange(len(p)) % MONTHS == 0, "first month", "later")
    scores = lists_of(outcomes, p)
    found = compare_by_group(scores, outcomes, counts(outcomes), group, SETTINGS, seed=3)
    assert list(found) == ["first month", "later"]
    for name, one in found.items():
        rows = np.flatnonzero(group == name)
        alone = compare_lists(
            {key: score[rows] for key, score in scores.items()},
            outcomes.take(rows),
            counts(outcomes),
            SETTINGS,
            seed=3,
        )  # the group has every customer, so that it draws the same resamples alone
        assert (one.rows, one.acquiring, one.customers) == (alone.rows, alone.acquiring, alone.customers)
        for key in scores:
            for figure, estimate in one.figures(key).items():
                other = alone.figures(key)[figure]
                np.testing.assert_allclose(
                    (estimate.value, estimate.low, estimate.high), (other.value, other.low, other.high), rtol=1e-9
                )
                assert estimate.n == other.n
    assert found["first month"].rows + found["later"].rows == len(p)


def test_a_group_in_which_nobody_or_one_customer_acquires_has_no_interval(world) -> None:
    outcomes, p = world
    nobody, somebody = (np.flatnonzero(mask)[0] for mask in (~outcomes.acquires, outcomes.acquires))
    group = np.full(len(p), "others", dtype=object)
    group[nobody], group[somebody] = "nobody", "somebody"
    found = compare_by_group({"truth": p}, outcomes, counts(outcomes), group, SETTINGS, seed=3)
    none, one = (found[name].figures("truth")["ndcg_at_3"] for name in ("nobody", "somebody"))
    assert (none.n, none.note) == (0, "no row acquires anything")
    assert not none.defined
    assert (one.n, one.note) == (1, "one customer has no interval")
    assert one.defined
    assert math.isnan(one.low)


def test_lists_of_other_rows_or_products_are_refused(world) -> None:
    outcomes, p = world
    with pytest.raises(GateError, match="do not belong together"):
        compare_lists({"p": p[:-1]}, outcomes, counts(outcomes), SETTINGS, seed=3)
    with pytest.raises(GateError, match="7 train counts and 8 products"):
        compare_lists({"p": p}, outcomes, counts(outcomes)[:-1], SETTINGS, seed=3)
    with pytest.raises(GateError, match="2 group labels"):
        compare_by_group({"p": p}, outcomes, counts(outcomes), np.array(["a", "b"]), SETTINGS, seed=3)
    with pytest.raises(GateError, match="no row"):
        compare_lists({"p": p[:0]}, outcomes.take(slice(0, 0)), counts(outcomes), SETTINGS, seed=3)
