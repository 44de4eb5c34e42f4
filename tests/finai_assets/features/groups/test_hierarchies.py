"""What the two hyperbolic groups keep of their trees, and where they place a customer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import geoopt
import numpy as np
import pyarrow as pa
import pytest
import torch
from hyperbolic import ball_distances
from scipy.optimize import minimize

from finai_assets.features.block import Block
from finai_assets.features.catalogue import Catalogue
from finai_assets.features.events import Events
from finai_assets.features.groups import merchant_hierarchy, product_hierarchy
from finai_assets.features.methods.poincare import distance
from finai_assets.features.methods.tree_embedding import embed
from finai_assets.settings import Settings, load_settings
from finai_resources.errors import ConfigError, GateError
from finai_resources.months import Month

DAY_US = 86_400_000_000
MONTH = Month.parse("2015-03")
BALL = geoopt.PoincareBall(c=1.0)
SETTINGS = load_settings("synthetic", "demo")
FAMILY = np.array([SETTINGS.families.index(product.family) for product in SETTINGS.products], np.int32)
PRODUCTS, FAMILIES = len(FAMILY), len(SETTINGS.families)
HALF_LIFE = SETTINGS.feature_groups.merchant_hierarchy.half_life_days


def merchant_catalogue() -> Catalogue:
    """Return the tree of the default data set."""
    rows = sorted(SETTINGS.merchant_categories, key=lambda entry: entry.mcc)
    l2, l1 = (list(dict.fromkeys(getattr(entry, level) for entry in rows)) for level in ("l2", "l1"))
    columns = [[e.mcc for e in rows], [l2.index(e.l2) for e in rows], [l1.index(e.l1) for e in rows]]
    return Catalogue(FAMILY, *(np.array(column, np.int32) for column in columns))


CATALOGUE = merchant_catalogue()
L1_COUNT, L2_COUNT, LEAVES = len(np.unique(CATALOGUE.l1)), len(np.unique(CATALOGUE.l2)), len(CATALOGUE.mcc)


def make_block(held: np.ndarray | None = None, events: Sequence[Sequence[tuple[float, float, int]]] = ()) -> Block:
    """Return a block of customers by what they hold, or by their events (days before the cutoff, amount, MCC)."""
    n = len(events) if held is None else len(held)
    held = np.zeros((n, PRODUCTS), np.uint8) if held is None else held.astype(np.uint8)
    lists = [sorted(found, key=lambda event: -event[0]) for found in events] or [[] for _ in range(n)]
    flat = [event for found in lists for event in found]
    start = np.concatenate([[0], np.cumsum([len(found) for found in lists])]).astype(np.int64)
    made = Events(
        start,
        np.array([MONTH.cutoff_us - round(age * DAY_US) for age, _, _ in flat], np.int64),
        np.array([amount for _, amount, _ in flat], np.float64),
        np.array([mcc for _, _, mcc in flat], np.int32),
        np.full(len(flat), 7, np.int64),
    )
    ids = np.arange(n, dtype=np.int64)
    snapshot = pa.table({"customer_id": ids})
    return Block(MONTH, ids, snapshot, held[:, None], np.ones((n, 1), bool), made, CATALOGUE)


def geoopt_midpoint(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    found = BALL.weighted_midpoint(torch.from_numpy(points), weights=torch.from_numpy(weights), reducedim=[0], dim=-1)
    return np.asarray(found.numpy())


def geoopt_distances(points: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return np.asarray(BALL.dist(torch.from_numpy(points), torch.from_numpy(centre)).numpy())


# The embeddings


def co_holding_panel(rows: int = 4000) -> np.ndarray:
    """Return holdings with associations across families, by customers of very different numbers of products."""
    rng = np.random.default_rng(4)
    held = rng.random((rows, PRODUCTS)) < rng.beta(2, 4, (rows, 1))
    for a, b in ((2, 15), (9, 18), (3, 22)):
        held[:, b] ^= held[:, a] & (rng.random(rows) < 0.6) & ~held[:, b]
    return held


@dataclass(frozen=True)
class Case:
    target: np.ndarray
    width: int
    edge_length: float
    epochs: int
    learning_rate: float

    def embed(self, **changes: float) -> np.ndarray:
        chosen: dict[str, Any] = {
            "width": self.width,
            "edge_length": self.edge_length,
            "epochs": self.epochs,
            "learning_rate": self.learning_rate,
        }
        return embed(self.target, **{**chosen, **changes}, seed=SETTINGS.seed)


def case(target: np.ndarray, group: Any) -> Case:
    return Case(target, group.width, group.edge_length, group.epochs, group.learning_rate)


GROUPS = SETTINGS.feature_groups
CASES = {
    "product tree": case(
        product_hierarchy.product_distances(FAMILY, np.zeros((PRODUCTS, PRODUCTS))), GROUPS.product_hierarchy
    ),
    "product tree and co-holding": case(
        product_hierarchy.product_distances(
            FAMILY,
            product_hierarchy.co_holding(
                co_holding_panel().astype(np.uint8), prior_rows=GROUPS.product_hierarchy.prior_rows
            ),
        ),
        GROUPS.product_hierarchy,
    ),
    "merchant tree": case(merchant_hierarchy.merchant_distances(CATALOGUE), GROUPS.merchant_hierarchy),
}
each_case = pytest.mark.parametrize("name", list(CASES))


@pytest.fixture(scope="module")
def nodes() -> dict[str, np.ndarray]:
    return {name: chosen.embed() for name, chosen in CASES.items()}


def distortion(found: np.ndarray, target: np.ndarray) -> float:
    """Return the mean of ``|scale found / target - 1|`` over pairs, for the scale that makes it least."""
    below = np.tril_indices(len(target), -1)
    ratio = np.sort(found[below] / target[below])
    return float(min(np.abs(scale * ratio - 1).mean() for scale in 1 / np.quantile(ratio, np.linspace(0.01, 1, 400))))


def flat_descent(chosen: Case, width: int) -> float:
    """Return the least distortion of the same descent in a ball so small that it is flat, over learning rates."""
    rivals = [chosen.embed(width=width, edge_length=1e-4, learning_rate=rate) for rate in (0.01, 0.1, 0.3)]
    return min(distortion(ball_distances(points), chosen.target) for points in rivals)


def flat_optimum(target: np.ndarray, width: int) -> float:
    """Return the distortion of the better of two Euclidean embeddings that L-BFGS has brought to an end."""
    wanted = target + np.eye(len(target))  # the diagonal stays at its target and takes no part

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        points = flat.reshape(len(target), width)
        square = (points**2).sum(axis=1)
        length = np.sqrt(np.maximum(square[:, None] + square - 2 * points @ points.T, 1e-18))
        np.fill_diagonal(length, 1)
        error = length / wanted - 1
        pull = 2 * error / wanted / length
        gradient = pull.sum(axis=1)[:, None] * points - pull @ points
        return float((error**2).sum() / 2), gradient.ravel()

    starts = [np.random.default_rng(seed).normal(size=len(target) * width) for seed in range(2)]
    ends = [minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1500}) for start in starts]
    points = min(ends, key=lambda end: end.fun).x.reshape(len(target), width)
    return distortion(np.linalg.norm(points[:, None] - points[None], axis=2), target)


@pytest.mark.slow
@each_case
def test_the_ball_distorts_less_than_euclidean_space_of_the_same_width(nodes: dict[str, np.ndarray], name: str) -> None:
    chosen = CASES[name]
    for width in (chosen.width, 2):
        points = nodes[name] if width == chosen.width else chosen.embed(width=2)
        found = distortion(ball_distances(points), chosen.target)
        flat = min(flat_descent(chosen, width), flat_optimum(chosen.target, width))
        assert found < flat / 2, (width, found, flat)


@each_case
def test_every_point_is_inside_the_ball_and_the_root_is_its_centre(nodes: dict[str, np.ndarray], name: str) -> None:
    norms = np.linalg.norm(nodes[name], axis=1)
    assert norms[0] == 0
    assert norms[1:].min() > 0.3
    assert norms.max() < 1 - 1e-5


@each_case
def test_children_lie_deeper_than_their_parents(nodes: dict[str, np.ndarray], name: str) -> None:
    norms = np.linalg.norm(nodes[name], axis=1)
    if name == "merchant tree":
        l1, top = np.unique(CATALOGUE.l1, return_inverse=True)
        l2, first, middle = np.unique(CATALOGUE.l2, return_index=True, return_inverse=True)
        one, two, three = np.split(norms[1:], [len(l1), len(l1) + len(l2)])
        assert (two > one[top[first]]).all()
        assert (three > two[middle]).all()
    else:
        families, products = np.split(norms[1:], [FAMILIES])
        assert (products > families[FAMILY]).all()


def test_siblings_lie_nearer_than_strangers(nodes: dict[str, np.ndarray]) -> None:
    for name, parents in (("product tree", FAMILY), ("merchant tree", CATALOGUE.l1)):
        found = ball_distances(nodes[name][-len(parents) :])
        alike = parents[:, None] == parents[None]
        assert found[alike].max() < found[~alike].min()
    l2 = CATALOGUE.l2[:, None] == CATALOGUE.l2[None]
    assert found[l2].max() < found[alike & ~l2].min()


# Co-holding


def test_independent_holdings_are_no_association_however_many_products_a_customer_holds() -> None:
    rng = np.random.default_rng(1)
    popularity = rng.uniform(0.02, 0.9, PRODUCTS)
    breadth = rng.choice([0.2, 1.0], (50_000, 1))
    held = (rng.random((50_000, PRODUCTS)) < breadth * popularity).astype(np.uint8)
    assert product_hierarchy.co_holding(held, prior_rows=10).max() < 0.15
    joint = held.astype(float).T @ held / len(held)
    plain = np.log(joint / np.outer(held.mean(axis=0), held.mean(axis=0)))
    assert np.median(plain[np.tril_indices(PRODUCTS, -1)]) > 0.3  # what breadth alone makes of the plain measure


def test_expected_pairs_have_the_margins_of_the_observed_ones() -> None:
    held = co_holding_panel().astype(float)
    both = held.T @ held
    np.fill_diagonal(both, 0)
    expected = product_hierarchy._expected_pairs(both)
    np.fill_diagonal(expected, 0)
    np.testing.assert_allclose(expected.sum(axis=1), both.sum(axis=1), rtol=1e-6)


def test_association_is_the_log_of_observed_over_expected_pairs() -> None:
    """Two pairs of products that only go together: of three equally frequent partners one is seen, so the lift is three."""
    held = np.zeros((4000, 4), np.uint8)
    held[:2000, :2] = 1
    held[2000:, 2:] = 1
    found = product_hierarchy.co_holding(held, prior_rows=1e-9)
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = expected[2, 3] = expected[3, 2] = np.log(3)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_the_prior_keeps_rare_products_from_chance_associations() -> None:
    held = np.random.default_rng(2).random((5000, 6)) < 0.3
    held[:, 4:] = False
    held[0, 4:] = True  # one customer holds two rare products
    weak, strong = (product_hierarchy.co_holding(held.astype(np.uint8), prior_rows=p)[4, 5] for p in (10, 0.01))
    assert weak < 0.2
    assert strong > 3


def test_products_that_are_held_together_are_drawn_together() -> None:
    rng = np.random.default_rng(3)
    held = rng.random((6000, PRODUCTS)) < 0.2
    together = held.copy()
    together[:, 12] = together[:, 0]
    near, far = (
        product_hierarchy.fit([make_block(rows[:2000]), make_block(rows[2000:])], SETTINGS)["nodes"]
        for rows in (together, held)
    )
    first = 1 + FAMILIES
    assert FAMILY[0] != FAMILY[12]
    assert distance(near[first], near[first + 12]) < 0.8 * distance(far[first], far[first + 12])


def test_products_that_nobody_holds_have_a_place(nodes: dict[str, np.ndarray]) -> None:
    found = product_hierarchy.fit([make_block(np.zeros((50, PRODUCTS)))], SETTINGS)["nodes"]
    np.testing.assert_array_equal(found, nodes["product tree"])


# Customers by products


@pytest.fixture(scope="module")
def product_state(nodes: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"nodes": nodes["product tree"]}


def test_a_customer_is_at_the_gyromidpoint_of_the_held_products(product_state: dict[str, np.ndarray]) -> None:
    held = np.random.default_rng(5).random((40, PRODUCTS)) < 0.25
    held[:, 3] = True
    found = product_hierarchy.transform(make_block(held), product_state, SETTINGS)
    points = product_state["nodes"][-PRODUCTS:]
    for row, holds in zip(found, held, strict=True):
        middle = geoopt_midpoint(points[holds], np.ones(holds.sum()))
        np.testing.assert_allclose(row[:-2], middle, atol=1e-6)
        assert row[-2] == pytest.approx(np.linalg.norm(middle), abs=1e-6)
        assert row[-1] == pytest.approx(geoopt_distances(points[holds], middle).mean(), abs=1e-5)


def test_a_single_product_is_its_own_midpoint_and_none_is_the_origin(product_state: dict[str, np.ndarray]) -> None:
    held = np.concatenate([np.eye(PRODUCTS), np.zeros((1, PRODUCTS))])
    found = product_hierarchy.transform(make_block(held), product_state, SETTINGS)
    np.testing.assert_allclose(found[:-1, :-2], product_state["nodes"][-PRODUCTS:], atol=1e-6)
    np.testing.assert_allclose(found[:-1, -1], 0, atol=1e-6)
    assert (found[-1] == 0).all()


def test_specialists_lie_deeper_and_closer_together_than_all_rounders(product_state: dict[str, np.ndarray]) -> None:
    first = np.unique(FAMILY, return_index=True)[1]
    held = np.zeros((2, PRODUCTS))
    held[0, FAMILY == 2] = 1
    held[1, first[:4]] = 1
    assert held.sum(axis=1).tolist() == [4, 4]
    (deep, narrow), (shallow, wide) = product_hierarchy.transform(make_block(held), product_state, SETTINGS)[:, -2:]
    assert deep > shallow + 0.1
    assert narrow < wide - 0.5


# Customers by spend


@pytest.fixture(scope="module")
def merchant_state() -> dict[str, np.ndarray]:
    return merchant_hierarchy.fit([make_block(np.zeros((1, PRODUCTS)))], SETTINGS)


def place(
    state: dict[str, np.ndarray], *events: Sequence[tuple[float, float, int]], settings: Settings = SETTINGS
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the midpoints, shares, dispersions and spend measures of customers with these events."""
    block = make_block(events=events)
    values, tensors = merchant_hierarchy.transform_with_tensors(block, state, settings)
    assert (merchant_hierarchy.transform(block, state, settings).tobytes()) == values.tobytes()
    width = settings.feature_groups.merchant_hierarchy.width
    return values[:, :width], values[:, width:-1], values[:, -1], tensors["spend_measure"]


