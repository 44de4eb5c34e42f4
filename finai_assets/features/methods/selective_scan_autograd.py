"""The selective state-space recurrence with its exact gradient, for training on a processor without a tensor library's scan."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from numba.extending import overload
from torch import Tensor

from finai_assets.features.methods.selective_scan import exp32


def decay(x: Any) -> Any:
    """Return e^x in the precision of x; inside kernels float32 goes through :func:`exp32`."""
    return np.exp(x)


@overload(decay, strict=False)
def _decay_of(x: Any) -> Any:
    if x == numba.types.float32:
        return lambda x: exp32(x)  # noqa: PLW0108 # numba takes a function of its own here
    return lambda x: np.exp(x)  # noqa: PLW0108


class SelectiveScan(torch.autograd.Function):
    """The recurrence over sequences that lie end to end, and its exact gradient.

    x and delta [steps, channels], a [states, channels], b and c [steps, states] give y [steps, channels]; ``start``
    [sequences + 1] holds the offsets of the sequences, each of which begins at zero.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, start: np.ndarray) -> Tensor:
        """Return sum over states of c h."""
        arrays = tuple(tensor.detach().contiguous().numpy() for tensor in (x, delta, a, b, c))
        y = np.empty_like(arrays[0])
        _scan_forward(arrays, start, y)
        ctx.arrays, ctx.start = arrays, start
        return torch.from_numpy(y)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of x, delta, a, b and c."""
        out = tuple(np.empty_like(array) for array in ctx.arrays)
        _scan_backward(ctx.arrays, ctx.start, grads[0].contiguous().numpy(), out)
        return *(torch.from_numpy(array) for array in out), None


def selective_scan(x: Tensor, delta: Tensor, a: Tensor, b: Tensor, c: Tensor, start: np.ndarray) -> Tensor:
    """Return y of :class:`SelectiveScan`."""
    y: Tensor = SelectiveScan.apply(x, delta, a, b, c, start)  # type: ignore[no-untyped-call]
    return y


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _scan_forward(arrays: Any, start: Any, y: Any) -> None:
    x, delta, a, b, c = arrays
    states, channels = a.shape
    h = np.empty_like(a)
    for i in range(len(start) - 1):
        h[:] = 0
        for t in range(start[i], start[i + 1]):
            y[t] = 0
            for n in range(states):
                write, read = b[t, n], c[t, n]
                for k in range(channels):
                    h[n, k] = decay(delta[t, k] * a[n, k]) * h[n, k] + write * (delta[t, k] * x[t, k])
                    y[t, k] += read * h[n, k]


# Here sums over channels may take the order that suits the machine: their only use is a gradient.
@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def _scan_backward(arrays: Any, start: Any, dy: Any, out: Any) -> None:
    """Run each sequence's states forward again, keeping them, and then the gradient of the state backward."""
    x, delta, a, b, c = arrays
    dx, ddelta, da, db, dc = out
    states, channels = a.shape
    longest = np.max(np.diff(start))
    kept = np.zeros((longest + 1, states, channels), a.dtype)
    factor = np.empty((longest, states, channels), a.dtype)
    g = np.empty_like(a)
    da[:] = 0
    for i in range(len(start) - 1):
        begin, steps = start[i], start[i + 1] - start[i]
        for s in range(steps):
            t = begin + s
            for n in range(states):
                write = b[t, n]
                for k in range(channels):
                    factor[s, n, k] = decay(delta[t, k] * a[n, k])
                    kept[s + 1, n, k] = factor[s, n, k] * kept[s, n, k] + write * (delta[t, k] * x[t, k])
        g[:] = 0
        for s in range(steps - 1, -1, -1):
            t = begin + s
            dx[t] = 0
            ddelta[t] = 0
            for n in range(states):
                write, read = b[t, n], c[t, n]
                to_b = x[t, 0] * 0
                to_c = x[t, 0] * 0
                for k in range(channels):
                    grad = g[n, k] + dy[t, k] * read
                    to_c += dy[t, k] * kept[s + 1, n, k]
                    to_b += grad * (delta[t, k] * x[t, k])
                    through = grad * factor[s, n, k]
                    turned = through * kept[s, n, k]
                    ddelta[t, k] += turned * a[n, k] + grad * (write * x[t, k])
                    da[n, k] += turned * delta[t, k]
                    dx[t, k] += grad * (write * delta[t, k])
                    g[n, k] = through
                db[t, n] = to_b
                dc[t, n] = to_c
