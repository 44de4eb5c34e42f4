"""The persistence kernel against gudhi, and against what is known of simple shapes."""

from __future__ import annotations

import gudhi
import numpy as np
import pytest
from clouds import (
    SIZES,
    assert_near,
    assert_same_bars,
    bars_of,
    found_in,
    in_order,
    lengths_of,
    make_cloud,
    noisy_circle,
    persistence,
    two_simplices,
    whole_clouds,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finai_assets.features.methods import rips
from finai_assets.features.methods.rips import MAX_POINTS, diagrams


@pytest.mark.parametrize("count", SIZES)
@pytest.mark.parametrize("kind", ["blob", "circle", "grid", "idle"])
def test_bars_are_those_of_gudhi_in_the_uncapped_complex(kind: str, count: int) -> None:
    for seed in range(3):
        points = make_cloud(kind, count, seed)
        found = found_in(points)
        rounded = lengths_of(points).astype(np.float32).astype(np.float64)
        assert_same_bars(found, bars_of(gudhi.RipsComplex(distance_matrix=rounded)))
        assert_near(found, bars_of(gudhi.RipsComplex(points=points)), rounded.max())


@settings(max_examples=150, deadline=None)
@given(arrays(np.float64, st.tuples(st.integers(1, 12), st.integers(1, 3)), elements=st.integers(-2, 2).map(float)))
def test_clouds_full_of_ties_have_the_bars_of_gudhi(points: np.ndarray) -> None:
    rounded = lengths_of(points).astype(np.float32).astype(np.float64)
    assert_same_bars(found_in(points), bars_of(gudhi.RipsComplex(distance_matrix=rounded)))


@settings(max_examples=60, deadline=None)
@given(whole_clouds, st.permutations(range(20)), st.integers(-1000, 1000))
def test_the_order_of_points_and_a_shift_change_no_bit(points: np.ndarray, order: list[int], shift: int) -> None:
    assert_same_bars(found_in(points[order] + shift), found_in(points))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.floats(-100, 100), st.floats(0.01, 100))
def test_a_shift_moves_no_bar_and_a_scale_scales_them(seed: int, shift: float, scale: float) -> None:
    points = np.random.default_rng(seed).normal(size=(30, 3))
    expected = [scale * bars.astype(np.float64) for bars in found_in(points)]
    assert_near(found_in(scale * points + shift), expected, scale * np.ptp(points) + 1e-5 * abs(shift))


@settings(max_examples=60, deadline=None)
@given(whole_clouds, st.lists(st.integers(0, 19), max_size=MAX_POINTS - 20))
def test_points_that_coincide_add_nothing(points: np.ndarray, again: list[int]) -> None:
    assert_same_bars(found_in(np.concatenate([points, points[again]])), found_in(points))


@pytest.mark.parametrize("seed", range(5))
def test_the_enclosing_radius_leaves_edges_out_and_changes_no_bar(seed: int) -> None:
    points = make_cloud("blob", 64, seed)
    lengths = lengths_of(points).astype(np.float32).astype(np.float64)
    radius = lengths.max(axis=1).min()
    keys = np.empty(2016, np.uint64)
    kept = rips._edges(np.ascontiguousarray(points.T), 64, keys)
    within = lengths[np.triu_indices(64, 1)] <= radius
    assert kept == within.sum() < 2016
    assert_same_bars(found_in(points), bars_of(gudhi.RipsComplex(distance_matrix=lengths)))
    assert_same_bars(found_in(points), bars_of(gudhi.RipsComplex(distance_matrix=lengths, max_edge_length=radius)))


def test_a_noisy_circle_has_one_long_loop() -> None:
    for seed in range(10):
        loops = diagrams(noisy_circle(np.random.default_rng(seed), 52, 0.05))[1]
        longest, second = [*persistence(loops), 0.0, 0.0][:2]
        assert longest > 5 * second
        death = loops[np.argmax(np.ptp(loops, axis=1)), 1]
        assert death == pytest.approx(np.sqrt(3), rel=0.1)  # a circle of radius one fills at the side of its triangle


