"""Mixes each task's loss with the losses of the tasks whose gradients agree with its own.

A task's loss is joined by those of the tasks that pull the shared parameters its way:

    L'_t = L_t + strength · Σ_u a_tu L_u,    a_tu = max(cos_tu, 0) / Σ_v max(cos_tv, 0),  u, v ≠ t

with ``cos`` the running mean of the cosine between the tasks' gradients. A task that opposes another lends it nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class TaskAffinity(nn.Module):
    """The running affinity of tasks; a module, so that checkpoints hold its buffers.

    Parameters
    ----------
    tasks : int
    decay : float
        Weight of the past at each measurement; the first few count alike.
    strength : float
        0 leaves the losses as they are.

    Examples
    --------
    >>> affinity = TaskAffinity(3, decay=0.9, strength=0.5)
    >>> affinity.measure(torch.tensor([[1.0, 0.0], [2.0, 0.0], [-1.0, 0.0]]), torch.ones(3, dtype=torch.bool))
    >>> affinity.mixing().tolist()  # the third opposes the others
    [[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    cosine: Tensor
    seen: Tensor

    def __init__(self, tasks: int, *, decay: float, strength: float) -> None:
        super().__init__()
        self.decay, self.strength = decay, strength
        self.register_buffer("cosine", torch.zeros(tasks, tasks))
        self.register_buffer("seen", torch.zeros(tasks, tasks))

    @torch.no_grad()
    def measure(self, gradients: Tensor, active: Tensor) -> None:
        """Update the affinity with the gradients float [tasks, p] of a batch, of ``active`` tasks (bool [tasks]) alone."""
        unit = functional.normalize(gradients.float(), dim=1)
        pairs = active[:, None] & active[None, :]
        weight = torch.clamp(1.0 / (self.seen + 1.0), min=1.0 - self.decay)
        self.cosine.copy_(torch.where(pairs, self.cosine + weight * (unit @ unit.T - self.cosine), self.cosine))
        self.seen += pairs

    def mixing(self) -> Tensor:
        """Return the weight of each task's loss (column) in each task's mixed loss (row), float [tasks, tasks]."""
        count = len(self.cosine)
        own = torch.eye(count, device=self.cosine.device)
        lent = self.cosine.clamp_min(0) * (1 - own)
        return own + self.strength * lent / lent.sum(1, keepdim=True).clamp_min(1e-12)