def random_events(rng: np.random.Generator, count: int) -> list[tuple[float, float, int]]:
    """Return events of which some are refunds and some are in categories that the catalogue does not list."""
    codes = rng.choice(np.append(CATALOGUE.mcc, [1, 9998]), count)
    amounts = rng.exponential(1e4, count) * rng.choice([-1, 1], count, p=[0.8, 0.2])
    return list(zip(rng.uniform(0.1, 364, count), amounts, codes.tolist(), strict=True))


def test_spend_is_placed_shared_and_measured_as_geoopt_and_numpy_do(merchant_state: dict[str, np.ndarray]) -> None:
    rng = np.random.default_rng(6)
    customers = [random_events(rng, count) for count in (3, 10, 100, 400)]
    found = place(merchant_state, *customers)
    points = merchant_state["nodes"][-LEAVES:]
    for events, middle, shares, dispersion, measure in zip(customers, *found, strict=True):
        spend, weight = np.zeros(LEAVES), np.zeros(LEAVES)
        for age, amount, mcc in events:
            if amount < 0 and mcc in CATALOGUE.mcc:
                leaf = CATALOGUE.mcc.tolist().index(mcc)
                spend[leaf] -= amount
                weight[leaf] -= amount * 0.5 ** (age / HALF_LIFE)
        expected = geoopt_midpoint(points, weight)
        away = geoopt_distances(points, expected)
        np.testing.assert_allclose(middle, expected, atol=1e-6)
        assert dispersion == pytest.approx((weight * away).sum() / weight.sum(), rel=1e-5)
        np.testing.assert_allclose(measure, spend / spend.sum(), rtol=1e-5)
        by_l1 = [spend[k == CATALOGUE.l1].sum() / spend.sum() for k in np.unique(CATALOGUE.l1)]
        np.testing.assert_allclose(shares, by_l1, rtol=1e-5)


