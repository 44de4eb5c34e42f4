"""Converts the lists of held products in raw snapshots to flags."""

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
        Name of the partition in errors.

    Raises
    ------
    LakeError
        A list names a product that the catalogue does not have.
    """
    flags = np.zeros((len(held), products), dtype=bool)
    owner, ids = pc.list_parent_indices(held).to_numpy(), pc.list_flatten(held).to_numpy()
    require_known(int(((ids < 0) | (ids >= products)).sum()), products, where=where)
    flags[owner, ids] = True
    return flags


def require_known(unknown: int, products: int, *, where: str) -> None:
    """Refuse a partition in which so many held products are not in the catalogue.

    Raises
    ------
    LakeError
        There is one.
    """
    if unknown:
        raise LakeError(
            f"{unknown} held products have an id outside 0..{products - 1}",
            where=where,
            fix="list the products in the data set's YAML and ingest the month again",
        )
