"""The state of the selective state space and its exact gradient, compiled for CPUs, one row after another.

What a row needs, a few arrays [channels, steps], stays in the cache of a core from the look-up of its codes to its state, and
is made again for the gradient; written out as tensors, the same arrays are some hundred megabytes a batch. Loops run along
the steps, which makes them long; steps that do not exist are not visited. In the comments time goes from the newest step, 0,
into the past, as the arrays do.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from finai_assets.features.methods.selective_scan import exp32, softplus32
from finai_assets.teacher.network.experts.sequence.blocks import count_blocks, in_blocks
from finai_assets.teacher.network.experts.sequence.steps import Steps

CONVOLUTION = 4  # steps that the causal convolution spans
_ONE = np.float32(1.0)
_FAR = np.float32(-60.0)  # a decay of e^-60 is nothing, and its products stay clear of denormal numbers, which are slow


class _State(torch.autograd.Function):
    """The state [n, N, C] and the newest input [n, C] of sequences; see :func:`compiled_state`."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor, codes: Tensor, length: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        """Run every row."""
        tensors = (numbers, codes, length, *weights)
        ctx.save_for_backward(*tensors)
        data, parameters = _arrays(tensors)
        rank = len(parameters[5])
        n, channels = len(data[0]), parameters[0].shape[1]
        h = np.empty((n, len(parameters[4]) - rank, channels), np.float32)
        x = np.zeros((n, channels), np.float32)
        in_blocks(n, lambda _, first, end: _forward(data, parameters, first, end, h, x))
        return torch.from_numpy(h), torch.from_numpy(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the numbers and of each weight."""
        data, parameters = _arrays(ctx.saved_tensors)
        n = len(data[0])
        above = tuple(grad.contiguous().numpy() for grad in grads)
        of_numbers = np.zeros_like(data[0])
        parts = tuple(np.zeros((count_blocks(n), *p.shape), np.float32) for p in parameters)
        in_blocks(
            n,
            lambda block, first, end: _backward(
                data, parameters, first, end, above, of_numbers, tuple(part[block] for part in parts)
            ),
        )
        return torch.from_numpy(of_numbers), None, None, *(torch.from_numpy(part.sum(0)) for part in parts)


