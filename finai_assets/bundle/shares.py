"""How often each product is taken up: counts over train months, from which ranking makes its shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.settings import Settings
from finai_resources.errors import GateError
from finai_resources.months import Month
from finai_resources.warehouse import Warehouse

ACQUIRED = """
    SELECT product, count(*) AS customers
    FROM (
        SELECT customer_id, unnest(held) AS product FROM raw.snapshots
        WHERE month = $later AND customer_id IN (SELECT customer_id FROM raw.snapshots WHERE month = $month)
        EXCEPT
        SELECT customer_id, unnest(held) FROM raw.snapshots WHERE month = $month
    )
    GROUP BY product
"""


def acquisition_shares(warehouse: Warehouse, months: Sequence[Month], settings: Settings) -> np.ndarray:
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
        window = {"month": month.key, "later": (month + settings.horizon_months).key}
        acquired = warehouse.query(ACQUIRED, window, reads={SNAPSHOTS: list(window.values())})
        counts[acquired["product"].to_numpy()] += acquired["customers"].to_numpy()
    return counts
