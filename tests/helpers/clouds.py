"""Clouds whose persistence is compared, and gudhi's simplex tree as the reference."""

from __future__ import annotations

import gudhi
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from finai_assets.features.methods.rips import diagrams

SIZES = (2, 3, 4, 7, 15, 30, 52, 63, 64)

whole_clouds = arrays(np.float64, (20, 3), elements=st.integers(-50, 50).map(float))


def lengths_of(points: np.ndarray) -> np.ndarray:
    return np.sqrt(((points[:, None] - points[None]) ** 2).sum(axis=-1))


def bars_of(complex_: gudhi.RipsComplex) -> list[np.ndarray]:
    """Return gudhi's finite bars that are not of length zero, by birth and then death."""
    tree = complex_.create_simplex_tree(max_dimension=2)
    tree.compute_persistence(homology_coeff_field=2)
    found = [np.reshape(tree.persistence_intervals_in_dimension(d), (-1, 2)) for d in (0, 1)]
    return [in_order(bars[np.isfinite(bars[:, 1]) & (bars[:, 0] < bars[:, 1])]) for bars in found]


def in_order(bars: np.ndarray) -> np.ndarray:
    return bars[np.lexsort((bars[:, 1], bars[:, 0]))]


def found_in(points: np.ndarray) -> list[np.ndarray]:
    return [in_order(bars) for bars in diagrams(points)]


def assert_same_bars(left: list[np.ndarray], right: list[np.ndarray]) -> None:
    for ours, theirs in zip(left, right, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def assert_near(left: list[np.ndarray], right: list[np.ndarray], scale: float) -> None:
    """Demand that bars match within a millionth of the scale; those shorter than two millionths may have no partner."""
    for ours, theirs in zip(left, right, strict=True):
        assert gudhi.bottleneck_distance(ours, theirs) <= 1e-6 * scale


def persistence(bars: np.ndarray) -> np.ndarray:
    return np.sort(np.ptp(bars, axis=1))[::-1]


def noisy_circle(rng: np.random.Generator, count: int, noise: float) -> np.ndarray:
    turn = 2 * np.pi * (np.arange(count) + rng.random(count) / 2) / count
    return np.c_[np.cos(turn), np.sin(turn)] + rng.normal(0, noise, (count, 2))


def make_cloud(kind: str, count: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng([seed, count])
    if kind == "blob":
        return rng.normal(size=(count, rng.integers(1, 6)))
    if kind == "circle":
        return noisy_circle(rng, count, 0.1)
    if kind == "grid":
        return rng.integers(0, 4, (count, 3)).astype(float)
    cloud = rng.normal(size=(count, 4))
    cloud[rng.random(count) < 0.4] = 0  # "idle": many points coincide
    return cloud


def two_simplices(left: int, right: int, seed: int) -> np.ndarray:
    """Return two regular simplices around one centre in perpendicular spaces: all lengths across are below all within."""
    points = np.zeros((left + right, left + right))
    points[:left, :left] = np.eye(left) - 1 / left
    points[left:, left:] = np.eye(right) - 1 / right
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    noise = np.random.default_rng(seed).normal(0, 1e-4, points.shape)
    return points + noise * (seed > 0)
