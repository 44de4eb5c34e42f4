"""Side tensors: a group's values of a customer that are no column, stored beside its columns under the same manifest.

A tensor is an Arrow file of its own role (``<name>.arrow``) in the group's partition: one record batch for each block, with
``customer_id`` and the values flattened to a list of fixed length.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.ipc as pa_ipc

from finai_resources.partition_writer import PartitionWriter

_OPTIONS = pa_ipc.IpcWriteOptions(compression="zstd")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A side tensor of a group.

    Parameters
    ----------
    name : str
        Unique within its group.
    shape : tuple of int
        For one customer.
    description : str
        Meaning of the axes, and the value where there is nothing.
    """

    name: str
    shape: tuple[int, ...]
    description: str

    @property
    def role(self) -> str:
        """Return the name of the stored file."""
        return f"{self.name}.arrow"

    @property
    def schema(self) -> pa.Schema:
        """Return the columns of the stored file."""
        metadata = {"shape": ",".join(map(str, self.shape)), "description": self.description}
        values = pa.list_(pa.field("item", pa.float32(), nullable=False), prod(self.shape))
        return pa.schema([pa.field("customer_id", pa.int64(), nullable=False), pa.field("values", values)], metadata)


@contextmanager
def tensor_writer(partition: PartitionWriter, tensor: Tensor) -> Iterator[pa_ipc.RecordBatchFileWriter]:
    """Open a tensor's file in a partition that is being written."""
    with pa_ipc.new_file(partition.new_file(tensor.role), tensor.schema, options=_OPTIONS) as writer:
        yield writer


def tensor_batch(tensor: Tensor, customer_id: np.ndarray, values: np.ndarray) -> pa.RecordBatch:
    """Return the values of a block, float32 [n, *shape], as they are stored.

    Raises
    ------
    ValueError
        The values have another shape, or are not all finite.
    """
    if values.shape != (len(customer_id), *tensor.shape):
        raise ValueError(f"tensor {tensor.name}: {values.shape} is not {(len(customer_id), *tensor.shape)}")
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    if not np.isfinite(flat).all():
        raise ValueError(f"tensor {tensor.name}: {int((~np.isfinite(flat)).sum())} values are not finite")
    kind = tensor.schema.field("values").type
    lists = pa.FixedSizeListArray.from_arrays(pa.array(flat), type=kind)
    return pa.record_batch([pa.array(customer_id, pa.int64()), lists], schema=tensor.schema)
