"""Geometry of the Poincare ball of curvature -1: distance, exponential map and gyromidpoint, as kernels.

Points are float64 vectors of norm below one. The formulas are those of Ungar, Analytic hyperbolic geometry and Albert
Einstein's special theory of relativity (2008), and of Ganea, Becigneul and Hofmann, Hyperbolic neural networks (2018).
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

__all__ = ["MAX_NORM", "distance", "exponential", "gyromidpoint", "mean_distance"]

MAX_NORM = 1 - 2e-5  # at a hyperbolic distance of 11.5 from the origin; beyond it 1 - |x|^2 loses its digits


@numba.njit(cache=True, nogil=True)
def _square(x: Any) -> float:
    total = 0.0
    for k in range(len(x)):
        total += x[k] * x[k]
    return total


@numba.njit(cache=True, nogil=True)
def distance(x: Any, y: Any) -> float:
    """Return the hyperbolic distance of two points, ``2 asinh(|x - y| / sqrt((1 - |x|^2) (1 - |y|^2)))``.

    It equals the usual ``acosh(1 + 2 ...)`` and keeps its digits where the points lie close together.
    """
    gap = 0.0
    for k in range(len(x)):
        gap += (x[k] - y[k]) ** 2
    return 2 * np.arcsinh(np.sqrt(gap / ((1 - _square(x)) * (1 - _square(y)))))


@numba.njit(cache=True, nogil=True)
def exponential(x: Any, v: Any, out: Any) -> None:
    """Write to ``out`` the point that a geodesic from ``x`` with initial velocity ``v`` reaches after unit time.

    ``v`` is given in the coordinates of the ball; its hyperbolic length is ``2 |v| / (1 - |x|^2)``. A point beyond
    ``MAX_NORM`` is drawn back to it. ``out`` may be ``x``.
    """
    speed = np.sqrt(_square(v))
    xx = _square(x)
    if speed > 0:
        reach = np.tanh(speed / (1 - xx))
        xy = 0.0
        for k in range(len(x)):
            xy += x[k] * v[k] * reach / speed
        yy = reach * reach
        below = 1 + 2 * xy + xx * yy  # Moebius addition of x and y = reach * v / |v|
        for k in range(len(x)):
            out[k] = ((1 + 2 * xy + yy) * x[k] + (1 - xx) * v[k] * reach / speed) / below
    else:
        out[:] = x
    norm = np.sqrt(_square(out))
    if norm > MAX_NORM:
        for k in range(len(out)):
            out[k] *= MAX_NORM / norm


@numba.njit(cache=True, nogil=True)
def gyromidpoint(points: Any, weights: Any, out: Any) -> None:
    """Write the weighted Moebius gyromidpoint to ``out``: the Einstein midpoint, in the coordinates of the ball.

    With the conformal factor ``c = 2 / (1 - |x|^2)`` it is one half, in Moebius multiplication, of
    ``sum(w c x) / sum(w (c - 1))`` (Ungar 2008). Where no weight is positive it is the origin.

    Parameters
    ----------
    points : [m, width]
    weights : [m], not negative
    out : [width]
    """
    out[:] = 0
    mass = 0.0
    for j in range(len(points)):
        if weights[j] > 0:
            factor = 2 / (1 - _square(points[j]))
            mass += weights[j] * (factor - 1)
            for k in range(len(out)):
                out[k] += weights[j] * factor * points[j, k]
    if mass > 0:
        for k in range(len(out)):
            out[k] /= mass
        half = 1 + np.sqrt(max(0.0, 1 - _square(out)))
        for k in range(len(out)):
            out[k] /= half


@numba.njit(cache=True, nogil=True)
def mean_distance(points: Any, weights: Any, centre: Any) -> float:
    """Return the weighted mean hyperbolic distance of points [m, width] to a centre; 0 where no weight is positive."""
    total, mass = 0.0, 0.0
    for j in range(len(points)):
        if weights[j] > 0:
            total += weights[j] * distance(points[j], centre)
            mass += weights[j]
    return total / mass if mass > 0 else 0.0
