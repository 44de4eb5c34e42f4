"""Customised gate control (Tang et al., RecSys 2020): each task mixes the shared experts and its own by a gate.

Gates are a softmax, or, as an option, one sigmoid per slot, which lets a task take much, or little, of everything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from finai_assets.settings.method import OWN_SLOT, TeacherSettings
from finai_assets.teacher.network.experts.task_mlp import FannedLinear, RowNorm, StackedLinear, StackedMLP, mlp


def gate_weights(scores: Tensor, kind: str) -> Tensor:
    """Return weights float [..., slots]: they add up to one for a softmax, and each lies in (0, 1) for a sigmoid."""
    return torch.softmax(scores, -1) if kind == "softmax" else torch.sigmoid(scores)


def _start(score: nn.Module, slots: int, kind: str) -> None:
    """Start every slot with the same weight, so that the weights add up to one."""
    for name, parameter in score.named_parameters():
        equal = -math.log(max(slots - 1, 1)) if kind == "sigmoid" and name.endswith("bias") else 0.0
        nn.init.constant_(parameter, equal)


class TaskGates(nn.Module):
    """One gate per task over its own named slots: the shared experts, and the task's own.

    Parameters
    ----------
    tasks : int
    width : int
        Width of what the gates look at.
    common : bool
        Whether all gates look at the same rows, or each at its task's.
    shared : tuple of str
        Names of the shared experts; the last slot is the task's own.
    kind : {"softmax", "sigmoid"}

    Examples
    --------
    >>> gates = TaskGates(13, 3, ("deepfm",), common=True)
    >>> mixed, weights = gates(torch.zeros(5, 3), [torch.ones(5, 64)], torch.ones(13, 5, 64))
    >>> gates.slots, mixed.shape, weights.shape, weights[0, 0].tolist()
    (('deepfm', 'task_mlp'), torch.Size([13, 5, 64]), torch.Size([13, 5, 2]), [0.5, 0.5])
    """

    def __init__(self, tasks: int, width: int, shared: tuple[str, ...], *, common: bool, kind: str = "softmax") -> None:
        super().__init__()
        self.slots = (*shared, OWN_SLOT)
        self.common, self.kind = common, kind
        self.score = (FannedLinear if common else StackedLinear)(tasks, width, len(self.slots))
        _start(self.score, len(self.slots), kind)

    def forward(self, seen: Tensor, shared: Sequence[Tensor], own: Tensor) -> tuple[Tensor, Tensor]:
        """Mix each task's slots by its gate.

        Parameters
        ----------
        seen : float [n, width] where common, else [tasks, n, width]
        shared : float [n, dim] each
        own : float [tasks, n, dim]

        Returns
        -------
        float [tasks, n, dim], float [tasks, n, slots]
            The mix, and the weights, which are not negative and, of a softmax, add up to one.
        """
        scores = self.score(seen)
        weights = gate_weights(scores.transpose(0, 1) if self.common else scores, self.kind)
        mixed = weights[..., -1:] * own
        for index, value in enumerate(shared):
            mixed = torch.addcmul(mixed, weights[..., index : index + 1], value)
        return mixed, weights


class SharedGate(nn.Module):
    """The gate of the shared path over all experts, the shared ones and every task's.

    ``forward(seen [n, width], shared [n, dim] each, own [tasks, n, dim])`` returns float [n, dim].
    """

    def __init__(self, tasks: int, width: int, shared: int, kind: str = "softmax") -> None:
        super().__init__()
        self.kind = kind
        self.score = nn.Linear(width, shared + tasks)
        _start(self.score, shared + tasks, kind)

    def forward(self, seen: Tensor, shared: Sequence[Tensor], own: Tensor) -> Tensor:
        """Mix all experts into the input of the next layer's shared experts."""
        weights = gate_weights(self.score(seen), self.kind)
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
        names, kind = tuple(f"shared_{index}" for index in range(shared)), settings.mechanisms.gate
        self.gates = TaskGates(tasks, dim, names, common=False, kind=kind)
        self.shared_gate = None if last else SharedGate(tasks, dim, shared, kind)

    def forward(self, tasks: Tensor, shared: Tensor) -> tuple[Tensor, Tensor | None]:
        """Apply the layer. Each input is added to its output, so that depth costs no signal."""
        common = [expert(shared) for expert in self.shared]
        own = self.own(tasks)
        mixed, _ = self.gates(tasks, common, own)
        onward = None if self.shared_gate is None else shared + self.shared_gate(shared, common, own)
        return tasks + mixed, onward


class TaskFusion(nn.Module):
    """A later extraction layer that fuses the experts of tasks directly, in the place of :class:`CGC`: AdaTT-sp.

    Li, Zhang, Gui, Li, Ma, Jin and Zhang: AdaTT: Adaptive task-to-task fusion network for multitask learning in recommendations
    (KDD 2023), the variant with task-specific experts alone. With ``E_u(x_u)`` the expert of task u, task t gets

        f_t = Σ_u g_tu(x_t) E_u(x_u) + v_t E_t(x_t)

    where g is the gate over the experts of all tasks, and v a learned weight of the native expert.

    Parameters
    ----------
    tasks : int
    settings : TeacherSettings
        ``expert_dim``, ``task_expert_hidden``, ``mechanisms.gate``.

    Shapes
    ------
    float [tasks, n, dim] -> the same.
    """

    def __init__(self, tasks: int, settings: TeacherSettings) -> None:
        super().__init__()
        dim, self.kind = settings.expert_dim, settings.mechanisms.gate
        self.own = StackedMLP(tasks, dim, settings.task_expert_hidden, dim)
        self.score = StackedLinear(tasks, dim, tasks)
        _start(self.score, tasks, self.kind)
        self.native = nn.Parameter(torch.ones(tasks, 1, 1))

    def forward(self, tasks: Tensor) -> Tensor:
        """Apply the layer. The input is added to the output, as in the other layers."""
        own = self.own(tasks)
        weights = gate_weights(self.score(tasks), self.kind)
        return tasks + torch.einsum("tnu,und->tnd", weights, own) + self.native * own
