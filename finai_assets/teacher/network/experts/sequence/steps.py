"""A sequence input as the branches read it: masked, with the gaps between transactions, and codes of one common table."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.teacher.layout import DAYS
from finai_assets.teacher.network.router import SequenceInput, SequenceSlots
from finai_resources.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Steps:
    """Transactions, newest first, of n rows.

    Parameters
    ----------
    numbers : float [n, f, steps]
        The scalar channels, then the log gap to the transaction before, then 1 where there is a transaction; 0 beyond the
        length.
    codes : int64 [n, k, steps]
        Rows of one table of all code channels; what stands beyond the length is some row of it and not to be read.
    length : int64 [n]
    age : float [n, steps]
        Days before the cutoff, less a constant: only differences have a meaning. 0 beyond the length.
    """

    numbers: Tensor
    codes: Tensor
    length: Tensor
    age: Tensor

    @property
    def mask(self) -> Tensor:
        """Return which steps exist, bool [n, steps]."""
        return torch.arange(self.age.shape[1], device=self.length.device) < self.length[:, None]


class StepReader(nn.Module):
    """Reads a :class:`SequenceInput` into :class:`Steps`.

    Parameters
    ----------
    slots : SequenceSlots
        Its channels. A gap is the difference of two ages, and enters as log(1 + days), so that hours and months both show.
    multiple : int
        Steps are filled up, at the old end, to a multiple of this.

    Raises
    ------
    ConfigError
        The sequence has no such channel.
    """

    offsets: Tensor

    def __init__(self, slots: SequenceSlots, *, multiple: int) -> None:
        super().__init__()
        if slots.days is None:
            raise ConfigError(
                f"none of the {len(slots.scalars)} scalar channels of the sequence is in {DAYS}",
                where="teacher.experts",
                fix="declare the unit of the transactions' ages, or take temporal out of teacher.experts",
            )
        self.days = slots.days
        self.padding = -slots.steps % multiple
        self.steps = slots.steps + self.padding
        self.numbers = len(slots.scalars) + 2
        self.rows = sum(slots.code_sizes)
        firsts = [sum(slots.code_sizes[:k]) for k in range(len(slots.code_sizes))]
        self.register_buffer("offsets", torch.tensor(firsts, dtype=torch.int64)[:, None], persistent=False)

    def forward(self, sequence: SequenceInput) -> Steps:
        """Mask a batch of sequences and take the gaps."""
        steps = torch.arange(sequence.scalars.shape[2], device=sequence.length.device)
        mask = steps < sequence.length[:, None]
        scalars = torch.where(mask[:, None], sequence.scalars, 0.0)
        age = scalars[:, self.days.channel] * self.days.std
        before = functional.pad(age[:, 1:], (0, 1))
        has_before = steps + 1 < sequence.length[:, None]
        gap = torch.where(has_before, before - age, 0.0).clamp_min(0).log1p()
        numbers = torch.cat([scalars, gap[:, None], mask[:, None].to(scalars.dtype)], 1)
        codes = torch.where(mask[:, None], sequence.codes, 0) + self.offsets
        fill = (0, self.padding)
        return Steps(
            functional.pad(numbers, fill), functional.pad(codes, fill), sequence.length, functional.pad(age, fill)
        )
