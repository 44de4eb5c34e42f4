"""The protocol of networks that the training loop trains: the teacher's PLE, and the shared bottom beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from finai_assets.teacher.fitting.losses import TeacherTask
    from finai_assets.teacher.network.ple import PLEOutput


class Network(nn.Module):
    """Maps normalised rows to the logits of every task.

    ``slot_names`` is empty where the network has no named gates; its output then holds no gate weights.
    """

    tasks: tuple[TeacherTask, ...]
    slot_names: dict[str, tuple[str, ...]]

    def forward(self, x: Tensor) -> PLEOutput:
        """Map normalised rows float [n, width] to logits and gate weights."""
        raise NotImplementedError

    def auxiliary_losses(self) -> dict[str, Tensor]:
        """Return the auxiliary losses of the last forward in training mode, by part."""
        return {}

    def after_epoch(self) -> None:
        """End an epoch: update the parts that change between epochs."""

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that more than one task reads by design."""
        raise NotImplementedError
