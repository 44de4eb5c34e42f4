"""The geometry of the ball for tensors against its axioms, geoopt, and the kernels of the features."""

from __future__ import annotations

import geoopt
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finai_assets.features.methods import poincare
from finai_assets.teacher.network.ball import distance, exp_origin, gyromidpoint, log_origin, moebius_add, within

BALL = geoopt.PoincareBall(c=1.0)
WIDTH = 5
cases = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)
precisions = st.sampled_from([torch.float64, torch.float32])


def points_in_ball(seed, count, dtype=torch.float64, *, reach=None):
    """Return points of random direction and evenly distributed norm, up to the largest norm of the precision."""
    random = np.random.default_rng(seed)
    directions = random.normal(size=(count, WIDTH))
    norms = random.uniform(0, 1, (count, 1)) * (reach or 1.0)
    return within(torch.from_numpy(directions / np.linalg.norm(directions, axis=1, keepdims=True) * norms).to(dtype))


def shares(seed, rows, count, dtype=torch.float64):
    return torch.from_numpy(np.random.default_rng([seed, 1]).dirichlet(np.full(count, 0.5), rows)).to(dtype)


@cases
@given(seeds, precisions)
def test_distance_obeys_the_axioms_of_a_metric(seed, dtype):
    x, y, z = points_in_ball(seed, 3, dtype)
    assert 0 <= distance(x, x) < 1e-5
    assert distance(x, y) > 0
    assert abs(distance(x, y) - distance(y, x)) < 1e-5
    assert distance(x, z) <= distance(x, y) + distance(y, z) + 1e-5


@cases
@given(seeds)
def test_distances_on_one_geodesic_add_up(seed):
    """The triangle inequality is tight: a shorter distance than the true one would break it."""
    direction = torch.nn.functional.normalize(points_in_ball(seed, 1), dim=-1)[0]
    a, b, c = (exp_origin(direction * step) for step in (-1.1, 0.4, 2.0))
    assert distance(a, c).item() == pytest.approx((distance(a, b) + distance(b, c)).item(), abs=1e-9)
    assert distance(a, c).item() == pytest.approx(2 * 3.1, abs=1e-9)


@cases
@given(seeds)
def test_every_operation_is_that_of_geoopt(seed):
    x, y = points_in_ball(seed, 2, reach=0.999)
    v = 2 * torch.from_numpy(np.random.default_rng(seed).normal(size=WIDTH))
    close = {"rtol": 1e-5, "atol": 1e-5}
    torch.testing.assert_close(distance(x, y), BALL.dist(x, y), **close)
    torch.testing.assert_close(log_origin(x), BALL.logmap0(x), **close)
    torch.testing.assert_close(exp_origin(v), BALL.expmap0(v), rtol=1e-5, atol=3e-5)  # it draws back to 1 - 1e-5
    torch.testing.assert_close(moebius_add(x, y), BALL.mobius_add(x, y), rtol=1e-5, atol=3e-5)


@cases
@given(seeds, st.integers(1, 12))
def test_the_midpoint_is_the_weighted_midpoint_of_geoopt(seed, count):
    points, weights = points_in_ball(seed, count, reach=0.999), shares(seed, 3, count)
    for row, found in zip(weights, gyromidpoint(points, weights), strict=True):
        expected = BALL.weighted_midpoint(points, weights=row, reducedim=[0], dim=-1)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


@cases
@given(seeds, st.integers(1, 12))
def test_the_operations_are_those_of_the_feature_group(seed, count):
    points, weights = points_in_ball(seed, count), shares(seed, 1, count)
    middle, there = np.empty(WIDTH), np.empty(WIDTH)
    poincare.gyromidpoint(points.numpy(), weights[0].numpy(), middle)
    np.testing.assert_allclose(gyromidpoint(points, weights)[0].numpy(), middle, atol=1e-6)
    assert distance(points[0], points[-1]).item() == pytest.approx(
        poincare.distance(points[0].numpy(), points[-1].numpy()), abs=1e-9
    )
    velocity = log_origin(points[0])
    poincare.exponential(np.zeros(WIDTH), velocity.numpy(), there)
    np.testing.assert_allclose(exp_origin(velocity).numpy(), there, atol=1e-9)


