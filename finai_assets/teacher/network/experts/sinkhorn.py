"""Entropic optimal transport between many measures on one finite space, with gradients that need no iteration's trace.

The regulariser is ``epsilon`` times the relative entropy of the plan to the product of its marginals (Cuturi, NIPS 2013; Feydy
et al., Interpolating between optimal transport and MMD using Sinkhorn divergences, AISTATS 2019). The optimum has the dual form
``<a, f> + <b, g>``, and by the envelope theorem its gradient with regard to the measures is (f, g): the potentials are
computed without a trace, and the dual form, in which they are constants, carries the gradient. Second derivatives are not
given.

Shapes: ``a`` float [..., m] and ``b`` float [..., m] broadcast against each other, ``cost`` float [m, m] is symmetric with
zeros on its diagonal and nothing above 1. Measures add up to one and may have zeros.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Potentials stay within twice the greatest cost, so their exponentials within exp(2 / epsilon): down to this epsilon a product
# with the kernel exp(-cost / epsilon) neither overflows nor vanishes in float32. A smaller one needs sums in the log domain.
_KERNEL_EPSILON = 0.025
_SELF_STEPS = 16  # each at least halves the error of the potential, of which the cost's error is the square


def divergence(a: Tensor, b: Tensor, cost: Tensor, *, epsilon: float, iterations: int) -> Tensor:
    """Return the Sinkhorn divergence ``OT(a, b) - (OT(a, a) + OT(b, b)) / 2``: 0 for equal measures, else positive.

    Examples
    --------
    >>> cost = 1 - torch.eye(2)
    >>> a = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    >>> divergence(a, a, cost, epsilon=0.2, iterations=10).abs().max() < 1e-6
    tensor(True)
    """
    own_a, _ = _self_cost(a, cost, epsilon)
    own_b, start = _self_cost(b, cost, epsilon)
    return entropic_cost(a, b, cost, epsilon=epsilon, iterations=iterations, start=start) - 0.5 * (own_a + own_b)


def entropic_cost(
    a: Tensor, b: Tensor, cost: Tensor, *, epsilon: float, iterations: int, start: Tensor | None = None
) -> Tensor:
    """Return ``min <P, cost> + epsilon KL(P | a b^T)`` over the plans from ``a`` to ``b``, float [...].

    Parameters
    ----------
    start : float [..., m], optional
        A guess of ``b``'s potential.
    """
    with torch.no_grad():
        f, g = potentials(a, b, cost, epsilon=epsilon, iterations=iterations, start=start)
    return _dual(a, f) + _dual(b, g)


def potentials(
    a: Tensor, b: Tensor, cost: Tensor, *, epsilon: float, iterations: int, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the dual potentials (f, g) after so many Sinkhorn steps; ``f`` is exact given ``g``, also where ``a`` is 0.

    With ``u = exp(f / epsilon)`` and the kernel ``K = exp(-cost / epsilon)`` a step is ``u = 1 / K(b v)``, ``v = 1 / K(a u)``.
    """
    g = torch.zeros_like(b) if start is None else start
    if epsilon < _KERNEL_EPSILON:
        for _ in range(iterations):
            f = _soft_minimum(b, g, cost, epsilon)
            g = _soft_minimum(a, f, cost, epsilon)
        return _soft_minimum(b, g, cost, epsilon), g
    kernel = torch.exp(-cost / epsilon)
    weighted = b * torch.exp(g / epsilon)
    for _ in range(iterations):
        column = (a / (weighted @ kernel)) @ kernel
        weighted = b / column
    return -epsilon * torch.log(weighted @ kernel), -epsilon * torch.log(column)


def _self_cost(a: Tensor, cost: Tensor, epsilon: float) -> tuple[Tensor, Tensor]:
    """Return ``OT(a, a)`` and its potential; both potentials are the same, and averaged steps find it quickly."""
    with torch.no_grad():
        f = torch.zeros_like(a)
        for _ in range(_SELF_STEPS):
            f = 0.5 * (f + _soft_minimum(a, f, cost, epsilon))
    return 2.0 * _dual(a, f), f


def _dual(measure: Tensor, potential: Tensor) -> Tensor:
    return (measure * potential).sum(-1)


def _soft_minimum(measure: Tensor, potential: Tensor, cost: Tensor, epsilon: float) -> Tensor:
    """Return ``-epsilon log sum_j measure_j exp((potential_j - cost_ij) / epsilon)``, float [..., m]."""
    if epsilon >= _KERNEL_EPSILON:
        return -epsilon * torch.log((measure * torch.exp(potential / epsilon)) @ torch.exp(-cost / epsilon))
    weight = torch.log(measure) + potential / epsilon
    return -epsilon * torch.logsumexp(weight[..., None, :] - cost / epsilon, -1)
