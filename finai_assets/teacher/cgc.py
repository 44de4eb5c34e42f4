"""Customised gate control (Tang et al., RecSys 2020): each task mixes the shared experts and its own by a softmax gate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from finai_assets.method_settings import TeacherSettings
from finai_assets.teacher.experts.task_mlp import FannedLinear, RowNorm, StackedLinear, StackedMLP, mlp

OWN_SLOT = "task_mlp"  # the name of the slot that holds a task's own expert


class TaskGates(nn.Module):
    """One softmax gate per task over its own named slots: the shared experts, and the task's own.

    Parameters
    ----------
    tasks : int
    width : int
        Width of what the gates look at.
    common : bool
        Whether all gates look at the same rows, or each at its task's.
    shared : tuple of str
        Names of the shared experts; the last slot is the task's own.

    Examples
    --------
    >>> gates = TaskGates(13, 3, ("deepfm",), common=True)
    >>> mixed, weights = gates(torch.zeros(5, 3), [torch.ones(5, 64)], torch.ones(13, 5, 64))
    >>> gates.slots, mixed.shape, weights.shape, weights[0, 0].tolist()
    (('deepfm', 'task_mlp'), torch.Size([13, 5, 64]), torch.Size([13, 5, 2]), [0.5, 0.5])
    """

    def __init__(self, tasks: int, width: int, shared: tuple[str, ...], *, common: bool) -> None:
        super().__init__()
        self.slots = (*shared, OWN_SLOT)
        self.common = common
        self.score = (FannedLinear if common else StackedLinear)(tasks, width, len(self.slots))
        for parameter in self.score.parameters():
            nn.init.zeros_(parameter)  # every slot starts with an equal say

    def forward(self, seen: Tensor, shared: Sequence[Tensor], own: Tensor) -> tuple[Tensor, Tensor]:
        """Mix by what is seen.

        Parameters
        ----------
        seen : float [n, width] where common, else [tasks, n, width]
        shared : float [n, dim] each
        own : float [tasks, n, dim]

        Returns
        -------
        float [tasks, n, dim], float [tasks, n, slots]
            The mix, and the weights, which are not negative and add up to one.
        """
        scores = self.score(seen)
        weights = torch.softmax(scores.transpose(0, 1) if self.common else scores, -1)
        mixed = weights[..., -1:] * own
        for index, value in enumerate(shared):
            mixed = torch.addcmul(mixed, weights[..., index : index + 1], value)
        return mixed, weights


class SharedGate(nn.Module):
    """The gate of the shared path: a softmax over all experts, the shared ones and every task's.

    ``forward(seen [n, width], shared [n, dim] each, own [tasks, n, dim])`` returns float [n, dim].
    """

    def __init__(self, tasks: int, width: int, shared: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, shared + tasks)
        nn.init.zeros_(self.score.weight)
        nn.init.zeros_(self.score.bias)

    def forward(self, seen: Tensor, shared: Sequence[Tensor], own: Tensor) -> Tensor:
        """Mix all experts into the input of the next layer's shared experts."""
        weights = torch.softmax(self.score(seen), -1)
        mixed = torch.einsum("nt,tnd->nd", weights[:, len(shared) :], own)
        for index, value in enumerate(shared):
            mixed = mixed + weights[:, index : index + 1] * value
        return mixed


class CGC(nn.Module):
    """A later extraction layer: MLP experts, shared and per task, and a gate for each task (and one for the shared path).

    Parameters
    ----------
    tasks, shared : int
        Number of tasks and of shared experts.
    settings : TeacherSettings
        ``expert_dim``, ``task_expert_hidden``.
    last : bool
        The last layer has no shared path to go on with.

    Shapes
    ------
    tasks float [tasks, n, dim], shared float [n, dim] -> the same; the shared one is None after the last layer.
    """

    def __init__(self, tasks: int, shared: int, settings: TeacherSettings, *, last: bool) -> None:
        super().__init__()
        dim, hidden = settings.expert_dim, settings.task_expert_hidden
        self.shared = nn.ModuleList(nn.Sequential(mlp(dim, hidden, dim, 0.0), RowNorm()) for _ in range(shared))
        self.own = StackedMLP(tasks, dim, hidden, dim)
        self.gates = TaskGates(tasks, dim, tuple(f"shared_{index}" for index in range(shared)), common=False)
        self.shared_gate = None if last else SharedGate(tasks, dim, shared)

    def forward(self, tasks: Tensor, shared: Tensor) -> tuple[Tensor, Tensor | None]:
        """Extract once more. Each input is added to its output, so that depth costs no signal."""
        common = [expert(shared) for expert in self.shared]
        own = self.own(tasks)
        mixed, _ = self.gates(tasks, common, own)
        onward = None if self.shared_gate is None else shared + self.shared_gate(shared, common, own)
        return tasks + mixed, onward