def test_a_gaussian_blob_has_no_long_loop() -> None:
    for seed in range(10):
        points = np.random.default_rng(seed).normal(size=(52, 4))
        longest, second = persistence(diagrams(points)[1])[:2]
        assert longest < 2.5 * second
        assert longest < 0.2 * lengths_of(points).max()


def test_two_clusters_merge_at_their_distance() -> None:
    rng = np.random.default_rng(0)
    points = rng.random((40, 2))
    points[20:, 0] += 10
    components = diagrams(points)[0]
    longest, second = persistence(components)[:2]
    assert 9 < longest < 10
    assert second < 1


def test_a_square_has_one_loop_from_its_side_to_its_diagonal() -> None:
    components, loops = diagrams(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]))
    assert components.tolist() == [[0, 1]] * 3
    np.testing.assert_allclose(loops, [[1, np.sqrt(2)]], rtol=1e-7)


@pytest.mark.parametrize("corners", [40, 64])
def test_rounding_makes_no_bar_of_a_symmetric_cloud(corners: int) -> None:
    turn = 2 * np.pi * np.arange(corners) / corners + 0.1
    points = np.c_[np.cos(turn), np.sin(turn)]
    assert len(np.unique(lengths_of(points))) > 2 * corners  # equal chords differ in their last bits
    components, loops = diagrams(points)
    np.testing.assert_allclose(components, [[0, 2 * np.sin(np.pi / corners)]] * (corners - 1), rtol=1e-6)
    assert len(loops) == 1


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(("left", "right"), [(9, 9), (9, 10), (12, 14), (32, 32)])
def test_more_classes_alive_at_once_than_bits_in_a_word_are_carried_on(left: int, right: int, seed: int) -> None:
    points = two_simplices(left, right, seed)
    loops = diagrams(points)[1]
    assert len(loops) == (left - 1) * (right - 1)  # a complete bipartite graph without a triangle
    assert loops[:, 0].max() < loops[:, 1].min()  # all are alive at once
    rounded = lengths_of(points).astype(np.float32).astype(np.float64)
    assert_same_bars(found_in(points), bars_of(gudhi.RipsComplex(distance_matrix=rounded)))


def test_one_word_overflows_at_the_65th_class() -> None:
    def in_one_word(points: np.ndarray) -> int:
        keys, spare, digits, annotations, bars0, bars1 = rips.workspace()
        count = rips._edges(np.ascontiguousarray(points.T), len(points), keys)
        rips._sort(keys, count, spare, digits)
        return rips._narrow(spare, count, len(points), annotations, bars0, bars1)[1]

    assert in_one_word(two_simplices(9, 9, 1)) == 64
    assert in_one_word(two_simplices(9, 10, 1)) == -1


def test_a_workspace_carries_nothing_from_one_cloud_to_the_next() -> None:
    work = rips.workspace()
    clouds = [
        two_simplices(12, 14, 1),
        make_cloud("blob", 64, 1),
        make_cloud("circle", 7, 2),
        make_cloud("idle", 40, 3),
    ]
    for points in clouds * 2:
        counts = rips.rips(np.ascontiguousarray(points.T), len(points), work)
        again = [in_order(bars[:count]) for bars, count in zip(work[-2:], counts, strict=True)]
        assert_same_bars(again, found_in(points))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_the_component_that_never_dies_is_left_out(count: int) -> None:
    components, loops = diagrams(np.arange(count, dtype=float)[:, None])
    assert components.tolist() == [[0, 1]] * max(0, count - 1)
    assert loops.shape == (0, 2)


def test_more_points_than_bits_are_refused() -> None:
    with pytest.raises(ValueError, match="65 points are more than 64"):
        diagrams(np.zeros((65, 2)))
