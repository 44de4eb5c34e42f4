"""The selective state-space branch: each transaction chooses how strongly and for how long it writes to the state.

With x[t] a causal convolution of the embedded steps, channel c, state n and time from old to new,

    h[t] = exp(delta[t] A) h[t - 1] + delta[t] B[t] x[t],    y = C h + D x  at the newest step,

where delta, B and C are functions of x (Gu and Dao, Mamba: Linear-time sequence modeling with selective state spaces, 2023).
A is diagonal, one rate per channel for all its states, as in Dao and Gu, Transformers are SSMs, 2024: a decay per step and
channel in place of one per step, channel and state. Only the last state is read, by several C at once, so the recurrence can
be written as a sum over the steps in which each counts with the decay that all newer ones bring,

    h[newest] = sum over t of exp(A S[t]) delta[t] B[t] x[t],    S[t] = sum of delta over the steps newer than t,

whose exponents are never positive: it is exact at any length, and a cumulative sum takes the place of a sequential scan.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.teacher.network.experts.sequence.blocks import compiled
from finai_assets.teacher.network.experts.sequence.selective_kernel import CONVOLUTION, compiled_state
from finai_assets.teacher.network.experts.sequence.steps import Steps

_STEP_RANGE = (0.001, 0.1)  # delta at the start, and the rates below: both as Mamba draws them
_RATE_RANGE = (1.0, 16.0)
_TABLE_STD = 0.25


class Weights(NamedTuple):
    """The parameters of the state: C channels, N states, R numbers that set the step, F numbers of a transaction.

    ``table`` [rows, C], ``numbers`` [F, C], ``convolution`` [4, C] from the present step into the past, ``convolution_bias``
    [C], ``select`` [R + N, C] (rows for the step, then for B), ``step`` [R, C], ``step_bias`` [C], ``a`` [C], negative.
    """

    table: Tensor
    numbers: Tensor
    convolution: Tensor
    convolution_bias: Tensor
    select: Tensor
    step: Tensor
    step_bias: Tensor
    a: Tensor


def tensor_state(steps: Steps, weights: Weights) -> tuple[Tensor, Tensor]:
    """Return the state after the newest step and its input by tensor operations, on any device and in any precision.

    Returns
    -------
    h : float [n, N, C]
    x : float [n, C]
        Both 0 where a row has no step.
    """
    exists = steps.mask[:, None].to(steps.numbers.dtype)
    u = functional.embedding(steps.codes, weights.table).sum(1).transpose(1, 2)
    u = (u + torch.einsum("nft,fc->nct", steps.numbers, weights.numbers)) * exists
    padded = functional.pad(u, (0, CONVOLUTION - 1))
    kernel = weights.convolution.t()[:, None]
    v = functional.conv1d(padded, kernel, weights.convolution_bias, groups=u.shape[1])
    x = functional.silu(v) * exists
    chosen = torch.einsum("kc,nct->nkt", weights.select, x)
    rank = len(weights.step)
    before = torch.einsum("rc,nrt->nct", weights.step, chosen[:, :rank]) + weights.step_bias[:, None]
    delta = functional.softplus(before) * exists
    since = delta.cumsum(2) - delta
    written = torch.exp(weights.a[:, None] * since) * (delta * x)
    return torch.einsum("nkt,nct->nkc", chosen[:, rank:], written), x[:, :, 0]


class SelectiveSSM(nn.Module):
    """The selective state space over all steps, read at the newest.

    Parameters
    ----------
    rows, numbers : int
        Size of the code table, and how many numbers a step has.
    channels, states, rank, reads : int
        C, N, numbers that set delta, and how many C read the state at once.
    width : int
        Of the result.

    Shapes
    ------
    Steps of n rows -> float [n, width].
    """

    def __init__(
        self, rows: int, numbers: int, *, channels: int, states: int, rank: int, reads: int, width: int
    ) -> None:
        super().__init__()
        self.reads, self.states = reads, states
        self.table = nn.Parameter(torch.randn(rows, channels) * _TABLE_STD)
        self.numbers = _uniform(numbers, channels, fan=numbers)
        self.convolution = _uniform(CONVOLUTION, channels, fan=CONVOLUTION)
        self.convolution_bias = _uniform(channels, fan=CONVOLUTION)
        self.select = _uniform(rank + states, channels, fan=channels)
        self.step = _uniform(rank, channels, fan=rank)
        low, high = torch.tensor(_STEP_RANGE).log()
        first = torch.exp(low + torch.rand(channels) * (high - low))
        self.step_bias = nn.Parameter(torch.log(torch.expm1(first)))
        slow, fast = _RATE_RANGE
        self.log_rate = nn.Parameter(torch.log(slow + torch.rand(channels) * (fast - slow)))
        self.read = nn.Linear(channels, reads * states, bias=False)
        self.gate = nn.Linear(channels, reads * channels)
        self.d = nn.Parameter(torch.ones(reads, channels))
        self.out = nn.Linear(reads * channels, width)

    @property
    def weights(self) -> Weights:
        """Return the parameters of the state."""
        return Weights(
            self.table, self.numbers, self.convolution, self.convolution_bias, self.select, self.step, self.step_bias,
            -torch.exp(self.log_rate),
        )  # fmt: skip

    def forward(self, steps: Steps) -> Tensor:
        """Run the recurrence over a batch and read its last state."""
        make = compiled_state if compiled(steps.numbers) else tensor_state
        h, x = make(steps, self.weights)
        c = self.read(x).unflatten(1, (self.reads, self.states))
        y = (c @ h + self.d * x[:, None]).flatten(1)
        result: Tensor = self.out(y * functional.silu(self.gate(x)))
        return result


def _uniform(*shape: int, fan: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape).uniform_(-(fan**-0.5), fan**-0.5))
