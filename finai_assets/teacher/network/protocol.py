"""What the training loop asks of a network: the teacher's PLE, and the shared bottom that it is compared with."""

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
        """Return what is to be made small beside the tasks, by part, of the last forward in training mode."""
        return {}

    def after_epoch(self) -> None:
        """Do what is due between epochs."""

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that more than one task reads by design."""
        raise NotImplementedError
