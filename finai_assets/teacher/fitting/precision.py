"""Mixed precision: in which numbers the network computes, and how gradients in half precision keep their small values."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}
# Below it, halving again says that the gradient itself is not finite, and not its scaled copy.
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
        """Return the precision of a run: what is configured on a GPU, float32 on a CPU."""
        return cls(device, name if device.type == "cuda" else "float32")

    def cast(self) -> AbstractContextManager[Any]:
        """Return the context of the forward pass."""
        return torch.autocast(self.device.type, dtype=self.dtype, enabled=self.dtype is not None)

    def scaled(self, loss: Tensor) -> Tensor:
        """Return the loss as it goes into the backward pass."""
        return self.scaler.scale(loss)

    def may_overflow(self) -> bool:
        """Tell whether an infinite gradient is the scale's doing; the step is then left out and the scale halved."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > _LEAST_SCALE

    def step(self, optimiser: torch.optim.Optimizer) -> None:
        """Step, unless a gradient has overflowed."""
        self.scaler.step(optimiser)
        self.scaler.update()

    def state(self) -> dict[str, Any]:
        """Return the scale and its history, as plain values."""
        return dict(self.scaler.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a state."""
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state)
