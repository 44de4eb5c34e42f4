"""Held products of a block's customers over the months of the look-back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba
import numpy as np
import pyarrow as pa

from finai_assets.features.events import locate
from finai_assets.features.inputs import SNAPSHOTS
from finai_assets.features.reading import read_row_groups
from finai_resources.errors import LakeError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month


def read_held(
    session: LakeSession, months: Sequence[Month], ids: np.ndarray, products: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return ``held`` uint8 [n, months, products] and ``observed`` bool [n, months].

    Raises
    ------
    LakeError
        A month is absent, or a snapshot names a product that the catalogue does not have.
    """
    held = np.zeros((len(ids), len(months), products), np.uint8)
    observed = np.zeros((len(ids), len(months)), np.bool_)
    if not len(ids):
        return held, observed
    for position, month in enumerate(months):
        table = read_row_groups(session, SNAPSHOTS, month, int(ids[0]), int(ids[-1]), columns=["customer_id", "held"])
        for batch in table.to_batches():
            customer = batch.column(0).to_numpy()
            lists = batch.column(1)
            if lists.null_count:
                lists = pa.array([entry or [] for entry in lists.to_pylist()], lists.type)
            local = np.empty(len(customer), np.int32)
            locate(ids, customer, local)
            unknown = _mark(
                local, lists.offsets.to_numpy(), lists.values.to_numpy(), held[:, position], observed[:, position]
            )
            if unknown:
                raise LakeError(
                    f"{unknown} held products have an id outside 0..{products - 1}",
                    where=f"{SNAPSHOTS}@{month.key}",
                    fix="list the products in the data set's YAML and ingest the month again",
                )
    return held, observed


@numba.njit(cache=True, nogil=True)
def _mark(local: Any, offsets: Any, values: Any, held: Any, observed: Any) -> int:
    """Set the flags of the rows that belong to the block; return how many product ids are out of range."""
    unknown = 0
    for row in range(len(local)):
        i = local[row]
        if i < 0:
            continue
        observed[i] = True
        for k in range(offsets[row], offsets[row + 1]):
            if 0 <= values[k] < held.shape[1]:
                held[i, values[k]] = 1
            else:
                unknown += 1
    return unknown
