"""Progressive layered extraction with heterogeneous experts: the whole network, from a normalised row to logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from finai_assets.settings.method import OWN_SLOT, TeacherSettings, Transfer
from finai_assets.teacher.fitting.losses import TeacherTask
from finai_assets.teacher.network.cgc import CGC, SharedGate, TaskFusion, TaskGates
from finai_assets.teacher.network.experts import build_expert, known
from finai_assets.teacher.network.experts.task_mlp import RowNorm, TaskMLP
from finai_assets.teacher.network.protocol import Network
from finai_assets.teacher.network.router import FeatureRouter, make_route
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError, GateError

PARAMETER_LIMIT = 2_000_000


@dataclass(frozen=True, slots=True)
class PLEOutput:
    """The output of the network for n rows.

    Parameters
    ----------
    logits : task -> float [n, outputs]
        Before any activation; in units of the label for a regression task.
    gates : task -> float [n, slots]
        Weights of the first layer's gate: not negative and, unless gates are sigmoids, adding up to one.
    slot_names : task -> tuple of str
        The named experts, and the task's own, in the order of the weights.
    """

    logits: dict[str, Tensor]
    gates: dict[str, Tensor]
    slot_names: dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Views:
    """The outputs of layer 1's experts for n rows, and the input of its gates.

    Parameters
    ----------
    seen : float [n, width]
    shared : tuple of float [n, dim]
        Of the shared experts, in the order of the settings.
    own : float [tasks, n, dim]
        Of each task's own expert, in the order of ``PLE.tasks``.
    """

    seen: Tensor
    shared: tuple[Tensor, ...]
    own: Tensor


class Tower(nn.Module):
    """A task's tower, its head, and a linear way around the tower.

    ``forward`` returns logits [n, outputs] and the last hidden layer [n, hidden[-1]].
    """

    location: Tensor
    scale: Tensor

    def __init__(self, task: TeacherTask, settings: TeacherSettings) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = settings.expert_dim
        for after in settings.tower_hidden:
            layers += [nn.Linear(width, after), nn.SiLU()]
            width = after
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width, task.outputs)
        # Fifty classes hardly fit through a hidden layer of 32: with a way around it next_mcc takes a third of the steps.
        self.shortcut = nn.Linear(settings.expert_dim, task.outputs, bias=False)
        self.register_buffer("location", torch.tensor(task.location))
        self.register_buffer("scale", torch.tensor(task.scale))
        start = (torch.tensor(task.start) - task.location) / task.scale
        with torch.no_grad():  # the first prediction is the best constant
            self.head.weight.mul_(0.1)
            self.shortcut.weight.zero_()
            self.head.bias.copy_(start)

    def forward(self, value: Tensor) -> tuple[Tensor, Tensor]:
        """Map float [n, expert_dim] to logits and the last hidden layer."""
        hidden = self.body(value)
        return self.location + self.scale * (self.head(hidden) + self.shortcut(value)), hidden


class PLE(Network):
    """The teacher.

    An expert may have two methods more: ``auxiliary_loss()`` returns a scalar of its last forward in training mode, which the
    training adds to its loss, and ``after_epoch()`` is called when an epoch has ended. What they keep belongs in buffers.

    Flow: router -> layer 1 (named shared experts, one MLP expert per task, a gate per task) -> further CGC layers -> an encoder
    per task group -> transfers between tasks -> towers -> heads.

    Parameters
    ----------
    normaliser : Normaliser
        Says what a row holds.
    tasks : sequence of TeacherTask
    settings : TeacherSettings
    structure : Structure, optional
        Needed by experts that read the merchant tree or the customer-product graph.
    known_groups : tuple of str, optional
        All group names of the configuration; a routing entry outside them is refused.

    Raises
    ------
    ConfigError
        An expert is not built, or has no route.
    GateError
        It has 2 million parameters or more.
    """

    def __init__(
        self,
        normaliser: Normaliser,
        tasks: Sequence[TeacherTask],
        settings: TeacherSettings,
        *,
        structure: Structure | None = None,
        known_groups: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__()
        for name in settings.experts:
            known(name)
        for name in (*settings.experts, OWN_SLOT):
            if name not in settings.routing:
                raise ConfigError(
                    f"{name!r} has no route", where="teacher.routing", fix="list the groups that it reads"
                )
        routes = {
            name: make_route(settings.routing[name], normaliser, known=known_groups)
            for name in (*settings.experts, OWN_SLOT)
        }
        groups = sorted({task.group for task in tasks})
        self.tasks = tuple(
            sorted(tasks, key=lambda task: groups.index(task.group))
        )  # a group's tasks stand side by side
        names = tuple(task.name for task in self.tasks)
        count, shared = len(names), len(settings.experts)
        self.router = FeatureRouter(routes)
        known_structure = structure or Structure.none()
        self.experts = nn.ModuleDict(
            {name: build_expert(name, routes[name], settings, known_structure) for name in settings.experts}
        )
        self.own = TaskMLP(count, routes[OWN_SLOT], settings)
        width = len(routes[OWN_SLOT].scalars)
        kind, fused = settings.mechanisms.gate, settings.mechanisms.task_transfer == "adatt_sp"
        self.gates = TaskGates(count, width, settings.experts, common=True, kind=kind)
        self.slot_names = dict.fromkeys(names, self.gates.slots)
        later = range(1, settings.layers)
        self.shared_gate = SharedGate(count, width, shared, kind) if later and not fused else None
        self.layers = nn.ModuleList(
            CGC(count, shared, settings, last=layer == settings.layers - 1) for layer in later if not fused
        )
        self.fusions = nn.ModuleList(TaskFusion(count, settings) for _ in later if fused)
        self.members = [sum(task.group == group for task in tasks) for group in groups]
        self.encoders = nn.ModuleDict({group: GroupEncoder(settings) for group in groups})
        self.transfers = tuple(t for t in settings.transfers if t.source in names and t.target in names)
        by_name = {task.name: task for task in tasks}
        self.carriers = nn.ModuleDict({t.target: _carrier(t, by_name, settings) for t in self.transfers})
        self.order = _order(names, self.transfers)
        self.towers = nn.ModuleDict({task.name: Tower(task, settings) for task in tasks})
        total = parameter_table(self)["total"]
        if total >= PARAMETER_LIMIT:
            raise GateError(
                f"the teacher has {total:,} parameters, at most {PARAMETER_LIMIT - 1:,} are allowed",
                where="teacher",
                fix="make deep_hidden, field_dim or expert_dim smaller",
            )

    def forward(self, x: Tensor) -> PLEOutput:
        """Map normalised rows float [n, width] to logits and gate weights."""
        return self.read(self.views(x))

    def views(self, x: Tensor) -> Views:
        """Return the outputs of layer 1's experts for normalised rows float [n, width]."""
        routed = self.router(x)
        shared = tuple(expert(routed[name]) for name, expert in self.experts.items())
        return Views(routed[OWN_SLOT].scalars, shared, self.own(routed[OWN_SLOT]))

    def read(self, views: Views) -> PLEOutput:
        """Map the experts' outputs, or their replacements, to logits and gate weights."""
        values, weights = self._extract(views)
        values = self._encode(values)
        names = [task.name for task in self.tasks]
        logits: dict[str, Tensor] = {}
        hidden: dict[str, Tensor] = {}
        for name in self.order:
            value = values[names.index(name)]
            for transfer in self.transfers:
                if transfer.target == name:
                    source = logits if transfer.via == "output" else hidden
                    value = value + self.carriers[name](source[transfer.source])
            logits[name], hidden[name] = self.towers[name](value)
        gates = {name: weights[index] for index, name in enumerate(names)}
        return PLEOutput({name: logits[name] for name in names}, gates, self.slot_names)

    def auxiliary_losses(self) -> dict[str, Tensor]:
        """Return the experts' auxiliary losses of the last forward in training mode, by expert."""
        return {name: hook() for name, hook in self._hooks("auxiliary_loss")}

    def after_epoch(self) -> None:
        """Call the experts' ``after_epoch`` (a multiplier's step, for example)."""
        for _, hook in self._hooks("after_epoch"):
            hook()

    def _hooks(self, method: str) -> list[tuple[str, Callable[[], Any]]]:
        found = ((name, getattr(expert, method, None)) for name, expert in self.experts.items())
        return [(name, hook) for name, hook in found if callable(hook)]

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return the parameters that more than one task reads by design: experts, shared paths, encoders of groups."""
        parts: list[Any] = [self.experts, self.encoders, self.shared_gate]
        parts += [part for layer in self.layers for part in (layer.shared, layer.shared_gate)]
        parts += [fusion.own for fusion in self.fusions]
        return [parameter for part in parts if part is not None for parameter in part.parameters()]

    def _extract(self, views: Views) -> tuple[Tensor, Tensor]:
        """Run the gates of layer 1 and the CGC layers; return representations [tasks, n, dim] and gate weights."""
        values, weights = self.gates(views.seen, views.shared, views.own)
        if self.shared_gate is not None:
            shared = self.shared_gate(views.seen, views.shared, views.own)
            for layer in self.layers:
                values, shared = layer(values, shared)
        for fusion in self.fusions:
            values = fusion(values)
        return values, weights

    def _encode(self, values: Tensor) -> Tensor:
        """Encode the tasks of each group together; float [tasks, n, dim] -> the same."""
        encoded, start = [], 0
        for encoder, members in zip(self.encoders.values(), self.members, strict=True):
            encoded.append(encoder(values[start : start + members]))
            start += members
        return torch.cat(encoded)


class GroupEncoder(nn.Module):
    """Encoder of one task group: adds to each task a function of it and the group's mean; [members, n, dim] -> the same."""

    def __init__(self, settings: TeacherSettings) -> None:
        super().__init__()
        dim = settings.expert_dim
        self.each = nn.Linear(dim, dim)
        self.common = nn.Linear(dim, dim, bias=False)
        self.finish = nn.Sequential(RowNorm(), nn.SiLU())

    def forward(self, values: Tensor) -> Tensor:
        """Encode the representations of the group's tasks."""
        encoded: Tensor = values + self.finish(self.each(values) + self.common(values.mean(0)))
        return encoded