def test_the_spend_measure_sums_to_one_and_is_zero_where_nothing_is_spent(
    merchant_state: dict[str, np.ndarray],
) -> None:
    rng = np.random.default_rng(7)
    *_, measure = place(merchant_state, random_events(rng, 50), [(3.0, -1e-3, int(CATALOGUE.mcc[4]))], [])
    np.testing.assert_allclose(measure.sum(axis=1), [1, 1, 0], atol=1e-6)
    assert (measure >= 0).all()


@pytest.mark.parametrize(
    "events",
    [[], [(5.0, 100.0, int(CATALOGUE.mcc[0]))], [(5.0, -100.0, 9998)]],
    ids=["none", "a refund", "unknown MCC"],
)
def test_without_spend_the_customer_is_at_the_origin_and_shares_are_missing(
    merchant_state: dict[str, np.ndarray], events: list[tuple[float, float, int]]
) -> None:
    middle, shares, dispersion, measure = place(merchant_state, events)
    assert not middle.any()
    assert np.isnan(shares).all()
    assert dispersion.tolist() == [0]
    assert not measure.any()


def test_spend_weighs_half_after_one_half_life(merchant_state: dict[str, np.ndarray]) -> None:
    here, there = int(CATALOGUE.mcc[0]), int(CATALOGUE.mcc[-1])
    middle, shares, dispersion, _ = place(
        merchant_state,
        [(1, -100, here), (1 + HALF_LIFE, -100, there)],
        [(1, -100, here), (1, -50, there)],
        [(200, -100, here), (200, -50, there)],
        [(1, -100, here), (1, -100, there)],
    )
    np.testing.assert_allclose(middle[:3], middle[[0] * 3], atol=1e-7)
    np.testing.assert_allclose(dispersion[:3], dispersion[0], rtol=1e-6)
    leaf = merchant_state["nodes"][-LEAVES]
    old, even = (distance(point.astype(float), leaf) for point in middle[[0, 3]])
    assert old < even - 0.1
    assert shares[0].tolist() == shares[3].tolist() != shares[1].tolist()  # shares are of amounts, whatever their age


