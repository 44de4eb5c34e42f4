"""The inputs of the teacher that receive attributions, their positions in a normalised row, and their baseline.

An input is a plain column (with its log copy), one channel of a transaction sequence (all its steps), the length of a sequence,
or a side tensor. Inputs that no expert reads are left out: an order that masks at random would waste itself on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np
import torch
from torch import Tensor

from finai_assets.asset_graph import EXPLANATIONS
from finai_assets.features.sampling import customer_hash, splitmix64
from finai_assets.teacher.layout import Channel, Layout
from finai_assets.teacher.network.router import Route
from finai_assets.teacher.normalise import Normaliser
from finai_resources.errors import GateError
from finai_resources.months import Month

_CHUNK_ROWS = 4096
_DIAGRAMS = "diagrams"  # a mean of point sets is none: their baseline is the empty diagram


@dataclass(frozen=True)
class Inputs:
    """The inputs that some expert reads.

    Parameters
    ----------
    names, groups : tuple of str [inputs]
    discrete : bool [inputs]
        Codes and lengths: whole numbers, that nothing lies between.
    owner : int64 [width]
        The input that each position of a normalised row belongs to, -1 where no expert reads it.
    mean_has_no_meaning : bool [width]
        Positions whose baseline is 0 and not a mean: codes (0 is missing) and persistence diagrams (0 is empty).
    lengths : int64
        Positions of the lengths.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    discrete: np.ndarray
    owner: np.ndarray
    mean_has_no_meaning: np.ndarray
    lengths: np.ndarray

    @classmethod
    def of(cls, normaliser: Normaliser, routes: tuple[Route, ...]) -> Inputs:
        """Find the inputs of a teacher whose experts have these routes.

        Raises
        ------
        GateError
            No expert reads anything.
        """
        layout, d = normaliser.layout, len(normaliser.mode)
        first_length = d + len(normaliser.log_of)
        read = _read_positions(routes, normaliser.width)
        found: list[tuple[str, str, bool, list[int]]] = []
        in_sequence = {position for sequence in layout.sequences for position in sequence.positions}
        logs = {int(column): d + index for index, column in enumerate(normaliser.log_of)}
        for j in range(d):
            if j not in in_sequence:
                places = [j, logs[j]] if j in logs else [j]
                found.append((layout.columns[j], layout.groups[j], layout.kinds[j] == "code", places))
        for index, sequence in enumerate(layout.sequences):
            found += [
                (name_of(channel), sequence.group, channel.kind == "code", list(channel.positions))
                for channel in sequence.channels
            ]
            found.append((f"{sequence.group}: length", sequence.group, True, [first_length + index]))
        at, empty = normaliser.tensors_first, []
        for tensor in layout.tensors:
            places = list(range(at, at + tensor.size))
            found.append((f"{tensor.group}.{tensor.name}", tensor.group, False, places))
            empty += places if tensor.name == _DIAGRAMS else []
            at += tensor.size
        kept = [entry for entry in found if read[entry[3]].any()]
        if not kept:
            raise GateError("no expert reads an input", where="teacher", fix="route groups to the experts")
        owner = np.full(normaliser.width, -1, dtype=np.int64)
        for number, (_, _, _, places) in enumerate(kept):
            owner[places] = number
        lengths = np.arange(first_length, first_length + len(layout.sequences))
        without_mean = np.zeros(normaliser.width, dtype=bool)
        without_mean[[*empty, *np.flatnonzero(np.array(layout.kinds) == "code")]] = True
        return cls(
            names=tuple(entry[0] for entry in kept),
            groups=tuple(entry[1] for entry in kept),
            discrete=np.array([entry[2] for entry in kept]),
            owner=owner,
            mean_has_no_meaning=without_mean,
            lengths=lengths,
        )

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def turns(self) -> np.ndarray:
        """Return the number of each input among the discrete inputs, int64 [inputs]; -1 of the others."""
        return np.where(self.discrete, np.cumsum(self.discrete) - 1, -1)

    @cached_property
    def turn_of(self) -> np.ndarray:
        """Return the number among the discrete inputs of each position's input, int64 [width]; -1 of the others."""
        return np.where(self.owner >= 0, self.turns[self.owner], -1)

    def add_up(self, values: Tensor) -> Tensor:
        """Add up the values at the positions of each input, float [n, width] -> float [n, inputs]."""
        kept = torch.from_numpy(np.flatnonzero(self.owner >= 0))
        total = values.new_zeros(len(values), len(self))
        return total.index_add_(1, torch.from_numpy(self.owner)[kept], values[:, kept])

    def masked(self, x: Tensor, baseline: Tensor, mask: Tensor) -> Tensor:
        """Replace the inputs that ``mask`` bool [n, inputs] names by the baseline float [width]."""
        padded = torch.nn.functional.pad(mask, (0, 1))  # owner -1: read by no expert, never masked
        return torch.where(padded[:, torch.from_numpy(self.owner)], baseline, x)

    def baseline(self, X: np.ndarray, side: np.ndarray | None, rows: np.ndarray, normaliser: Normaliser) -> np.ndarray:
        """Return the mean normalised row of some (train) rows, float32 [width].

        Codes are 0 (missing), persistence diagrams empty, and the length of a sequence is the mean, rounded.

        Raises
        ------
        GateError
            There are no rows.
        """
        if not len(rows):
            raise GateError("there are no rows to take the mean of", where=EXPLANATIONS, fix="widen train")
        total = np.zeros(normaliser.width)
        for start in range(0, len(rows), _CHUNK_ROWS):
            at = rows[start : start + _CHUNK_ROWS]
            total += normaliser.transform(X[at], None if side is None else side[at]).sum(axis=0, dtype=np.float64)
        mean = np.where(self.mean_has_no_meaning, 0.0, total / len(rows))
        mean[self.lengths] = np.round(mean[self.lengths])
        return mean.astype(np.float32)


