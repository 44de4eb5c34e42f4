"""The geometry of the ball against geoopt, and the embedding of graphs against its definition."""

from __future__ import annotations

import geoopt
import numpy as np
import pytest
import torch
from hyperbolic import ball_distances
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import approx_fprime
from scipy.sparse.csgraph import shortest_path

from finai_assets.features.methods import tree_embedding
from finai_assets.features.methods.poincare import MAX_NORM, distance, exponential, gyromidpoint, mean_distance
from finai_assets.features.methods.tree_embedding import embed, graph_distances

BALL = geoopt.PoincareBall(c=1.0)
WIDTH = 5
cases = settings(max_examples=50, deadline=None)  # the first case of a kernel waits for its compilation
seeds = st.integers(0, 2**32 - 1)


def points_in_ball(seed: int, count: int, width: int = WIDTH, *, reach: float = 0.999) -> np.ndarray:
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, width))
    return directions / np.linalg.norm(directions, axis=1, keepdims=True) * rng.uniform(0, reach, (count, 1))


def midpoint(points: np.ndarray, weights: np.ndarray) -> np.ndarray:
    out = np.empty(points.shape[1])
    gyromidpoint(points, weights, out)
    return out


def moebius_add(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return BALL.mobius_add(torch.from_numpy(x), torch.from_numpy(y)).numpy()


@cases
@given(seeds)
def test_distance_is_that_of_geoopt(seed: int) -> None:
    x, y = points_in_ball(seed, 2)
    assert distance(x, y) == pytest.approx(BALL.dist(torch.from_numpy(x), torch.from_numpy(y)).item(), rel=1e-6)


@cases
@given(seeds)
def test_distance_is_a_metric(seed: int) -> None:
    x, y, z = points_in_ball(seed, 3)
    assert distance(x, x) == 0
    assert distance(x, y) == distance(y, x) > 0
    assert distance(x, z) <= distance(x, y) + distance(y, z) + 1e-12


def test_distance_keeps_its_digits_between_near_points() -> None:
    x = np.array([0.6, 0.0])
    assert distance(x, np.array([0.6, 1e-9])) == pytest.approx(2 * 1e-9 / (1 - 0.36), rel=1e-6)


@cases
@given(seeds)
def test_the_exponential_map_is_that_of_geoopt_and_goes_as_far_as_its_velocity(seed: int) -> None:
    x, direction = points_in_ball(seed, 2, reach=0.9)
    out = np.empty(WIDTH)
    exponential(x, direction, out)
    expected = BALL.expmap(torch.from_numpy(x), torch.from_numpy(direction)).numpy()
    if np.linalg.norm(expected) < MAX_NORM - 1e-6:
        np.testing.assert_allclose(out, expected, atol=1e-6)
        length = 2 * np.linalg.norm(direction) / (1 - x @ x)
        assert distance(x, out) == pytest.approx(length, rel=1e-6)


@cases
@given(seeds, st.floats(1, 1e6))
def test_no_step_leaves_the_ball(seed: int, speed: float) -> None:
    x, direction = points_in_ball(seed, 2)
    exponential(x, speed * direction, x)
    assert np.linalg.norm(x) <= MAX_NORM + 1e-12 < 1 - 1e-5


@cases
@given(seeds, st.integers(1, 12))
def test_the_gyromidpoint_is_that_of_geoopt(seed: int, count: int) -> None:
    points = points_in_ball(seed, count)
    weights = np.random.default_rng(seed).exponential(size=count) + 1e-3
    expected = BALL.weighted_midpoint(
        torch.from_numpy(points), weights=torch.from_numpy(weights), reducedim=[0], dim=-1
    ).numpy()
    np.testing.assert_allclose(midpoint(points, weights), expected, atol=1e-6)


@cases
@given(seeds)
def test_the_gyromidpoint_of_one_point_is_the_point(seed: int) -> None:
    point = points_in_ball(seed, 1)
    np.testing.assert_allclose(midpoint(point, np.array([0.3])), point[0], atol=1e-9)


@cases
@given(seeds)
def test_the_gyromidpoint_of_symmetric_points_is_the_origin(seed: int) -> None:
    half = points_in_ball(seed, 3)
    np.testing.assert_allclose(midpoint(np.concatenate([half, -half]), np.ones(6)), 0, atol=1e-12)


@cases
@given(seeds)
def test_the_gyromidpoint_of_two_points_is_halfway_between_them(seed: int) -> None:
    points = points_in_ball(seed, 2, reach=0.99)
    middle = midpoint(points, np.ones(2))
    half = distance(points[0], points[1]) / 2
    assert distance(points[0], middle) == pytest.approx(half, rel=1e-6)
    assert distance(points[1], middle) == pytest.approx(half, rel=1e-6)


@cases
@given(st.data(), arrays(np.float64, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(-0.55, 0.55)))
def test_the_gyromidpoint_does_not_depend_on_the_order_of_points_or_the_scale_of_weights(
    data: st.DataObject, points: np.ndarray
) -> None:
    weights = data.draw(arrays(np.float64, len(points), elements=st.floats(0.01, 100)))
    order = np.array(data.draw(st.permutations(range(len(points)))))
    expected = midpoint(points, weights)
    np.testing.assert_allclose(midpoint(points[order], weights[order]), expected, atol=1e-9)
    np.testing.assert_allclose(midpoint(points, 7 * weights), expected, atol=1e-9)


@cases
@given(seeds)
def test_the_gyromidpoint_moves_with_its_points(seed: int) -> None:
    """A gyrotranslation is an isometry of the ball, and a midpoint may not depend on where the origin is."""
    *points, shift = points_in_ball(seed, 7, reach=0.9)
    weights = np.random.default_rng(seed).exponential(size=6) + 0.01
    moved = np.stack([moebius_add(shift, point) for point in points])
    expected = moebius_add(shift, midpoint(np.stack(points), weights))
    np.testing.assert_allclose(midpoint(moved, weights), expected, atol=1e-8)


def test_points_without_weight_take_no_part_and_nothing_at_all_is_the_origin() -> None:
    points = points_in_ball(3, 4)
    weights = np.array([1.0, 0.0, 2.0, 0.0])
    np.testing.assert_array_equal(midpoint(points, weights), midpoint(points[[0, 2]], weights[[0, 2]]))
    assert midpoint(points, np.zeros(4)).tolist() == [0.0] * WIDTH
    assert mean_distance(points, np.zeros(4), np.zeros(WIDTH)) == 0


def test_the_mean_distance_is_weighted() -> None:
    points, centre = points_in_ball(5, 3), points_in_ball(6, 1)[0]
    weights = np.array([1.0, 0.0, 3.0])
    expected = (distance(points[0], centre) + 3 * distance(points[2], centre)) / 4
    assert mean_distance(points, weights, centre) == pytest.approx(expected, rel=1e-12)


@cases
@given(seeds)
def test_graph_distances_are_the_shortest_ways(seed: int) -> None:
    rng = np.random.default_rng(seed)
    nodes = 9
    edges = [(i, int(rng.integers(i)), float(rng.uniform(0.5, 2))) for i in range(1, nodes)]
    edges += [(int(a), int(b), float(rng.uniform(0.5, 2))) for a, b in rng.integers(nodes, size=(6, 2)) if a != b]
    matrix = np.full((nodes, nodes), np.inf)
    for a, b, length in edges:
        matrix[a, b] = matrix[b, a] = min(length, matrix[a, b])
    np.testing.assert_allclose(graph_distances(nodes, edges), shortest_path(matrix, directed=False), rtol=1e-12)


def test_the_descent_follows_the_gradient_of_the_distortion() -> None:
    points = points_in_ball(8, 5, width=3, reach=0.95)
    targets = np.random.default_rng(8).uniform(0.5, 3, (5, 5))
    below = np.tril_indices(5, -1)

    def loss(flat: np.ndarray) -> float:
        found = ball_distances(flat.reshape(5, 3))
        return float(((found / targets - 1)[below] ** 2).sum())

    gradient = np.empty((5, 3))
    tree_embedding._gradient(points, targets, gradient)
    np.testing.assert_allclose(gradient.ravel(), approx_fprime(points.ravel(), loss, 1e-7), rtol=1e-3, atol=1e-4)


def test_a_path_lies_on_a_geodesic() -> None:
    """The distances of a path can be kept exactly, so the descent must find them."""
    target = np.abs(np.subtract.outer(np.arange(5.0), np.arange(5.0)))
    points = embed(target, width=2, edge_length=0.8, epochs=3000, learning_rate=0.1, seed=0)
    np.testing.assert_allclose(ball_distances(points), 0.8 * target, atol=5e-3)
    assert points[0].tolist() == [0, 0]


def test_an_embedding_has_the_same_bytes_again_and_other_points_for_another_seed() -> None:
    target = graph_distances(4, [(0, 1, 1.0), (0, 2, 1.0), (1, 3, 1.0)])
    one, same, other = (
        embed(target, width=3, edge_length=1.0, epochs=50, learning_rate=0.1, seed=seed) for seed in (1, 1, 2)
    )
    assert one.tobytes() == same.tobytes() != other.tobytes()
