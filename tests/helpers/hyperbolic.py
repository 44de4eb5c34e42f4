"""Distances within the Poincaré ball, of all pairs of points."""

from __future__ import annotations

import numpy as np

from finai_assets.features.methods.poincare import distance


def ball_distances(points: np.ndarray) -> np.ndarray:
    """Return float64 [nodes, nodes], the hyperbolic distances of points of the ball."""
    found = np.zeros((len(points), len(points)))
    for i in range(len(points)):
        for j in range(i):
            found[i, j] = found[j, i] = distance(points[i], points[j])
    return found
