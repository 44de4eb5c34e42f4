"""Mixed precision: the number format of the network, and the loss scale that keeps small gradients in half precision."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# At this scale, a gradient that is not finite is the gradient itself, and not an overflow of its scaled copy.
_LEAST_SCALE = 1.0


class Precision:
    """Autocast, and for float16 a scale on the loss (Micikevicius et al., Mixed precision training, ICLR 2018).

    Parameters
    ----------
    device : torch.device
    name : {"float32", "bfloat16", "float16"}
    """

    def __init__(self, device: torch.device, name: str) -> None:
        self.device, self.dtype = device, _DTYPES.get(name)
        self.scaler = torch.amp.GradScaler(device.type, enabled=name == "float16")

    @classmethod
    def of(cls, device: torch.device, name: str) -> Precision:
        """Return the precision of a run: the configured one on a GPU, float32 on a CPU."""
        return cls(device, name if device.type == "cuda" else "float32")

    def cast(self) -> AbstractContextManager[Any]:
        """Return the context of the forward pass."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss as it goes into the backward pass."""
        return self.scaler.scale(loss)

    def may_overflow(self) -> bool:
        """Return whether the scale may cause an infinite gradient; the step is then skipped and the scale halved."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > _LEAST_SCALE

    def step(self, optimiser: torch.optim.Optimizer) -> None:
        """Step the optimiser, unless a gradient has overflowed."""
        self.scaler.step(optimiser)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        """Return the scale and its history, as plain values."""
        return dict(self.scaler.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a state."""
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state)
