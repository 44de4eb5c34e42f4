"""Held products of a block's customers over the months of the look-back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from finai_assets.features.events import locate
from finai_assets.features.inputs import SNAPSHOTS
from finai_assets.features.reading import read_row_groups
from finai_assets.ingest.holdings import multi_hot
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
        local = np.empty(len(table), np.int32)
        locate(ids, table["customer_id"].to_numpy(), local)
        known = local >= 0
        rows, lists = local[known], table["held"].filter(pa.array(known))
        held[rows, position] = multi_hot(lists, products, where=f"{SNAPSHOTS}@{month.key}")
        observed[rows, position] = True
    return held, observed
