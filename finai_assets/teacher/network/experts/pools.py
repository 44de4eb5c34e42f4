"""Figures of a transaction sequence that do not depend on the order of equally recent steps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.router import SequenceInput, SequenceSlots

# Pseudo-count of each code, in steps.
PSEUDO_STEPS = 0.3
# Share of a window's length over which it ends softly, so that an age has a gradient.
_EDGE = 0.05


class SequencePool(nn.Module):
    """Fields of one sequence that do not depend on the order of equally recent steps.

    Parameters
    ----------
    slots : SequenceSlots
    settings : TeacherSettings
        ``newest`` steps are fields of their own; ``pool_half_lives`` (in steps) and ``pool_windows`` (in days) weigh the rest.

    Shapes
    ------
    ``forward`` returns scalars float [n, s] and code ids int64 [n, newest · code channels]. Among the scalars is, for each
    half-life and code, the logarithm of its smoothed share over an equal one: what a softmax over codes is linear in, and 0
    everywhere for a customer without steps.
    """

    decay: Tensor

    def __init__(self, slots: SequenceSlots, settings: TeacherSettings) -> None:
        super().__init__()
        self.newest = min(settings.newest, slots.steps)
        self.code_sizes = slots.code_sizes
        half_lives = torch.tensor(settings.pool_half_lives, dtype=torch.float32)
        steps = torch.arange(slots.steps, dtype=torch.float32)
        self.register_buffer("decay", torch.exp2(-steps / half_lives[:, None]), persistent=False)  # [half-lives, steps]
        channels = len(slots.scalars)
        self.windows = CalendarWindows(slots, settings.pool_windows) if slots.days and settings.pool_windows else None
        self.scalar_count = self.newest * channels + len(half_lives) * (2 * channels + sum(slots.code_sizes)) + 1
        self.scalar_count += self.windows.scalar_count if self.windows else 0
        self.newest_sizes = tuple(size for size in slots.code_sizes for _ in range(self.newest))

    def forward(self, sequence: SequenceInput) -> tuple[Tensor, Tensor]:
        """Pool a batch of sequences."""
        n, channels, steps = sequence.scalars.shape
        mask = (torch.arange(steps, device=sequence.length.device) < sequence.length[:, None]).to(
            torch.float32
        )  # [n, steps]
        raw = mask[:, None, :] * self.decay  # [n, half-lives, steps]
        total = raw.sum(-1, keepdim=True)
        weight = raw / total.clamp_min(1e-12)
        parts = [
            sequence.scalars[:, :, : self.newest].reshape(n, -1),
            # how many steps there are, on the scale of the others
            torch.log1p(sequence.length.to(torch.float32))[:, None],
        ]
        if channels:
            values = sequence.scalars.transpose(1, 2)  # [n, steps, channels]
            mean = weight @ values
            spread = ((weight @ values.square()) - mean.square()).clamp_min(0).add(1e-6).sqrt()
            parts += [mean.reshape(n, -1), spread.reshape(n, -1)]
        for half_life in range(len(self.decay)):
            for channel, size in enumerate(self.code_sizes):
                seen = weight.new_zeros(n, size)
                seen.scatter_add_(1, sequence.codes[:, channel], raw[:, half_life].contiguous())
                parts.append(torch.log((seen + PSEUDO_STEPS) / (total[:, half_life] / size + PSEUDO_STEPS)))
        if self.windows is not None:
            parts.append(self.windows(sequence, mask))
        newest = sequence.codes[:, :, : self.newest].reshape(n, -1)
        return torch.cat(parts, 1), newest


class CalendarWindows(nn.Module):
    """Number of steps and codes in the last days, and the lead of the commonest code, for each window and code channel.

    A half-life counts steps, a label counts what a month holds; a customer of many steps and one of few differ in what the one
    says of the other. The sequence ends at its last step: of a long window, a busy customer fills a part.

    Parameters
    ----------
    slots : SequenceSlots
        With ``days``.
    windows : sequence of float
        Days before the cutoff.

    Shapes
    ------
    ``forward`` returns float [n, windows + 4 · windows · code channels]: ``log(1 + steps)``; then, of each channel, ``log(1 +
    codes)``, ``1 / (1 + codes)``, the share of the commonest code, and its lead over the second.
    """

    ends: Tensor

    def __init__(self, slots: SequenceSlots, windows: tuple[float, ...]) -> None:
        super().__init__()
        if slots.days is None:
            raise ValueError("the sequence has no channel in days")
        self.days, self.code_sizes = slots.days, slots.code_sizes
        self.register_buffer("ends", torch.tensor(windows, dtype=torch.float32)[:, None], persistent=False)
        self.scalar_count = len(windows) * (1 + 4 * len(slots.code_sizes))

    def forward(self, sequence: SequenceInput, mask: Tensor) -> Tensor:
        """Count a batch of sequences, whose steps exist where ``mask`` float [n, steps] is 1."""
        age = self.days.of(sequence.scalars)[:, None]
        inside = torch.sigmoid((self.ends - age) / (_EDGE * self.ends)) * mask[:, None]  # [n, windows, steps]
        n, windows, _ = inside.shape
        steps = inside.sum(-1)
        parts = [steps.log1p()]
        for channel, size in enumerate(self.code_sizes):
            codes = sequence.codes[:, channel, None].expand_as(inside)
            seen = inside.new_zeros(n, windows, max(2, size)).scatter_add(2, codes, inside)
            several = seen.clamp(max=1.0).sum(-1)
            first, second = (seen.topk(2, dim=-1).values / steps.clamp_min(1.0)[..., None]).unbind(-1)
            parts += [several.log1p(), 1.0 / (1.0 + several), first, first - second]
        return torch.cat(parts, 1)
