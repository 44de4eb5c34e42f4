"""A running average of the weights over the latest steps, which is validated and stored in place of the last weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class WeightAverage:
    """Polyak averaging (Polyak and Juditsky, SIAM J. Control Optim. 1992), exponential so that old steps are forgotten.

    Early stopping ends a run while the learning rate is still high; the average takes away the noise that a low rate would have
    taken away.

    Parameters
    ----------
    model : nn.Module
        Its parameters are averaged; buffers are taken as they are.
    horizon : float
        Time constant in steps. Until then the average is over all steps so far; at 1 or less it is the last step's weights.
    """

    def __init__(self, model: nn.Module, horizon: float) -> None:
        self.model, self.horizon = model, max(1.0, horizon)
        self.values = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}

    @torch.no_grad()
    def take(self, step: int) -> None:
        """Update the average with the weights after step 0, 1, 2 ..."""
        rate = max(1.0 / (step + 1), 1.0 / self.horizon)
        torch._foreach_lerp_(list(self.values.values()), [p.detach() for p in self.model.parameters()], rate)

    @contextmanager
    def setting(self) -> Iterator[None]:
        """Copy parameters that change inside the block, without averaging: a mean of graphs without cycles may have cycles."""
        before = {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}
        yield
        for name, parameter in self.model.named_parameters():
            if not torch.equal(parameter, before[name]):
                self.values[name].copy_(parameter.detach())

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averaged weights into the model inside the block."""
        own = {name: parameter.detach().clone() for name, parameter in self.model.named_parameters()}
        self._put(self.values)
        try:
            yield
        finally:
            self._put(own)

    @torch.no_grad()
    def _put(self, values: dict[str, Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(values[name])
