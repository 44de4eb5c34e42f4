"""The liquid branch: a closed-form continuous-time cell over patches that lie irregularly in time.

After a gap t under the input I, the state x becomes

    sigmoid(-f t) g + (1 - sigmoid(-f t)) h,    f, g, h functions of x and I,

the closed form that stands for the solution of a liquid time-constant network (Hasani, Lechner, Amini, Liebenwein, Ray,
Tschaikowski, Teschl, Rus: Closed-form continuous-time neural networks, 2022): f is a rate, and how far the state moves from g
to h depends on the time that really passed.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

HEADS = 3  # f, g and h, in this order along the columns of the weights


def advance(x: Tensor, drive: Tensor, gap: Tensor, recurrent: Tensor) -> Tensor:
    """Return the state after one gap.

    Parameters
    ----------
    x : float [n, units]
    drive : float [n, 3 * units]
        What the input adds to the heads, bias included.
    gap : float [n, 1]
    recurrent : float [units, 3 * units]
    """
    f, g, h = torch.addmm(drive, x, recurrent).chunk(HEADS, 1)
    return torch.lerp(torch.tanh(h), torch.tanh(g), torch.sigmoid(-f * gap))


class LiquidCell(nn.Module):
    """The cell, run from the oldest patch to the newest.

    A patch is one observation, made when its newest transaction was: the recurrence has a tenth or so of the steps that single
    transactions would need, each of which waits for the one before it. The gaps inside a patch reach the cell as inputs.

    Parameters
    ----------
    width, units, out : int
        Of a patch, of the state, and of the result.

    Shapes
    ------
    Patches float [n, k, width], newest first; ``exists`` bool [n, k]; ``gap`` float [n, k], not negative, the time since the
    next older patch -> float [n, out].
    """

    def __init__(self, width: int, *, units: int, out: int) -> None:
        super().__init__()
        self.drive = nn.Linear(width, HEADS * units)
        bound = units**-0.5
        self.recurrent = nn.Parameter(torch.empty(units, HEADS * units).uniform_(-bound, bound))
        self.out = nn.Linear(units, out)

    def state(self, patches: Tensor, exists: Tensor, gap: Tensor) -> Tensor:
        """Return the state after the newest patch, float [n, units]; 0 where there is none."""
        drives = self.drive(functional.silu(patches)).unbind(1)
        x = patches.new_zeros(len(patches), len(self.recurrent))
        for k in range(len(drives) - 1, -1, -1):
            x = torch.where(exists[:, k, None], advance(x, drives[k], gap[:, k, None], self.recurrent), x)
        return x

    def forward(self, patches: Tensor, exists: Tensor, gap: Tensor) -> Tensor:
        """Run the cell over a batch and read its last state."""
        result: Tensor = self.out(self.state(patches, exists, gap))
        return result
