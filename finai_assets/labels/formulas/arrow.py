"""Labels as Arrow arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def floats(values: np.ndarray, defined: np.ndarray | None = None) -> pa.Array:
    """Return numbers or truth values as float32, null where not defined."""
    return pa.array(values.astype(np.float32), pa.float32(), mask=None if defined is None else ~defined)
