"""The optimiser and its learning rate over a run."""

from __future__ import annotations

import math

import torch
from torch import nn

from finai_assets.settings.method import TeacherSettings

# The weights between losses settle within the few hundred steps of a run only if they move faster than the network's.
_BALANCE_PACE = 5.0


def make_optimiser(model: nn.Module, balance: nn.Module, chosen: TeacherSettings) -> torch.optim.AdamW:
    """Return AdamW that decays matrices, and neither biases, norms, nor the weights between losses."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": decayed, "weight_decay": chosen.weight_decay, "pace": 1.0},
        {"params": free, "weight_decay": 0.0, "pace": 1.0},
        {"params": list(balance.parameters()), "weight_decay": 0.0, "pace": _BALANCE_PACE},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=chosen.learning_rate, fused=True)


def rate_share(step: int, total: int, warmup_share: float) -> float:
    """Return the share of the learning rate at a step: a linear warm-up, then a cosine down to zero at the last planned step.

    Examples
    --------
    >>> [round(rate_share(step, 10, 0.2), 2) for step in (0, 1, 2, 6, 9)]
    [0.5, 1.0, 1.0, 0.5, 0.04]
    """
    warm = max(1, round(warmup_share * total))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def set_rate(optimiser: torch.optim.Optimizer, step: int, total: int, chosen: TeacherSettings) -> None:
    """Set the learning rate of a step; the weights between losses have a rate of their own."""
    share = rate_share(step, total, chosen.warmup_share)
    for group in optimiser.param_groups:
        group["lr"] = chosen.learning_rate * share * group["pace"]