def compiled_state(steps: Steps, weights: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Return what ``tensor_state`` returns, for float32 on a CPU."""
    h, x = _State.apply(steps.numbers, steps.codes, steps.length, *weights)  # type: ignore[no-untyped-call]
    return h, x


def _arrays(tensors: tuple[Tensor, ...]) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    arrays = tuple(tensor.detach().contiguous().numpy() for tensor in tensors)
    return arrays[:3], arrays[3:]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _forward(data: Any, weights: Any, first: int, end: int, h: Any, x_newest: Any) -> None:
    numbers, codes, length = data
    step = weights[5]
    rank, (states, channels) = len(step), h.shape[1:]
    steps = numbers.shape[2]
    scratch = _scratch(channels, steps)
    chosen = np.empty((rank + states, steps), np.float32)
    for i in range(first, end):
        count = length[i]
        h[i] = 0
        if count == 0:
            continue
        _make(numbers[i], codes[i], count, weights, scratch, chosen)
        written = scratch[5]
        for k in range(states):
            for c in range(channels):
                h[i, k, c] = _dot(chosen[rank + k], written[c], count)
        for c in range(channels):
            x_newest[i, c] = scratch[2][c, 0]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _scratch(channels: int, steps: int) -> Any:
    shape = (
        channels,
        steps,
    )  # arrays of their own: the compiler cannot distinguish slices of one array, nor use vectors then
    return (
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
        np.empty(shape, np.float32),
    )


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _make(numbers: Any, codes: Any, count: int, weights: Any, scratch: Any, chosen: Any) -> None:
    """Fill ``scratch`` with u, v, x, delta, S, and what is written to the state; ``chosen`` with the selection by x."""
    _enter(numbers, codes, count, weights, scratch[0])
    _convolve(count, weights, scratch)
    x, select = scratch[2], weights[4]
    for k in range(len(select)):
        chosen[k, :count] = 0
        for c in range(len(x)):
            weight = select[k, c]
            for t in range(count):
                chosen[k, t] += weight * x[c, t]
    _time(count, weights, scratch, chosen)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _enter(numbers: Any, codes: Any, count: int, weights: Any, u: Any) -> None:
    table, number_weights = weights[0], weights[1]
    channels = len(u)
    u[:, :count] = 0
    for k in range(len(codes)):
        for t in range(count):
            for c in range(channels):
                u[c, t] += table[codes[k, t], c]
    for c in range(channels):
        for f in range(len(numbers)):
            weight = number_weights[f, c]
            for t in range(count):
                u[c, t] += weight * numbers[f, t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _convolve(count: int, weights: Any, scratch: Any) -> None:
    convolution, bias = weights[2], weights[3]
    u, v, x = scratch[0], scratch[1], scratch[2]
    for c in range(len(u)):
        v[c, :count] = bias[c]
        for j in range(min(CONVOLUTION, count)):
            weight = convolution[j, c]
            for t in range(count - j):
                v[c, t] += weight * u[c, t + j]
        _silu(v[c], x[c], count)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _time(count: int, weights: Any, scratch: Any, chosen: Any) -> None:
    step, step_bias, a = weights[5], weights[6], weights[7]
    x, delta, since, written = scratch[2], scratch[3], scratch[4], scratch[5]
    for c in range(len(x)):
        delta[c, :count] = step_bias[c]
        for r in range(len(step)):
            weight = step[r, c]
            for t in range(count):
                delta[c, t] += weight * chosen[r, t]
        _softplus(delta[c], count)
        total = np.float32(0)
        for t in range(count):
            since[c, t] = total
            total += delta[c, t]
        _write(a[c], since[c], delta[c], x[c], written[c], count)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _silu(v: Any, out: Any, count: int) -> None:
    for t in range(count):
        out[t] = v[t] / (_ONE + exp32(-v[t]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _softplus(values: Any, count: int) -> None:
    for t in range(count):
        values[t] = softplus32(values[t])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _write(a: Any, since: Any, delta: Any, x: Any, written: Any, count: int) -> None:
    for t in range(count):
        written[t] = exp32(max(a * since[t], _FAR)) * (delta[t] * x[t])


# Sums along the steps may take the order that suits the machine: it is the same order for every row and every run.
@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def _dot(left: Any, right: Any, count: int) -> Any:
    total = np.float32(0)
    for t in range(count):
        total += left[t] * right[t]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def _sum(values: Any, count: int) -> Any:
    total = np.float32(0)
    for t in range(count):
        total += values[t]
    return total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _add(out: Any, weight: Any, values: Any, count: int) -> None:
    for t in range(count):
        out[t] += weight * values[t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _multiply(left: Any, right: Any, out: Any, count: int) -> None:
    for t in range(count):
        out[t] = left[t] * right[t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _scale(out: Any, factor: Any, count: int) -> None:
    for t in range(count):
        out[t] *= factor[t]


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _decay(out: Any, a: Any, since: Any, count: int) -> None:
    for t in range(count):
        out[t] *= exp32(max(a * since[t], _FAR))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _slope(out: Any, delta: Any, count: int) -> None:
    """Multiply by the slope of softplus where it has the value ``delta``."""
    for t in range(count):
        out[t] *= _ONE - exp32(-delta[t])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _unsilu(out: Any, v: Any, count: int) -> None:
    for t in range(count):
        opened = _ONE / (_ONE + exp32(-v[t]))
        out[t] *= opened * (_ONE + v[t] * (_ONE - opened))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _backward(data: Any, weights: Any, first: int, end: int, above: Any, of_numbers: Any, of_weights: Any) -> None:
    numbers, codes, length = data
    above_h, above_x = above
    rank, (states, channels) = len(weights[5]), above_h.shape[1:]
    steps = numbers.shape[2]
    scratch = _scratch(channels, steps)
    chosen = np.empty((rank + states, steps), np.float32)
    dx = np.empty((channels, steps), np.float32)
    dchosen = np.empty((rank + states, steps), np.float32)
    row = np.empty(steps, np.float32)
    for i in range(first, end):
        count = length[i]
        if count == 0:
            continue
        _make(numbers[i], codes[i], count, weights, scratch, chosen)
        dchosen[:, :count] = 0
        for c in range(channels):
            _unwrite(c, count, weights, scratch, chosen, above_h[i], (dx[c], row, dchosen), of_weights)
            dx[c, 0] += above_x[i, c]
        for c in range(channels):
            _unselect(c, count, weights, scratch, dx[c], dchosen, of_weights)
            _unconvolve(c, count, weights, scratch, dx[c], row, of_weights)
            _unenter(c, count, weights[1], numbers[i], codes[i], row, of_numbers[i], of_weights)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _unwrite(
    c: int, count: int, weights: Any, scratch: Any, chosen: Any, above_h: Any, out: Any, of_weights: Any
) -> None:
    """Go back from the state to x (without what was chosen by it) and to what was chosen, through channel ``c``."""
    step, a = weights[5], weights[7][c]
    dx, row, dchosen = out
    x, delta, since, written = scratch[2][c], scratch[3][c], scratch[4][c], scratch[5][c]
    rank, states = len(step), len(above_h)
    row[:count] = 0  # gradient of what is written
    for k in range(states):
        weight = above_h[k, c]
        for t in range(count):
            row[t] += weight * chosen[rank + k, t]
        for t in range(count):
            dchosen[rank + k, t] += weight * written[t]
    _scale(written, row, count)  # gradient of the exponent a S
    of_weights[7][c] += _dot(written, since, count)
    _decay(row, a, since, count)
    _multiply(row, delta, dx, count)
    _scale(row, x, count)  # of delta, but for what goes through S of the older steps
    older = np.float32(0)
    for t in range(count - 1, -1, -1):
        row[t] += older
        older += a * written[t]
    _slope(row, delta, count)
    of_weights[6][c] += _sum(row, count)
    for r in range(rank):
        of_weights[5][r, c] += _dot(row, chosen[r], count)
        _add(dchosen[r], step[r, c], row, count)


@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def _unselect(c: int, count: int, weights: Any, scratch: Any, dx: Any, dchosen: Any, of_weights: Any) -> None:
    """Add to the gradient of x in channel ``c`` what goes through the choices."""
    select, x = weights[4], scratch[2][c]
    for k in range(len(select)):
        weight, total = select[k, c], np.float32(0)
        for t in range(count):
            total += dchosen[k, t] * x[t]
        for t in range(count):
            dx[t] += weight * dchosen[k, t]
        of_weights[4][k, c] += total


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _unconvolve(c: int, count: int, weights: Any, scratch: Any, dx: Any, row: Any, of_weights: Any) -> None:
    """Leave the gradient of u in channel ``c`` in ``row``."""
    u, v = scratch[0][c], scratch[1][c]
    _unsilu(dx, v, count)
    of_weights[3][c] += _sum(dx, count)
    row[:count] = 0
    for j in range(min(CONVOLUTION, count)):
        of_weights[2][j, c] += _dot(dx, u[j:], count - j)
        _add(row[j:], weights[2][j, c], dx, count - j)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _unenter(
    c: int, count: int, number_weights: Any, numbers: Any, codes: Any, row: Any, of_numbers: Any, of_weights: Any
) -> None:
    """Hand the gradient of u in channel ``c`` on to the numbers, their weights, and the table."""
    for f in range(len(numbers)):
        of_weights[1][f, c] += _dot(row, numbers[f], count)
        _add(of_numbers[f], number_weights[f, c], row, count)
    for k in range(len(codes)):
        for t in range(count):
            of_weights[0][codes[k, t], c] += row[t]
