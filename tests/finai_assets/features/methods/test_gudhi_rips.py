"""The gudhi engine finds the bars of the kernel, to the bit."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from clouds import SIZES, bars_of, in_order, lengths_of, make_cloud, two_simplices, whole_clouds
from gudhi import RipsComplex
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from finai_assets.features.methods.gudhi_rips import GudhiRips, length_bits
from finai_assets.features.methods.persistence import describe_clouds
from finai_assets.features.methods.rips import MAX_POINTS, diagrams, workspace

BY_GUDHI = GudhiRips()


def by_gudhi(points: np.ndarray) -> list[np.ndarray]:
    work = workspace()
    counts = BY_GUDHI(np.ascontiguousarray(points.T, np.float64), len(points), work)
    return [bars[:count] for bars, count in zip(work[-2:], counts, strict=True)]


def bits(both: list[np.ndarray] | tuple[np.ndarray, ...]) -> list[list[list[int]]]:
    """Return births and deaths of each dimension as the bits of float32: -0 is not 0, and NaN has a place in the order."""
    assert [bars.dtype for bars in both] == [np.float32] * 2
    return [in_order(bars.view(np.uint32)).tolist() for bars in both]


def assert_engines_agree(points: np.ndarray) -> None:
    assert bits(by_gudhi(points)) == bits(diagrams(points))


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("kind", ["blob", "circle", "grid", "idle"])
def test_births_and_deaths_are_those_of_the_kernel(kind: str, count: int) -> None:
    for seed in range(3):
        assert_engines_agree(make_cloud(kind, count, seed))


def spending(series: list[float]) -> np.ndarray:
    """Return the delay embedding of log daily spend: what ``tda_local`` makes before it chooses landmarks."""
    logs = np.log1p(np.array(series))
    return np.stack([logs[k : len(logs) - 14 + k] for k in (0, 7, 14)], axis=1)


amounts = st.one_of(st.just(0.0), st.integers(1, 300).map(lambda tens: 10.0 * tens), st.floats(0, 1e7))


@settings(max_examples=100, deadline=None)
@given(st.lists(amounts, min_size=15, max_size=14 + MAX_POINTS))
def test_days_with_and_without_spend_have_the_bars_of_the_kernel(series: list[float]) -> None:
    assert_engines_agree(spending(series))


@settings(max_examples=150, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(0, 14), st.integers(1, 3)), elements=st.integers(-2, 2).map(float)))
def test_clouds_full_of_ties_have_the_bars_of_the_kernel(points: np.ndarray) -> None:
    assert_engines_agree(points)


anything = st.floats(allow_nan=True, allow_infinity=True, width=64)


@settings(max_examples=150, deadline=None)
@given(arrays(np.float64, array_shapes(min_dims=2, max_dims=2, max_side=10), elements=anything))
def test_any_coordinate_has_the_bars_of_the_kernel(points: np.ndarray) -> None:
    """Also tiny and huge ones, whose lengths are 0 or infinite, and those that are no number."""
    with np.errstate(all="ignore"):
        assert_engines_agree(points)


def test_a_point_that_is_no_number_joins_last_at_a_death_that_is_no_number() -> None:
    points = np.array([[0.0], [1.0], [np.nan], [3.0]])
    components, loops = by_gudhi(points)
    assert components[:2].tolist() == [[0, 1], [0, 2]]
    assert len(components) == 3
    assert np.isnan(components[2, 1])
    assert not len(loops)
    assert_engines_agree(points)


def test_a_point_infinitely_far_is_no_component_that_never_dies() -> None:
    points = np.array([[0.0], [1.0], [1e200]])
    assert by_gudhi(points)[0].tolist() == [[0, 1], [0, np.inf]]
    assert_engines_agree(points)


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_the_component_that_never_dies_is_left_out(count: int) -> None:
    components, loops = by_gudhi(np.arange(count, dtype=float)[:, None])
    assert components.tolist() == [[0, 1]] * max(0, count - 1)
    assert loops.shape == (0, 2)


@settings(max_examples=40, deadline=None)
@given(whole_clouds, st.permutations(range(20)), st.lists(st.integers(0, 19), max_size=MAX_POINTS - 20))
def test_neither_the_order_of_points_nor_points_that_coincide_change_a_bit(
    points: np.ndarray, order: list[int], again: list[int]
) -> None:
    assert bits(by_gudhi(np.concatenate([points, points[again]])[::-1])) == bits(by_gudhi(points[order]))


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(("left", "right"), [(9, 10), (32, 32)])
def test_many_classes_alive_at_once_have_the_bars_of_the_kernel(left: int, right: int, seed: int) -> None:
    points = two_simplices(left, right, seed)
    assert len(by_gudhi(points)[1]) == (left - 1) * (right - 1)
    assert_engines_agree(points)


def test_bars_come_in_the_order_of_their_deaths_and_stay_apart_from_those_of_the_cloud_before() -> None:
    work = workspace()
    for points in [two_simplices(9, 10, 1), make_cloud("blob", 64, 1), make_cloud("idle", 40, 3), np.zeros((5, 2))]:
        counts = BY_GUDHI(np.ascontiguousarray(points.T), len(points), work)
        bars = [bars[:count] for bars, count in zip(work[-2:], counts, strict=True)]
        assert all((np.diff(found[:, 1]) >= 0).all() for found in bars)
        assert bits(bars) == bits(diagrams(points))


def test_gudhi_is_given_whole_numbers_in_the_order_of_the_lengths() -> None:
    points = make_cloud("blob", 30, 1)
    matrix = length_bits(np.ascontiguousarray(points.T), 30)
    lengths = lengths_of(points).astype(np.float32)
    np.testing.assert_array_equal(matrix.astype(np.uint32).view(np.float32), lengths)
    bars = bars_of(RipsComplex(distance_matrix=matrix))  # by gudhi's simplex tree, another algorithm
    assert [found.astype(np.uint32).tolist() for found in bars] == bits(by_gudhi(points))


@pytest.mark.parametrize("engine", ["kernel", "gudhi"])
def test_clouds_of_a_block_have_as_many_points_as_are_counted(engine: str) -> None:
    clouds = np.stack([make_cloud("grid", 20, seed).T for seed in range(4)])
    counts = np.array([20, 0, 1, 7])
    statistics, diagram = np.empty((4, 16), np.float32, order="F"), np.zeros((4, 2, 32, 2), np.float32)
    describe_clouds(clouds, counts, engine, statistics, diagram)
    for i, count in enumerate(counts):
        components, loops = diagrams(clouds[i, :, :count].T)
        assert statistics[i, 0] == len(components)
        assert statistics[i, 8] == len(loops)
        assert (diagram[i, 0, :, 1] > 0).sum() == len(components)
    assert statistics[0].any()
    assert not statistics[1:3].any()


def test_statistics_and_diagrams_of_clouds_with_any_coordinate_are_those_of_the_kernel() -> None:
    rng = np.random.default_rng(5)
    clouds = rng.integers(-3, 4, (30, 3, 20)).astype(float)
    clouds[10:20] = rng.normal(size=(10, 3, 20))
    for cloud in clouds[:15]:
        cloud[:, rng.integers(0, 20, 2)] = rng.choice([np.nan, np.inf, -np.inf, 1e200, 1e-200], 2)
    results = []
    for engine in ("kernel", "gudhi"):
        out = np.empty((30, 16), np.float32, order="F"), np.zeros((30, 2, 32, 2), np.float32)
        describe_clouds(clouds, np.full(30, 20), engine, *out)
        results.append(out)
    for ours, theirs in zip(*results, strict=True):
        assert ours.view(np.uint32).tolist() == theirs.view(np.uint32).tolist()
    assert 0 < np.isnan(results[0][0]).any(axis=1).sum() < 15  # which a group that is never missing refuses to store


_SCRIPT = """
import sys
import numpy as np
from finai_assets.features.methods.persistence import describe_clouds
for engine in ("kernel", "gudhi"):
    out = np.empty((2, 16), np.float32, order="F"), np.zeros((2, 2, 32, 2), np.float32)
    describe_clouds(np.stack([np.eye(3)] * 2), np.array([3, 3]), engine, *out)
    print("gudhi" in sys.modules)
"""


def test_only_who_chooses_gudhi_imports_it() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
