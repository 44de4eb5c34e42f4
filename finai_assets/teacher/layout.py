"""The layout of a row of the training matrix: its columns, their kinds, and the transaction sequences among them.

Only positions and kinds live here. Fitted figures belong in ``normalise.py``, the slices of an expert in ``router.py``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finai_assets.asset_graph import MATRIX
from finai_assets.training.side import SideTensor, routed_tensors, width_of
from finai_resources.errors import ConfigError, GateError

if TYPE_CHECKING:
    from finai_assets.features.registry import Registry
    from finai_assets.settings import Settings
    from finai_assets.settings.method import TeacherSettings

DAYS = "days"  # the unit of a sequence's ages
WITHHELD = "withheld"  # the group of a column that no expert reads
_LAST_NUMBER = re.compile(r"^(.*?)(\d+)(\D*)$")


@dataclass(frozen=True, slots=True)
class Channel:
    """One quantity of a sequence: its kind and unit, and its matrix position at each step, newest first."""

    name: str
    kind: str
    unit: str
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Sequence:
    """A group whose columns are the steps of a customer's last transactions."""

    group: str
    steps: int
    channels: tuple[Channel, ...]

    @property
    def positions(self) -> tuple[int, ...]:
        """Return the matrix positions of all channels."""
        return tuple(position for channel in self.channels for position in channel.positions)


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of the training matrix as the teacher sees them.

    Parameters
    ----------
    columns, groups, kinds : tuple of str, one per matrix column
        A column that the configuration withholds from the models is of the group ``withheld``, to which no expert is routed.
    lows : tuple of float or None
        Smallest value that each column may have, where it is declared.
    sequences : tuple of Sequence
    tensors : tuple of SideTensor
        In the order in which they stand behind the columns.
    """

    columns: tuple[str, ...]
    groups: tuple[str, ...]
    kinds: tuple[str, ...]
    lows: tuple[float | None, ...]
    sequences: tuple[Sequence, ...]
    tensors: tuple[SideTensor, ...] = ()

    @property
    def side_width(self) -> int:
        """Return the number of values in a row's side tensors."""
        return width_of(self.tensors)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "columns": list(self.columns),
            "groups": list(self.groups),
            "kinds": list(self.kinds),
            "lows": list(self.lows),
            "sequences": [
                {
                    "group": sequence.group,
                    "steps": sequence.steps,
                    "channels": [
                        {
                            "name": channel.name,
                            "kind": channel.kind,
                            "unit": channel.unit,
                            "positions": list(channel.positions),
                        }
                        for channel in sequence.channels
                    ],
                }
                for sequence in self.sequences
            ],
            "tensors": [tensor.to_dict() for tensor in self.tensors],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Layout:
        """Read what :meth:`to_dict` wrote."""
        sequences = tuple(
            Sequence(
                sequence["group"],
                sequence["steps"],
                tuple(Channel(c["name"], c["kind"], c["unit"], tuple(c["positions"])) for c in sequence["channels"]),
            )
            for sequence in values["sequences"]
        )
        plain = {name: tuple(values[name]) for name in ("columns", "groups", "kinds", "lows")}
        tensors = tuple(SideTensor.from_dict(tensor) for tensor in values["tensors"])
        return cls(**plain, sequences=sequences, tensors=tensors)


def layout_of(
    registry: Registry, settings: Settings, columns: tuple[str, ...], tensors: tuple[SideTensor, ...] = ()
) -> Layout:
    """Describe the columns of a training matrix, and its side tensors.

    Parameters
    ----------
    columns, tensors
        What the matrix holds, in its order. It may hold tensors that no expert is routed to.

    Raises
    ------
    GateError
        The matrix holds other columns, or another order, than the registry, or lacks a tensor that an expert is routed to.
    ConfigError
        A sequence group lacks some of its steps.
    """
    if columns != registry.names:
        differ = sorted(set(columns) ^ set(registry.names))[:5]
        raise GateError(
            f"the matrix has {len(columns)} columns, the registry {len(registry.names)}; they differ in {differ or 'order'}",
            where=MATRIX,
            fix="materialise the training matrix again with this configuration",
        )
    if absent := [tensor for tensor in routed_tensors(registry, settings) if tensor not in tensors]:
        raise GateError(
            f"the matrix does not hold {', '.join(f'{t.group}.{t.name} {t.shape}' for t in absent)}",
            where=MATRIX,
            fix="materialise the training matrix again with this configuration",
        )
    sequences = []
    for group in registry.available:
        if group.name == "txn_lag_tensor":
            steps = settings.feature_groups.txn_lag_tensor.transactions
            sequences.append(_sequence(group.name, steps, registry))
    return Layout(
        columns=columns,
        groups=tuple(
            WITHHELD if settings.inputs.withholds(column.name) else column.group for column in registry.columns
        ),
        kinds=tuple(column.kind for column in registry.columns),
        lows=tuple(column.low for column in registry.columns),
        sequences=tuple(sequences),
        tensors=tensors,
    )


def require_readers(layout: Layout, registry: Registry, settings: TeacherSettings) -> None:
    """Refuse a layout with a group that no expert reads, unless the configuration says why none does.

    A new group reaches no model until somebody routes it to an expert, and nothing else would show that.

    Raises
    ------
    ConfigError
        Names the groups that no expert reads, or the entries of ``teacher.unread_groups`` that are no group.
    """
    known = [group.name for group in registry.groups]
    if strange := sorted(set(settings.unread_groups) - set(known)):
        raise ConfigError(
            f"unknown groups {strange}", where="teacher.unread_groups", fix=f"choose from {', '.join(known)}"
        )
    present = set(layout.groups) - {WITHHELD}
    if unread := sorted(present - settings.read_groups - set(settings.unread_groups)):
        raise ConfigError(
            f"no expert of the teacher reads {', '.join(unread)}",
            where="teacher.routing",
            fix="name each group in the route of an expert, or in teacher.unread_groups with the reason why none reads it",
        )


def _sequence(group: str, steps: int, registry: Registry) -> Sequence:
    """Gather the channels of a sequence group: a column is named by its quantity and, as its last number, its step."""
    found: dict[str, list[tuple[int, int]]] = {}
    for position in registry.positions((group,)):
        column = registry.columns[position]
        match = _LAST_NUMBER.match(column.name)
        if match is None:
            raise ConfigError(
                f"column {column.name!r} has no step number", where=group, fix="end a step's name with its number"
            )
        found.setdefault(f"{match[1]}#{match[3]}", []).append((int(match[2]), position))
    channels = []
    for name, members in found.items():
        members.sort()
        kinds = {registry.columns[position].kind for _, position in members}
        if len(members) != steps or len(kinds) != 1:
            raise ConfigError(
                f"channel {name!r} has {len(members)} steps of kinds {sorted(kinds)}, expected {steps} of one kind",
                where=group,
                fix="declare all steps of a channel, or make all of them unavailable",
            )
        unit = registry.columns[members[0][1]].unit
        channels.append(Channel(name, kinds.pop(), unit, tuple(position for _, position in members)))
    return Sequence(group, steps, tuple(channels))
