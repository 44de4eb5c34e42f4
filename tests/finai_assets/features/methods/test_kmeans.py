"""k-means against scikit-learn, and its independence of threads and runs."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cluster import KMeans

from finai_assets.features.methods.kmeans import distances, k_means, lloyd, seed_centres


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    rng = np.random.default_rng(3)
    centres = rng.normal(0, 4, (5, 6))
    return np.concatenate([rng.normal(c, 1, (n, 6)) for c, n in zip(centres, (400, 300, 200, 100, 50), strict=True)])


def test_from_the_same_start_it_ends_where_scikit_learn_does(values: np.ndarray) -> None:
    start = seed_centres(values, 8, np.random.default_rng(1))
    reference = KMeans(8, init=start, n_init=1, max_iter=300, tol=0, algorithm="lloyd").fit(values)
    moved = start.copy()
    inertia, sizes = lloyd(values, moved, 300)
    np.testing.assert_allclose(moved, reference.cluster_centers_, atol=1e-9)
    assert inertia == pytest.approx(reference.inertia_)
    assert sizes.tolist() == np.bincount(reference.labels_).tolist()


def test_distances_equal_those_of_scikit_learn(values: np.ndarray) -> None:
    centres = k_means(values, 5, seed=(7,), starts=3)
    reference = KMeans(5, init=centres, n_init=1, max_iter=1).fit(values)
    reference.cluster_centers_ = centres
    found, label = np.empty((len(values), 5)), np.empty(len(values), np.int64)
    distances(values, centres, found, label)
    np.testing.assert_allclose(found, reference.transform(values), atol=1e-9)
    np.testing.assert_array_equal(label, reference.predict(values))


def test_centres_come_by_descending_size(values: np.ndarray) -> None:
    centres = k_means(values, 5, seed=(7,), starts=10)
    found, label = np.empty((len(values), 5)), np.empty(len(values), np.int64)
    distances(values, centres, found, label)
    assert np.bincount(label).tolist() == [400, 300, 200, 100, 50]


def test_it_repeats_itself_to_the_bit_and_another_seed_starts_elsewhere(values: np.ndarray) -> None:
    assert k_means(values, 9, seed=(1, 2), starts=1).tobytes() == k_means(values, 9, seed=(1, 2), starts=1).tobytes()
    assert k_means(values, 9, seed=(1, 2), starts=1).tobytes() != k_means(values, 9, seed=(1, 3), starts=1).tobytes()


def test_a_centre_without_rows_moves_to_the_row_farthest_from_its_centre(values: np.ndarray) -> None:
    start = np.concatenate([values[:1], values[:1], values[:1]])
    _, sizes = lloyd(values, start, 300)
    assert sizes.min() > 0
