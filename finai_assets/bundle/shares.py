"""How often each product is taken up: counts over train months, from which ranking makes its shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.ingest.holdings import multi_hot
from finai_assets.settings import Settings
from finai_resources.errors import GateError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month


def acquisition_shares(session: LakeSession, months: Sequence[Month], settings: Settings) -> np.ndarray:
    """Count the acquisitions of each product in the label windows of some months.

    A product is acquired in the window of month m where it is held at its end and not at m. Only customers of month m count,
    and both ends of each window lie in or right after the given months, so train months give train counts.

    Returns
    -------
    int64 [products]

    Raises
    ------
    GateError
        A month is not a train month.
    """
    train = settings.dataset.splits.train
    if outside := [month.key for month in months if month not in train]:
        raise GateError(
            f"{len(outside)} months lie outside train: {', '.join(outside[:5])}",
            where="acquisition shares",
            fix=f"count over train months alone ({train.first}..{train.last})",
        )
    counts = np.zeros(len(settings.products), dtype=np.int64)
    for month in months:
        ids, held = _held(session, month, settings)
        later_ids, later_held = _held(session, month + settings.horizon_months, settings)
        place = np.minimum(np.searchsorted(later_ids, ids), max(0, len(later_ids) - 1))
        stayed = later_ids[place] == ids if len(later_ids) else np.zeros(len(ids), dtype=bool)
        counts += (later_held[place[stayed]] & ~held[stayed]).sum(axis=0, dtype=np.int64)
    return counts


def _held(session: LakeSession, month: Month, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return customer ids int64 [n], ascending, and what they hold as bool [n, products]."""
    table: pa.Table = session.read(SNAPSHOTS, month.key, columns=["customer_id", "held"])
    held = multi_hot(table["held"], len(settings.products), where=f"{SNAPSHOTS}@{month.key}")
    return table["customer_id"].to_numpy(), held
