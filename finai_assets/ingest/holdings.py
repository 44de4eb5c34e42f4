"""Lists of held products, as the raw snapshots have them, turned into flags."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_resources.errors import LakeError


def multi_hot(held: pa.ChunkedArray, products: int, *, where: str) -> np.ndarray:
    """Return which products each row holds, bool [rows, products]; a null list holds nothing.

    Parameters
    ----------
    held : list of int16
    products
        How many there are; their ids are ``0..products - 1``.
    where
        The partition, for errors.

    Raises
    ------
    LakeError
        A list names a product that the catalogue does not have.
    """
    flags = np.zeros((len(held), products), dtype=bool)
    owner, ids = pc.list_parent_indices(held).to_numpy(), pc.list_flatten(held).to_numpy()
    unknown = int(((ids < 0) | (ids >= products)).sum())
    if unknown:
        raise LakeError(
            f"{unknown} held products have an id outside 0..{products - 1}",
            where=where,
            fix="list the products in the data set's YAML and ingest the month again",
        )
    flags[owner, ids] = True
    return flags
