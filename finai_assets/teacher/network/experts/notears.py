"""Fitting of a linear structural model whose graph has no cycle, by NOTEARS.

Zheng, Aragam, Ravikumar and Xing, DAGs with NO TEARS (NeurIPS 2018): ``min ½ E|z - z W|² + lasso |W|₁`` subject to
``h(W) = tr exp(W∘W) - d = 0``, which holds exactly if the graph of W has no cycle. Least squares need no more of the data than
its second moments ``S = E[zᵀ z]``, so a fit takes the same time for any number of rows.

On standardised variables the direction of an edge follows from the fit of the whole graph alone, no longer from growing
variances (Reisach, Seiler and Weichwald, NeurIPS 2021): W is a graph that explains the variables sparsely, not a proof of cause.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from scipy.optimize import Bounds, minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # it has no stubs
from torch import Tensor

MatrixT = TypeVar("MatrixT", np.ndarray, Tensor)

TOLERANCE = 1e-6  # of h
PENALTY_LIMIT = 1e16
_PENALTY_GROWTH = 10.0
_SUFFICIENT_FALL = 0.25  # of h within one round; otherwise the penalty grows
_ROUNDS = 100
_SQUARINGS, _ORDER = 6, 10
_STEPS = 200  # of L-BFGS in a round: the next one goes on from there


@dataclass(frozen=True, slots=True)
class Structural:
    """The state of the augmented Lagrangian: weights float64 [d, d] with a zero diagonal, multiplier and penalty on h."""

    weight: np.ndarray
    multiplier: float
    penalty: float


def acyclicity(weight: Tensor) -> Tensor:
    """Return ``tr exp(W∘W) - d``: 0 if and only if the weighted graph [d, d] has no cycle, else positive.

    Examples
    --------
    >>> acyclicity(torch.tensor([[0.0, 2.0], [0.0, 0.0]])).item()
    0.0
    """
    result: Tensor = _Acyclicity.apply(weight)  # type: ignore[no-untyped-call]
    return result


class _Acyclicity(torch.autograd.Function):
    """h(W) and its gradient ``2 W ∘ exp(W∘W)ᵀ``."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        rise = exponential_less_one(weight * weight)
        ctx.save_for_backward(2.0 * weight * (rise.T + torch.eye(len(rise), dtype=rise.dtype, device=rise.device)))
        return rise.diagonal().sum()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (slope,) = ctx.saved_tensors
        result: Tensor = gradients[0] * slope
        return result


def exponential_less_one(matrix: MatrixT) -> MatrixT:
    """Return ``exp(A) - I`` of a matrix [d, d] that is not negative, to the precision of its numbers if its norm is below 30.

    A Taylor series of a fraction of the matrix, then ``exp(2 A) - I = 2 F + F²`` with ``F = exp(A) - I``. No sum cancels, so
    that a trace far below d keeps its digits, which the trace of ``exp(A)`` would lose.
    """
    part = matrix / 2.0**_SQUARINGS
    rise = term = part
    for order in range(2, _ORDER + 1):
        term = term @ part / order
        rise = rise + term
    for _ in range(_SQUARINGS):
        rise = 2.0 * rise + rise @ rise
    return rise


def reconstruction(weight: Tensor, moments: Tensor) -> Tensor:
    """Return ``½ E|z - z W|²`` of variables with second moments S [d, d]: ``½ tr((I - W)ᵀ S (I - W))``."""
    rest = torch.eye(len(weight), dtype=weight.dtype, device=weight.device) - weight
    return 0.5 * (rest * (moments @ rest)).sum()


def fit(moments: np.ndarray, start: Structural, *, lasso: float, threshold: float) -> Structural:
    """Solve the program, and set weights below ``threshold`` to 0.

    Parameters
    ----------
    moments : float64 [d, d]
        Second moments of the variables.
    start : Structural
        From an earlier fit of similar moments, or zeros with multiplier 0 and penalty 1.
    lasso : float
    threshold : float
        Smaller weights are no edges: the constraint pushes a weight down, but not to 0 in its last digit.

    Returns
    -------
    Structural
        Its weights have no cycle: where the threshold leaves one, the least edge of it goes too.
    """
    found = solve(moments, start, lasso=lasso)
    edges = np.where(np.abs(found.weight) < threshold, 0.0, found.weight)
    return replace(found, weight=without_cycles(edges))


def solve(moments: np.ndarray, start: Structural, *, lasso: float) -> Structural:
    """Continue the augmented Lagrangian until h is at most ``TOLERANCE``."""
    at, before = start, np.inf
    for _ in range(_ROUNDS):
        with threadpool_limits(1, user_api="blas"):  # the matrices are so small that a second thread only waits
            weight = _minimise(moments, at, lasso)
        violation = float(np.trace(exponential_less_one(weight * weight)))
        at = Structural(weight, at.multiplier + at.penalty * violation, at.penalty)
        if violation <= TOLERANCE or at.penalty >= PENALTY_LIMIT:
            break
        if violation > _SUFFICIENT_FALL * before:
            at = replace(at, penalty=at.penalty * _PENALTY_GROWTH)
        before = violation
    return at


def without_cycles(weight: np.ndarray) -> np.ndarray:
    """Return the weights [d, d] with edges taken from the greatest on, each if it closes no cycle with those before it."""
    size = len(weight)
    reach = np.eye(size, dtype=bool)  # reach[i, j]: a path leads from i to j
    kept = np.zeros_like(weight)
    for edge in np.argsort(-np.abs(weight), axis=None, kind="stable"):
        source, target = divmod(int(edge), size)
        if weight[source, target] == 0:
            break
        if not reach[target, source]:
            kept[source, target] = weight[source, target]
            reach |= reach[:, source, None] & reach[target]
    return kept


def _minimise(moments: np.ndarray, at: Structural, lasso: float) -> np.ndarray:
    """Minimise the augmented Lagrangian over W = P - N with P, N >= 0, in which the lasso is smooth, by L-BFGS-B."""
    size, eye = len(moments), np.eye(len(moments))
    off = eye == 0

    def weight_of(halves: np.ndarray) -> np.ndarray:
        weight = np.zeros((size, size))
        weight[off] = halves[: off.sum()] - halves[off.sum() :]
        return weight

    def value_and_gradient(halves: np.ndarray) -> tuple[float, np.ndarray]:
        weight = weight_of(halves)
        rest = eye - weight
        explained = moments @ rest
        rise = exponential_less_one(weight * weight)
        violation, slope = float(np.trace(rise)), 2.0 * weight * (rise.T + eye)
        value = 0.5 * float((rest * explained).sum()) + lasso * float(halves.sum())
        value += at.multiplier * violation + 0.5 * at.penalty * violation**2
        gradient = (-explained + (at.multiplier + at.penalty * violation) * slope)[off]
        return value, np.concatenate([gradient + lasso, lasso - gradient])

    begin = np.concatenate([np.maximum(at.weight, 0.0)[off], np.maximum(-at.weight, 0.0)[off]])
    found = minimize(
        value_and_gradient,
        begin,
        jac=True,
        method="L-BFGS-B",
        bounds=Bounds(0.0, np.inf),
        options={"maxiter": _STEPS},
    )
    return weight_of(found.x)
