"""Side tensors in the training matrix: which of them it holds, where each lies in a row, and how they are gathered.

A row holds its tensors flattened, side by side, in the order of the registry. Only tensors that some expert of the teacher is
routed to are stored; trees and students read columns alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.ipc as pa_ipc

from finai_resources.errors import LakeError

if TYPE_CHECKING:
    from finai_assets.features.registry import Registry
    from finai_assets.settings import Settings
    from finai_resources.lake_session import LakeSession


@dataclass(frozen=True, slots=True)
class SideTensor:
    """A side tensor of a group: ``shape`` is that of one row."""

    group: str
    name: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Return how many values a row has."""
        return prod(self.shape)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"group": self.group, "name": self.name, "shape": list(self.shape)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> SideTensor:
        """Read what :meth:`to_dict` wrote."""
        return cls(values["group"], values["name"], tuple(values["shape"]))


def routed_tensors(registry: Registry, settings: Settings) -> tuple[SideTensor, ...]:
    """Return the tensors of the groups that the teacher's experts are routed to, in the order of the registry."""
    chosen = settings.teacher
    wanted = {group for expert in chosen.experts for group in chosen.routing.get(expert, ())}
    return tuple(
        SideTensor(group.name, tensor.name, tensor.shape)
        for group in registry.available
        if group.name in wanted
        for tensor in group.tensors
    )


def width_of(tensors: Sequence[SideTensor]) -> int:
    """Return how many values a row of all tensors has."""
    return sum(tensor.size for tensor in tensors)


def fill_side(
    session: LakeSession,
    registry: Registry,
    tensors: Sequence[SideTensor],
    month: str,
    customer: np.ndarray,
    rows: np.ndarray,
) -> None:
    """Write the tensors of some customers of a month.

    Parameters
    ----------
    customer : int64 [n]
        Ascending.
    rows : float32 [n, width_of(tensors)]
        Written in place, a stored block at a time.

    Raises
    ------
    LakeError
        A tensor is absent, has another shape than declared, or lacks a customer.
    """
    first = 0
    for tensor in tensors:
        asset, found = registry.group(tensor.group).asset, 0
        where = f"{asset}@{month}"
        for ids, values in _blocks(session, asset, month, f"{tensor.name}.arrow"):
            if values.shape[1:] != (tensor.size,):
                raise LakeError(
                    f"tensor {tensor.name!r} has {values.shape[1]} values a row, {tensor.size} are declared",
                    where=where,
                    fix=f"materialise {asset} again",
                )
            at = np.minimum(np.searchsorted(customer, ids), len(customer) - 1)
            wanted = customer[at] == ids
            rows[at[wanted], first : first + tensor.size] = values[wanted]
            found += int(wanted.sum())
        if found != len(customer):
            raise LakeError(
                f"tensor {tensor.name!r} holds {found} of {len(customer)} customers",
                where=where,
                fix=f"materialise {asset} again",
            )
        first += tensor.size


def _blocks(session: LakeSession, asset: str, partition: str, role: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield ``customer_id`` int64 [n] and flat values float32 [n, size] of each stored block; one is in memory at a time."""
    with pa.memory_map(str(session.local_path(asset, partition, role))) as source:
        stored = pa_ipc.open_file(source)
        for index in range(stored.num_record_batches):
            batch = stored.get_batch(index)
            size = batch.schema.field("values").type.list_size
            yield batch["customer_id"].to_numpy(), batch["values"].flatten().to_numpy().reshape(-1, size)
