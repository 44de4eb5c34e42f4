"""Counts the acquisitions of each product over train months, from which ranking computes its shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.ingest.holdings import require_known
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
UNKNOWN = """
    SELECT count(*) AS products FROM (SELECT unnest(held) AS product FROM raw.snapshots)
    WHERE product < 0 OR product >= $products
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
    LakeError
        A customer holds a product that the catalogue does not have.
    """
    train = settings.dataset.splits.train
    if outside := [month.key for month in months if month not in train]:
        raise GateError(
            f"{len(outside)} months lie outside train: {', '.join(outside[:5])}",
            where="acquisition shares",
            fix=f"count over train months alone ({train.first}..{train.last})",
        )
    products = len(settings.products)
    counts = np.zeros(products, dtype=np.int64)
    for month in months:
        window = {"month": month.key, "later": (month + settings.horizon_months).key}
        reads = {SNAPSHOTS: list(window.values())}
        unknown = warehouse.query(UNKNOWN, {"products": products}, reads=reads)["products"][0].as_py()
        require_known(unknown, products, where=f"{SNAPSHOTS}@{', '.join(window.values())}")
        acquired = warehouse.query(ACQUIRED, window, reads=reads)
        counts[acquired["product"].to_numpy()] += acquired["customers"].to_numpy()
    return counts