def _carrier(transfer: Transfer, tasks: Mapping[str, TeacherTask], settings: TeacherSettings) -> nn.Linear:
    width = tasks[transfer.source].outputs if transfer.via == "output" else settings.tower_hidden[-1]
    return nn.Linear(width, settings.expert_dim)


def _order(names: tuple[str, ...], transfers: tuple[Transfer, ...]) -> tuple[str, ...]:
    """Return the tasks with every source before its target."""
    if len({transfer.target for transfer in transfers}) < len(transfers):
        raise ConfigError("a task receives two transfers", where="teacher.transfers", fix="keep one for each target")
    ordered: list[str] = []
    while len(ordered) < len(names):
        ready = [
            name
            for name in names
            if name not in ordered and all(t.source in ordered for t in transfers if t.target == name)
        ]
        if not ready:
            raise ConfigError("the transfers form a cycle", where="teacher.transfers", fix="remove one of them")
        ordered += ready
    return tuple(ordered)


def parameter_table(model: PLE) -> dict[str, int]:
    """Return the number of trainable parameters per part, and their ``total``."""
    table: dict[str, int] = {f"expert {name}": _count(expert) for name, expert in model.experts.items()}
    table["task experts"] = _count(model.own)
    table["gates"] = _count(model.gates) + (_count(model.shared_gate) if model.shared_gate is not None else 0)
    for index, layer in enumerate([*model.layers, *model.fusions], start=2):
        table[f"layer {index}"] = _count(layer)
    table["group encoders"] = _count(model.encoders)
    table["transfers"] = _count(model.carriers)
    table["towers and heads"] = _count(model.towers)
    return {**table, "total": _count(model)}


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
