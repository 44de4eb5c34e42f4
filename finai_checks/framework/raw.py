"""Raw tables as checks read them: one that the data set declares not to have is a table without rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import CATEGORIES, PRODUCTS, TRANSACTIONS, table_name
from finai_assets.features.reading import read_range
from finai_assets.ingest import contract
from finai_assets.settings import Settings
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

_SCHEMAS = {
    TRANSACTIONS: contract.TRANSACTIONS,
    PRODUCTS: contract.PRODUCTS,
    CATEGORIES: contract.MERCHANT_CATEGORIES,
}


def is_absent(settings: Settings, asset: str) -> bool:
    """Return whether the data set declares not to have a raw table."""
    return table_name(asset) in settings.dataset.unavailable_tables


def catalogue_table(session: LakeSession, settings: Settings, asset: str) -> pa.Table:
    """Return the products or the merchant categories."""
    return _SCHEMAS[asset].empty_table() if is_absent(settings, asset) else session.read(asset)


def sampled_rows(session: LakeSession, asset: str, month: Month, sample: np.ndarray) -> pa.Table:
    """Return the rows of some customers, given by ascending ids; only row groups that reach into their range are decoded."""
    table = read_range(session, asset, month, int(sample[0]), int(sample[-1]))
    return table.filter(pc.is_in(table["customer_id"], value_set=pa.array(sample)))


def sampled_transactions(session: LakeSession, settings: Settings, month: Month, sample: np.ndarray) -> pa.Table:
    """Return the transactions of some customers, given by ascending ids."""
    if is_absent(settings, TRANSACTIONS):
        return contract.TRANSACTIONS.empty_table()
    return sampled_rows(session, TRANSACTIONS, month, sample)
