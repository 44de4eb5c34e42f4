"""Slices a normalised row into the input of each expert, by the groups of its configured route."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor, nn

from finai_assets.teacher.layout import DAYS, Channel
from finai_assets.teacher.normalise import Normaliser
from finai_resources.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Days:
    """The scalar channel of a sequence that holds days before the cutoff, and how the normaliser standardised it."""

    channel: int
    mean: float
    std: float

    def of(self, scalars: Tensor) -> Tensor:
        """Return days, float [n, steps], of channels float [n, channels, steps]; steps beyond the length are meaningless."""
        return scalars[:, self.channel] * self.std + self.mean


@dataclass(frozen=True, slots=True)
class SequenceSlots:
    """Positions of one sequence in a normalised row: channels [channels][steps], and its length."""

    scalars: tuple[tuple[int, ...], ...]
    codes: tuple[tuple[int, ...], ...]
    code_sizes: tuple[int, ...]
    length: int
    steps: int
    days: Days | None = None


@dataclass(frozen=True, slots=True)
class TensorSlots:
    """The place of a side tensor in a normalised row: its values stand side by side from ``first`` on."""

    name: str
    first: int
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Route:
    """The positions in a normalised row that one expert reads.

    ``scalars`` are values (log copies included), ``codes`` are categories with tables of ``code_sizes`` rows, ``tensors`` are
    the side tensors of the groups, ``names`` the columns that the scalars stand for (a log copy bears its column's name).
    """

    groups: tuple[str, ...]
    scalars: tuple[int, ...]
    codes: tuple[int, ...]
    code_sizes: tuple[int, ...]
    sequences: tuple[SequenceSlots, ...]
    tensors: tuple[TensorSlots, ...] = ()
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SequenceInput:
    """Steps newest first: ``scalars`` float [n, channels, steps], ``codes`` int64 [n, channels, steps], ``length`` int64 [n]."""

    scalars: Tensor
    codes: Tensor
    length: Tensor


@dataclass(frozen=True, slots=True)
class Routed:
    """The input of one expert from a batch: ``scalars`` float [n, s], ``codes`` int64 [n, c], sequences, and side tensors.

    ``tensors`` holds float [n, *shape] by ``<group>.<tensor>``.
    """

    scalars: Tensor
    codes: Tensor
    sequences: tuple[SequenceInput, ...]
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


def make_route(groups: tuple[str, ...], normaliser: Normaliser, *, known: tuple[str, ...] | None = None) -> Route:
    """Find the columns of some groups in the normaliser's output.

    Groups that are in ``known`` without having columns here (a data set may be unable to carry any) are left out.

    Raises
    ------
    ConfigError
        A group is unknown, or no group has a column.
    """
    layout = normaliser.layout
    present = set(layout.groups)
    if known is not None and (strange := sorted(set(groups) - set(known))):
        raise ConfigError(f"unknown groups {strange}", where="teacher.routing", fix=f"choose from {', '.join(known)}")
    wanted = set(groups) & present
    if not wanted:
        raise ConfigError(
            f"none of the groups {list(groups)} has a column here", where="teacher.routing", fix="route one"
        )
    d = len(layout.columns)
    in_sequence = {p for sequence in layout.sequences for p in sequence.positions}
    plain = [j for j in range(d) if layout.groups[j] in wanted and j not in in_sequence]
    codes = tuple(j for j in plain if layout.kinds[j] == "code")
    logs = [d + k for k, j in enumerate(normaliser.log_of) if layout.groups[j] in wanted]
    sequences = []
    for index, sequence in enumerate(layout.sequences):
        if sequence.group not in wanted:
            continue
        coded = [channel for channel in sequence.channels if channel.kind == "code"]
        scalars = [channel for channel in sequence.channels if channel.kind != "code"]
        sequences.append(
            SequenceSlots(
                scalars=tuple(channel.positions for channel in scalars),
                codes=tuple(channel.positions for channel in coded),
                code_sizes=tuple(int(normaliser.codes[channel.positions[0]]) for channel in coded),
                length=d + len(normaliser.log_of) + index,
                steps=sequence.steps,
                days=_days(scalars, normaliser),
            )
        )
    values = [j for j in plain if layout.kinds[j] != "code"]
    logged = [j for j in normaliser.log_of if layout.groups[j] in wanted]
    first, tensors = d + len(normaliser.log_of) + len(layout.sequences), []
    for tensor in layout.tensors:
        if tensor.group in wanted:
            tensors.append(TensorSlots(f"{tensor.group}.{tensor.name}", first, tensor.shape))
        first += prod(tensor.shape)
    return Route(
        groups=tuple(group for group in groups if group in wanted),
        scalars=tuple(values + logs),
        codes=codes,
        code_sizes=tuple(int(normaliser.codes[j]) for j in codes),
        sequences=tuple(sequences),
        tensors=tuple(tensors),
        names=tuple(layout.columns[j] for j in [*values, *logged]),
    )


def _days(channels: list[Channel], normaliser: Normaliser) -> Days | None:
    for index, channel in enumerate(channels):
        if channel.unit == DAYS:
            first = channel.positions[0]  # a channel is standardised as a whole
            return Days(index, float(normaliser.mean[first]), float(normaliser.std[first]))
    return None


class FeatureRouter(nn.Module):
    """Slices a batch by route.

    Parameters
    ----------
    routes : dict of Route
        One per expert name.

    Examples
    --------
    >>> route = Route(("a",), scalars=(0, 2), codes=(1,), code_sizes=(5,), sequences=())
    >>> routed = FeatureRouter({"mlp": route})(torch.tensor([[0.5, 3.0, 1.0]]))["mlp"]
    >>> routed.scalars.shape, routed.codes.tolist()
    (torch.Size([1, 2]), [[3]])
    """

    def __init__(self, routes: dict[str, Route]) -> None:
        super().__init__()
        self.slices = nn.ModuleDict({name: _Slice(route) for name, route in routes.items()})

    def forward(self, x: Tensor) -> dict[str, Routed]:
        """Slice ``x`` float [n, width] into the input of each route."""
        return {name: cut(x) for name, cut in self.slices.items()}


class _Slice(nn.Module):
    """One route's slices. Its positions are buffers, so that they move with the model; they are not stored."""

    scalars: Tensor
    codes: Tensor

    def __init__(self, route: Route) -> None:
        super().__init__()
        self.route = route
        self._keep("scalars", route.scalars)
        self._keep("codes", route.codes)
        for index, slots in enumerate(route.sequences):
            self._keep(f"scalars_{index}", _flat(slots.scalars))
            self._keep(f"codes_{index}", _flat(slots.codes))

    def forward(self, x: Tensor) -> Routed:
        return Routed(
            scalars=x.index_select(1, self.scalars),
            codes=x.index_select(1, self.codes).long(),
            sequences=tuple(self._sequence(x, index, slots) for index, slots in enumerate(self.route.sequences)),
            tensors={
                slots.name: x[:, slots.first : slots.first + prod(slots.shape)].reshape(len(x), *slots.shape)
                for slots in self.route.tensors
            },
        )

    def _sequence(self, x: Tensor, index: int, slots: SequenceSlots) -> SequenceInput:
        scalars = x.index_select(1, self.get_buffer(f"scalars_{index}"))
        codes = x.index_select(1, self.get_buffer(f"codes_{index}"))
        return SequenceInput(
            scalars=scalars.view(len(x), len(slots.scalars), slots.steps),
            codes=codes.view(len(x), len(slots.codes), slots.steps).long(),
            length=x[:, slots.length].long(),
        )

    def _keep(self, name: str, positions: tuple[int, ...]) -> None:
        self.register_buffer(name, torch.tensor(positions, dtype=torch.int64), persistent=False)


def _flat(channels: tuple[tuple[int, ...], ...]) -> tuple[int, ...]:
    return tuple(position for channel in channels for position in channel)
