"""The embedding of the customers that a graph was built from, which no feature reads: features embed by the products held."""

from __future__ import annotations

import numpy as np

from finai_assets.features.methods.lightgcn import Model, add_from_products


def customer_embedding(model: Model) -> np.ndarray:
    """Return the mean of the layers 0 .. K of the graph's customers, float [customers, width]."""
    total = model.customers.copy()
    add_from_products(model.graph.arrays, model.sent.astype(total.dtype), total)
    return total / total.dtype.type(len(model.products))
