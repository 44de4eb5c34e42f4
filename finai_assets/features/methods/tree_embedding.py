"""Embedding of a rooted graph in the Poincare ball by Riemannian optimisation of the distortion.

The distances of a tree grow as those of hyperbolic space do, so that a ball of few dimensions holds a tree almost without
distortion (Sarkar, Low distortion Delaunay embedding of trees in hyperbolic plane, 2011; Nickel and Kiela, Poincare embeddings
for learning hierarchical representations, 2017). Here all distances of the graph are fitted at once (Sala, De Sa, Gu and Re,
Representation tradeoffs for hyperbolic embeddings, 2018): full batches, so that nothing is drawn but the first positions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numba
import numpy as np

from finai_assets.features.methods.poincare import exponential

_FIRST_NORM = 1e-2  # of the first positions, for an edge length of one
_FIRST_SCALE = 0.2  # share of the final distances at which the descent begins
_GROWTH = 0.5  # share of the epochs after which the distances have their final length
_MEMORY = 0.9  # of the running mean of squared gradients


def graph_distances(nodes: int, edges: Iterable[tuple[int, int, float]]) -> np.ndarray:
    """Return float64 [nodes, nodes], the length of the shortest way between two nodes (Floyd and Warshall).

    Parameters
    ----------
    edges
        Two nodes and the length of the edge between them, in any direction.
    """
    found = np.full((nodes, nodes), np.inf)
    np.fill_diagonal(found, 0.0)
    for a, b, length in edges:
        found[a, b] = found[b, a] = min(found[a, b], length)
    for via in range(nodes):
        found = np.minimum(found, found[:, via, None] + found[None, via, :])
    return found


def embed(
    distances: np.ndarray, *, width: int, edge_length: float, epochs: int, learning_rate: float, seed: int
) -> np.ndarray:
    """Return points of the ball whose hyperbolic distances are ``edge_length`` times those of a connected graph.

    The sum over pairs of ``(d_ball / (edge_length d_graph) - 1)^2`` is minimised, first for a small ball, which then grows:
    near the rim branches would block each other's way. Node 0 stays at the origin, so that a point's norm tells its depth.

    Parameters
    ----------
    distances : float64 [nodes, nodes]
        Positive off the diagonal.
    edge_length : float
        Hyperbolic length that stands for a length of one in the graph. The longer, the less the least possible distortion,
        the nearer the rim, and the more epochs; towards zero, the ball is flat.
    epochs : int
        Gradient steps over all pairs.
    learning_rate : float
        Length of a point's first steps, in lengths of the graph; it falls to zero by a cosine.

    Returns
    -------
    float64 [nodes, width]
    """
    points = np.random.default_rng([seed, width, len(distances)]).normal(size=(len(distances), width))
    points *= _FIRST_NORM * edge_length / np.sqrt(width)
    points[0] = 0
    _descend(points, edge_length * distances, epochs, edge_length * learning_rate)
    return points


@numba.njit(cache=True, nogil=True)
def _descend(points: Any, targets: Any, epochs: int, learning_rate: float) -> None:
    """Move the points by Riemannian gradient descent; the root-mean-square of its gradients scales each point's step.

    A scalar for each point needs no transport between tangent spaces (Becigneul and Ganea, Riemannian adaptive
    optimization methods, 2019).
    """
    nodes, width = points.shape
    gradient = np.empty((nodes, width))
    mean_square = np.zeros(nodes)
    for epoch in range(epochs):
        grown = min(1.0, _FIRST_SCALE + (1 - _FIRST_SCALE) * epoch / (_GROWTH * epochs))
        _gradient(points, grown * targets, gradient)
        step = learning_rate * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        for i in range(1, nodes):
            inner = 0.0
            for k in range(width):
                inner += points[i, k] ** 2
            shrink = (1 - inner) / 2  # squared, it turns the Euclidean gradient into the Riemannian one
            length = 0.0
            for k in range(width):
                length += gradient[i, k] ** 2
            mean_square[i] = _MEMORY * mean_square[i] + (1 - _MEMORY) * length * shrink**2
            rms = np.sqrt(mean_square[i] / (1 - _MEMORY ** (epoch + 1)))
            if rms > 0:
                for k in range(width):
                    gradient[i, k] *= -step * shrink**2 / rms
                exponential(points[i], gradient[i], points[i])


@numba.njit(cache=True, nogil=True)
def _gradient(points: Any, targets: Any, out: Any) -> None:
    """Write the Euclidean gradient of ``sum over pairs (d / target - 1)^2`` by the points' coordinates."""
    nodes, width = points.shape
    room = np.empty(nodes)  # 1 - |x|^2
    for i in range(nodes):
        inner = 0.0
        for k in range(width):
            inner += points[i, k] ** 2
        room[i] = 1 - inner
    out[:] = 0
    for i in range(nodes):
        for j in range(i):
            gap = 0.0
            for k in range(width):
                gap += (points[i, k] - points[j, k]) ** 2
            if gap == 0:
                continue
            ratio = gap / (room[i] * room[j])
            slope = 2 * np.sqrt(ratio * (1 + ratio))  # sinh of the distance
            error = 2 * np.arcsinh(np.sqrt(ratio)) / targets[i, j] - 1
            pull = 8 * error / (targets[i, j] * slope * room[i] * room[j])
            for k in range(width):
                between = points[i, k] - points[j, k]
                out[i, k] += pull * (between + gap / room[i] * points[i, k])
                out[j, k] += pull * (gap / room[j] * points[j, k] - between)
