"""Geometry of the Poincare ball of curvature -1 for tensors: differentiable everywhere, safe in float32.

The conventions are those of ``features/methods/poincare.py``: a tangent vector ``v`` at the origin has hyperbolic length
``2 |v|``. Formulas: Ungar, Analytic hyperbolic geometry and Albert Einstein's special theory of relativity (2008); Ganea,
Becigneul and Hofmann, Hyperbolic neural networks (2018).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["distance", "exp_origin", "gyromidpoint", "log_origin", "moebius_add", "within"]

# Beyond these norms 1 - |x|^2 has too few digits left: a distance from the origin of 11.5 in double precision, of 6.9 in single.
_MAX_NORM = {torch.float64: 1 - 2e-5, torch.float32: 1 - 2e-3}
_TINY = 1e-30  # below any square that matters, above the least float32; keeps the slope of a root finite


def within(x: Tensor) -> Tensor:
    """Pull points float [..., width] too near the rim back to the largest norm of their precision."""
    return x * (_MAX_NORM[x.dtype] / _norm(x)).clamp_max(1.0)


def exp_origin(v: Tensor) -> Tensor:
    """Return the points float [..., width] that geodesics from the origin with velocity ``v`` reach, ``tanh(|v|) v / |v|``.

    Examples
    --------
    >>> x = exp_origin(torch.tensor([0.5, 0.0]))
    >>> round(distance(x, torch.zeros(2)).item(), 6)
    1.0
    """
    norm = _norm(v)
    return within(torch.tanh(norm) / norm * v)


def log_origin(x: Tensor) -> Tensor:
    """Return the velocities at the origin that lead to points float [..., width], ``atanh(|x|) x / |x|``."""
    norm = _norm(x)
    return torch.atanh(norm.clamp_max(_MAX_NORM[x.dtype])) / norm * x


def moebius_add(x: Tensor, y: Tensor) -> Tensor:
    """Return ``x ⊕ y``, float [..., width]: ``y`` moved as the origin is moved to ``x``."""
    xx, yy, xy = _square(x), _square(y), (x * y).sum(-1, keepdim=True)
    return within(((1 + 2 * xy + yy) * x + (1 - xx) * y) / (1 + 2 * xy + xx * yy))


def distance(x: Tensor, y: Tensor) -> Tensor:
    """Return the hyperbolic distances, float [...], of points float [..., width].

    ``2 asinh(|x - y| / sqrt((1 - |x|^2)(1 - |y|^2)))`` keeps its digits where the points lie close together. The slope between
    equal points, which has no direction, is zero.
    """
    return 2 * torch.asinh(_excess(x, y).clamp_min(_TINY).sqrt())


def gyromidpoint(points: Tensor, weights: Tensor) -> Tensor:
    """Return weighted Moebius gyromidpoints.

    Where weights add up to less than one, the rest lies at the origin, which is therefore the midpoint of no weight at all.
    In the coordinates of the hyperboloid the midpoint is the weighted sum ``(t, s)``, scaled by its Lorentzian length; that
    is the root of ``sum_ij w_i w_j cosh d(x_i, x_j)``, a sum of positive terms, where ``t^2 - |s|^2`` would lose its digits
    near the rim.

    Parameters
    ----------
    points : float [m, width]
    weights : float [n, m]
        Not negative. Only their shares count where they sum to more than one.

    Returns
    -------
    float [n, width]
    """
    below = 1 - _square(points)
    time = 2 / below[:, 0] - 1  # cosh of the distance to the origin
    cosh = 1 + 2 * _excess(points[:, None], points[None])
    missing = (1 - weights.sum(-1)).clamp_min(0)
    reach = weights @ time
    length = ((weights @ cosh) * weights).sum(-1) + 2 * missing * reach + missing.square()
    return weights @ (2 / below * points) / (reach + missing + length.sqrt())[:, None]


def _excess(x: Tensor, y: Tensor) -> Tensor:
    """Return ``sinh^2`` of half the distances, float [...]."""
    return (x - y).square().sum(-1) / ((1 - _square(x)) * (1 - _square(y)))[..., 0]


def _square(x: Tensor) -> Tensor:
    return x.square().sum(-1, keepdim=True)


def _norm(x: Tensor) -> Tensor:
    return _square(x).clamp_min(_TINY).sqrt()
