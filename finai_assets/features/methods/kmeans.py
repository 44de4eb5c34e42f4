"""k-means whose result depends on the rows, their order and the seed alone, not on the number of threads."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


def k_means(values: np.ndarray, count: int, *, seed: tuple[int, ...], starts: int, iterations: int = 300) -> np.ndarray:
    """Return the best centres of several seeded starts, by descending number of rows.

    Parameters
    ----------
    values : float64 [n, d]
    count
        How many centres.
    seed
        Words of the seed; every start draws its own stream from it.

    Returns
    -------
    float64 [count, d]

    Notes
    -----
    Starts are drawn by k-means++ (Arthur and Vassilvitskii: k-means++, the advantages of careful seeding, 2007) and moved by
    Lloyd's algorithm (Lloyd: Least squares quantization in PCM, 1982). scikit-learn's k-means adds up the sums of its threads
    in the order in which they end, so that its last bits differ between runs and machines.
    """
    best: tuple[float, np.ndarray, np.ndarray] | None = None
    for start in range(starts):
        centres = seed_centres(values, count, np.random.default_rng([*seed, start]))
        inertia, sizes = lloyd(values, centres, iterations)
        if best is None or inertia < best[0]:
            best = inertia, centres, sizes
    assert best is not None  # noqa: S101 # there is a start
    return best[1][np.argsort(-best[2], kind="stable")]


def seed_centres(values: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw rows as centres, each with a chance in proportion to its squared distance from those drawn before it."""
    chosen = [int(rng.integers(len(values)))]
    squared = np.full(len(values), np.inf)
    for _ in range(count - 1):
        _shrink(values, values[chosen[-1]], squared)
        mass = np.cumsum(squared)
        at = int(np.searchsorted(mass, rng.random() * mass[-1], side="right"))
        chosen.append(min(at, len(values) - 1))
    return np.ascontiguousarray(values[chosen])


def lloyd(values: np.ndarray, centres: np.ndarray, iterations: int) -> tuple[float, np.ndarray]:
    """Move the centres in place until no row changes its centre; return the sum of squared distances and the sizes.

    A centre without rows moves to the row that lies farthest from its own centre.
    """
    label = np.full(len(values), -1, np.int64)
    sizes = np.empty(len(centres), np.int64)
    inertia = np.inf
    for _ in range(iterations):
        inertia, changed = _assign(values, centres, label)
        if not changed:
            break
        _move(values, label, centres, sizes)
    inertia, _ = _assign(values, centres, label)
    return inertia, np.bincount(label, minlength=len(centres))


@numba.njit(cache=True, nogil=True)
def nearest(row: Any, centres: Any) -> tuple[int, float]:
    """Return the centre nearest to a row (the first of those equally near) and its squared distance."""
    best, least = 0, np.inf
    for k in range(len(centres)):
        squared = 0.0
        for j in range(len(row)):
            squared += (row[j] - centres[k, j]) ** 2
        if squared < least:
            best, least = k, squared
    return best, least


@numba.njit(cache=True, nogil=True)
def distances(values: Any, centres: Any, out: Any, label: Any) -> None:
    """Write every row's Euclidean distances to the centres, and its nearest centre."""
    for i in range(len(values)):
        for k in range(len(centres)):
            squared = 0.0
            for j in range(values.shape[1]):
                squared += (values[i, j] - centres[k, j]) ** 2
            out[i, k] = np.sqrt(squared)
        label[i], _ = nearest(values[i], centres)


@numba.njit(cache=True, nogil=True)
def _shrink(values: Any, centre: Any, squared: Any) -> None:
    for i in range(len(values)):
        distance = 0.0
        for j in range(len(centre)):
            distance += (values[i, j] - centre[j]) ** 2
        squared[i] = min(squared[i], distance)


@numba.njit(cache=True, nogil=True)
def _assign(values: Any, centres: Any, label: Any) -> tuple[float, int]:
    inertia, changed = 0.0, 0
    for i in range(len(values)):
        best, least = nearest(values[i], centres)
        changed += best != label[i]
        label[i] = best
        inertia += least
    return inertia, changed


@numba.njit(cache=True, nogil=True)
def _move(values: Any, label: Any, centres: Any, sizes: Any) -> None:
    n, d = values.shape
    before = centres.copy()
    centres[:] = 0
    sizes[:] = 0
    for i in range(n):
        sizes[label[i]] += 1
        for j in range(d):
            centres[label[i], j] += values[i, j]
    taken = np.zeros(n, np.bool_)
    for k in range(len(centres)):
        if sizes[k]:
            for j in range(d):
                centres[k, j] /= sizes[k]
            continue
        farthest, most = 0, -1.0
        for i in range(n):
            squared = 0.0
            for j in range(d):
                squared += (values[i, j] - before[label[i], j]) ** 2
            if squared > most and not taken[i]:
                farthest, most = i, squared
        taken[farthest] = True
        centres[k] = values[farthest]