def name_of(channel: Channel) -> str:
    """Return the name of the input that all steps of a channel make together."""
    return channel.name.replace("_#", "").replace("#", "")


def input_of_columns(layout: Layout) -> dict[str, str]:
    """Return the input that each column of the matrix is part of: itself, or its channel of a sequence."""
    found = dict(zip(layout.columns, layout.columns, strict=True))
    for sequence in layout.sequences:
        for channel in sequence.channels:
            found |= dict.fromkeys((layout.columns[position] for position in channel.positions), name_of(channel))
    return found


def _read_positions(routes: tuple[Route, ...], width: int) -> np.ndarray:
    """Return whether some route reads each position of a normalised row, bool [width]."""
    read = np.zeros(width, dtype=bool)
    for route in routes:
        read[[*route.scalars, *route.codes]] = True
        for slots in route.sequences:
            read[[p for channel in (*slots.scalars, *slots.codes) for p in channel]] = True
            read[slots.length] = True
        for tensor in route.tensors:
            read[tensor.first : tensor.first + prod(tensor.shape)] = True
    return read


def row_orders(customer: np.ndarray, month: np.ndarray, count: int, *, seed: int, salt: str) -> np.ndarray:
    """Return a random order of ``count`` things for each row, the same whatever other rows there are, int64 [n, count].

    Parameters
    ----------
    customer : int64 [n]
    month : str [n]
        ``2015-01``.
    salt : str
        Separates uses.
    """
    keys = np.empty(len(customer), dtype=np.uint64)
    for name in np.unique(month):
        at = month == name
        keys[at] = customer_hash(customer[at], seed=seed, salt=salt, month=Month.parse(str(name)))
    marks = splitmix64(keys[:, None] ^ splitmix64(np.arange(count, dtype=np.uint64))[None])
    return np.argsort(marks, axis=1, kind="stable")