@cases
@given(seeds, st.integers(1, 12))
def test_single_precision_is_enough_for_midpoints_anywhere_in_the_ball(seed, count):
    """Compared in the tangent space, where the crowded points of the rim are as far apart as they are in the ball."""
    points, weights = points_in_ball(seed, count, torch.float32), shares(seed, 4, count, torch.float32)
    points[0] = within(points[0] * 1e3)
    weights[0], weights[0, 0] = 0, 1
    exact = log_origin(gyromidpoint(points.double(), weights.double()))
    found = gyromidpoint(points, weights).double()
    torch.testing.assert_close(log_origin(found), exact, rtol=0, atol=1e-4)


@cases
@given(seeds)
def test_the_midpoint_moves_with_its_points(seed):
    """A gyrotranslation is an isometry, and a midpoint may not depend on where the origin is."""
    points = points_in_ball(seed, 6, reach=0.9)
    shift, weights = points_in_ball(seed + 1, 1, reach=0.9)[0], shares(seed, 1, 6)
    moved = gyromidpoint(moebius_add(shift, points), weights)
    torch.testing.assert_close(moved, moebius_add(shift, gyromidpoint(points, weights)), rtol=0, atol=1e-7)


def test_what_is_missing_to_weight_one_lies_at_the_origin():
    points = points_in_ball(3, 4, reach=0.9)
    weights = torch.tensor([[0.2, 0.0, 0.3, 0.1], [0.0, 0.0, 0.0, 0.0]], dtype=torch.float64)
    with_origin = torch.cat([points, torch.zeros(1, WIDTH, dtype=torch.float64)])
    filled = torch.cat([weights, 1 - weights.sum(1, keepdim=True)], 1)
    torch.testing.assert_close(gyromidpoint(points, weights), gyromidpoint(with_origin, filled))
    assert gyromidpoint(points, weights)[1].tolist() == [0.0] * WIDTH


def test_more_weight_than_one_counts_by_its_shares():
    points, weights = points_in_ball(4, 5, reach=0.9), shares(4, 2, 5)
    torch.testing.assert_close(gyromidpoint(points, 7 * weights), gyromidpoint(points, weights))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_no_velocity_leaves_the_ball_and_the_logarithm_takes_it_back(dtype):
    far = exp_origin(torch.full((WIDTH,), 1e3, dtype=dtype))
    assert far.norm() < 1 - 1e-5
    assert torch.isfinite(log_origin(far)).all()
    assert torch.isfinite(distance(far, -far))
    v = torch.linspace(-0.5, 0.7, WIDTH, dtype=dtype)
    torch.testing.assert_close(log_origin(exp_origin(v)), v, rtol=1e-5, atol=1e-5)


def test_every_gradient_agrees_with_finite_differences():
    points, weights = points_in_ball(5, 4, reach=0.9).requires_grad_(), shares(5, 3, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance(x[0], x[1]), points)
    assert torch.autograd.gradcheck(exp_origin, points)
    assert torch.autograd.gradcheck(log_origin, points)
    assert torch.autograd.gradcheck(lambda x: moebius_add(x[0], x[1]), points)
    # half the weight, so that finite differences stay on one side of one
    assert torch.autograd.gradcheck(lambda x, w: gyromidpoint(x, 0.5 * w), (points, weights))


def test_gradients_are_finite_at_the_origin_between_equal_points_and_at_the_rim():
    zero = torch.zeros(2, WIDTH, requires_grad=True)
    rim = within(torch.ones(2, WIDTH) * 10).requires_grad_()
    for points in (zero, rim):
        weights = torch.tensor([[0.0, 0.0], [1.0, 0.0]], requires_grad=True)
        middle = gyromidpoint(exp_origin(log_origin(points)), weights)
        total = middle.sum() + distance(points[0], points[1]) + moebius_add(points[0], points[1]).sum()
        total.backward()
        assert torch.isfinite(points.grad).all()
        assert torch.isfinite(weights.grad).all()
