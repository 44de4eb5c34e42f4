"""The Arrow schema of each raw table whose columns the data contract fixes, by the path of its asset."""

from __future__ import annotations

import pyarrow as pa

from finai_assets import asset_graph as paths
from finai_assets.ingest import contract

SCHEMAS: dict[str, pa.Schema] = {  # raw/protected_attributes has the columns that a source delivers
    paths.PRODUCTS: contract.PRODUCTS,
    paths.PRODUCT_TERMS: contract.PRODUCT_TERMS,
    paths.CATEGORIES: contract.MERCHANT_CATEGORIES,
    paths.SNAPSHOTS: contract.SNAPSHOTS,
    paths.TRANSACTIONS: contract.TRANSACTIONS,
    paths.RISK_PROFILES: contract.RISK_PROFILES,
    paths.CONSENTS: contract.CONSENTS,
    paths.CONTACTS: contract.CONTACTS,
    paths.ASSET_BANDS: contract.ASSET_BANDS,
}