def test_the_newest_spend_remains_where_weights_vanish(merchant_state: dict[str, np.ndarray]) -> None:
    """A half-life of minutes leaves no weight to a year-old outflow, unless ages count from the newest."""
    group = GROUPS.merchant_hierarchy.model_copy(update={"half_life_days": 0.01})
    brief = SETTINGS.model_copy(update={"feature_groups": GROUPS.model_copy(update={"merchant_hierarchy": group})})
    events = [(200.0, -10.0, int(CATALOGUE.mcc[3])), (300.0, -1e6, int(CATALOGUE.mcc[9]))]
    middle, _, dispersion, _ = place(merchant_state, events, settings=brief)
    np.testing.assert_allclose(middle[0], merchant_state["nodes"][-LEAVES + 3], atol=1e-6)
    assert dispersion[0] == pytest.approx(0, abs=1e-6)


def test_a_settings_file_that_counts_other_categories_is_refused(merchant_state: dict[str, np.ndarray]) -> None:
    block = make_block(events=[[]])
    for wrong in ({"leaves": 49}, {"leaves": 51}, {"l1_categories": 9}, {"l1_categories": 11}):
        other = load_settings("synthetic", "demo", overrides={"feature_groups": {"merchant_hierarchy": wrong}})
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            merchant_hierarchy.fit([block], other)
        with pytest.raises(ConfigError, match=next(iter(wrong))):
            merchant_hierarchy.transform(block, merchant_state, other)


def test_a_state_of_another_tree_is_refused(merchant_state: dict[str, np.ndarray]) -> None:
    block = make_block(events=[[]])
    moved = replace(block, catalogue=replace(CATALOGUE, mcc=CATALOGUE.mcc + 1))
    with pytest.raises(GateError, match="another tree"):
        merchant_hierarchy.transform(moved, merchant_state, SETTINGS)


def test_the_settings_of_the_data_sets_count_their_categories() -> None:
    assert (GROUPS.merchant_hierarchy.leaves, GROUPS.merchant_hierarchy.l1_categories) == (LEAVES, L1_COUNT)
    berka = load_settings("berka")
    unknown = berka.dataset.unknown_mcc == "other"
    assert berka.tables is not None
    assert berka.tables.categories is not None
    categories = berka.tables.categories.codes.values()
    chosen = berka.feature_groups.merchant_hierarchy
    assert chosen.leaves == len(categories) + unknown
    assert chosen.l1_categories == len({category.l1 for category in categories}) + unknown
