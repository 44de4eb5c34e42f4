"""Hyperbolic embedding of the product tree and of co-holding: where the held products lie.

The graph has a root, the families below it, the products below their families, and an edge between products that train
customers hold together more often than chance (positive pointwise mutual information). Its distances are embedded in a
Poincare ball with the root at the origin. A customer without a product is at the origin, with depth 0 and spread 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.features.inputs import FAMILY, HELD
from finai_assets.features.methods.poincare import gyromidpoint, mean_distance
from finai_assets.features.methods.tree_embedding import embed, graph_distances
from finai_assets.features.registry import Column, Params

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings
    from finai_assets.settings.features import ProductHierarchySettings

_THROUGH_ROOT = 4.0  # length of the way between products of two families, in edges of the tree
_FITTING_ROUNDS = 100


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the gyromidpoint of the held products, its norm, and the mean distance to it."""
    inputs = (HELD, FAMILY)
    midpoint = tuple(
        Column(f"product_ball_{k:02d}", "product_hierarchy", "continuous", "1",
               f"Component {k} of the gyromidpoint of the held products", f"보유 상품 위치 {k}", inputs, None, "train",
               "never missing", low=-1, high=1)
        for k in range(_chosen(settings).width)
    )  # fmt: skip
    return (
        *midpoint,
        Column("product_ball_depth", "product_hierarchy", "continuous", "1", "Norm of the gyromidpoint (depth in the tree)",
               "보유 상품 전문화 정도", inputs, None, "train", "never missing", low=0, high=1),
        Column("product_ball_spread", "product_hierarchy", "continuous", "1",
               "Mean hyperbolic distance of the held products to the gyromidpoint", "보유 상품 다양성", inputs, None, "train",
               "never missing", low=0),
    )  # fmt: skip


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Return ``nodes`` float64 [1 + families + products, width]: the root, the families by id, the products by id."""
    chosen = _chosen(settings)
    held = np.concatenate([block.held[:, -1] for block in blocks])
    distances = product_distances(blocks[0].catalogue.family, co_holding(held, prior_rows=chosen.prior_rows))
    nodes = embed(
        distances,
        width=chosen.width,
        edge_length=chosen.edge_length,
        epochs=chosen.epochs,
        learning_rate=chosen.learning_rate,
        seed=settings.seed,
    )
    return {"nodes": nodes}


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, width + 2]."""
    held = np.ascontiguousarray(block.held[:, -1])
    products = np.ascontiguousarray(params["nodes"][-held.shape[1] :])
    out = np.empty((len(block), products.shape[1] + 2), np.float32, order="F")
    _place(held, products, out)
    return out


def co_holding(held: np.ndarray, *, prior_rows: float) -> np.ndarray:
    """Return float64 [products, products]: how far two products are held together more often than chance, in nats.

    It is the positive pointwise mutual information of co-held pairs, ``max(0, log((both + prior) / (expected + prior)))``
    (Church and Hanks, Word association norms, mutual information, and lexicography, 1990). Chance means that each product
    joins as many pairs as it does, whichever the partner: who holds many products makes no pair of them an association.

    Parameters
    ----------
    held : uint8 [n, products]
    prior_rows : float
        Added to the observed and to the expected number of rows: it keeps products of few holders from chance associations.
    """
    counts = held.astype(np.float64)
    both = counts.T @ counts  # whole numbers, hence exact in any order
    np.fill_diagonal(both, 0)
    found = np.maximum(0.0, np.log((both + prior_rows) / (_expected_pairs(both) + prior_rows)))
    np.fill_diagonal(found, 0)
    return np.asarray(found)


def _expected_pairs(both: np.ndarray) -> np.ndarray:
    """Return ``u_a u_b``, with the row sums of ``both`` off the diagonal (quasi-independence), by proportional fitting.

    The diagonal of pairs is empty, so that the plain product of marginals would expect too little beside a product that most
    customers hold (Goodman, The analysis of cross-classified data, 1968).
    """
    margin = both.sum(axis=1)
    scale = margin / np.sqrt(max(margin.sum(), 1.0))
    for _ in range(_FITTING_ROUNDS):
        others = scale.sum() - scale
        scale = np.sqrt(scale * np.divide(margin, others, out=np.zeros_like(margin), where=others > 0))
    return np.outer(scale, scale)


def product_distances(family: np.ndarray, together: np.ndarray) -> np.ndarray:
    """Return the shortest ways, float64, between the root, the families by ascending id, and the products by id.

    An edge of the tree has length 1. Two products held together by ``together`` nats more than by chance have an edge of
    length ``4 / (1 + together)``: no shorter than the way through the root where that is 0, as siblings' where it is 1.
    """
    families, parent = np.unique(family, return_inverse=True)
    first = 1 + len(families)
    edges = [(0, 1 + f, 1.0) for f in range(len(families))]
    edges += [(1 + f, first + p, 1.0) for p, f in enumerate(parent.tolist())]
    edges += [
        (first + a, first + b, _THROUGH_ROOT / (1 + float(together[a, b])))
        for a in range(len(family))
        for b in range(a)
        if together[a, b] > 0
    ]
    return graph_distances(first + len(family), edges)


def _chosen(settings: Settings) -> ProductHierarchySettings:
    return settings.feature_groups.product_hierarchy


@numba.njit(cache=True, nogil=True)
def _place(held: Any, products: Any, out: Any) -> None:
    width = products.shape[1]
    middle = np.empty(width)
    for i in range(len(held)):
        gyromidpoint(products, held[i], middle)
        square = 0.0
        for k in range(width):
            out[i, k] = middle[k]
            square += middle[k] * middle[k]
        out[i, width] = np.sqrt(square)
        out[i, width + 1] = mean_distance(products, held[i], middle)
