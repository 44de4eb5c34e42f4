"""Side tensors read back as one array."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.ipc as pa_ipc

from finai_assets.features.tensors import Tensor
from finai_resources.lake_session import LakeSession


def read_tensor(session: LakeSession, asset: str, partition: str, tensor: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Return ``customer_id`` int64 [n] and the values float32 [n, *shape] of a stored partition."""
    table = pa_ipc.open_file(pa.BufferReader(session.read_bytes(asset, partition, tensor.role))).read_all()
    ids = table["customer_id"].to_numpy()
    parts = [chunk.flatten().to_numpy() for chunk in table["values"].chunks]
    flat = np.concatenate(parts) if parts else np.empty(0, np.float32)
    return ids, flat.reshape(len(ids), *tensor.shape)
