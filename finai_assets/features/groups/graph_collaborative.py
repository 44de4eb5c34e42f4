"""LightGCN embedding of the customer-product graph.

The graph is that of train: one node a customer, with the holdings of its latest sampled row, and one a product. A customer's
embedding is inductive, by the same formula whether it was in train or not: ``sum over held products i of T_i / sqrt(|N_u|)``,
the mean of the layers 1 .. K of a node appended to the graph whose products keep their layers and degrees (`T` is
``lightgcn.Model.inductive_table``). The layer 0, which only customers of train have, takes no part. ``|N_u|`` counts the held
products that someone in train held: the others are no nodes of the graph. Who holds no such product is at the origin.

The embeddings span at most as many directions as there are products, whatever the width. The degree makes the map from the
held set to them non-linear, but only by a length.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import HELD
from finai_assets.features.methods.lightgcn import train
from finai_assets.features.registry import Column, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the propagated embedding, the degree, and the mean popularity of the held products."""
    embedding = tuple(
        Column(f"graph_{k:02d}", "graph_collaborative", "continuous", "1",
               f"Component {k} of the embedding propagated from the held products", f"유사 고객 특성 {k}", (HELD,), None,
               "train", "never missing")
        for k in range(settings.feature_groups.graph_collaborative.width)
    )  # fmt: skip
    return (
        *embedding,
        Column("graph_degree", "graph_collaborative", "count", "1", "Degree in the customer-product graph",
               "연결 상품 수", (HELD,), None, "none", "never missing", low=0),
        Column("graph_mean_popularity", "graph_collaborative", "share", "1",
               "Mean train share of customers that hold the held products", "보유 상품 평균 인기도", (HELD,), None, "train",
               "never missing", low=0, high=1),
    )  # fmt: skip


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Train LightGCN on the latest row of each sampled customer.

    Returns
    -------
    dict
        ``inductive_table`` float64 [products, width]: what a held product adds, times ``sqrt(|N_u|)``;
        ``product_embedding`` float64 [products, width]: its dot product with a customer's embedding ranks products;
        ``popularity`` float64 [products]: share of the train customers that hold it.
    """
    held = latest_holdings(blocks)
    model, _ = train(held, settings.feature_groups.graph_collaborative, settings.seed)
    return {
        "inductive_table": model.inductive_table,
        "product_embedding": model.product_embedding,
        "popularity": held.sum(axis=0) / len(held),
    }


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, width + 2]."""
    table, popularity = params["inductive_table"], params["popularity"]
    out = np.empty((len(block), table.shape[1] + 2), np.float32, order="F")
    _embed(np.ascontiguousarray(block.held[:, -1]), np.ascontiguousarray(table.T), popularity, out)
    return out


def latest_holdings(blocks: Sequence[Block]) -> np.ndarray:
    """Return uint8 [customers, products]: the holdings of each customer's latest row, ascending by customer."""
    customer = np.concatenate([block.customer_id for block in blocks])
    month = np.concatenate([np.full(len(block), block.month.ordinal) for block in blocks])
    order = np.lexsort((month, customer))
    last = np.append(customer[order[1:]] != customer[order[:-1]], True)
    return np.concatenate([block.held[:, -1] for block in blocks])[order[last]]


@numba.njit(cache=True, nogil=True)
def _embed(held: Any, table: Any, popularity: Any, out: Any) -> None:
    """Fill ``out`` column by column, as it lies in memory; ``table`` is [width, products]."""
    customers, width = len(held), len(table)
    start = np.zeros(customers + 1, np.int64)
    product = np.empty(held.size, np.int64)
    scale = np.zeros(customers)
    edges = 0
    for u in range(customers):
        degree, total = 0, 0.0
        for i in range(held.shape[1]):
            if held[u, i]:
                degree += 1
                total += popularity[i]
                if popularity[i] > 0:
                    product[edges] = i
                    edges += 1
        start[u + 1] = edges
        if edges > start[u]:
            scale[u] = 1 / np.sqrt(edges - start[u])
        out[u, width] = degree
        out[u, width + 1] = total / degree if degree else 0.0
    for c in range(width):
        for u in range(customers):
            value = 0.0
            for e in range(start[u], start[u + 1]):
                value += table[c, product[e]]
            out[u, c] = scale[u] * value
