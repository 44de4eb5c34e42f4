"""LightGCN embedding of the customer-product graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from finai_assets.features.inputs import HELD
from finai_assets.features.registry import Column

if TYPE_CHECKING:
    from finai_assets.settings import Settings

WIDTH = 64


def columns(settings: Settings) -> tuple[Column, ...]:  # the embedding's width is fixed
    """Return the propagated embedding, the degree, and the mean popularity of the held products."""
    embedding = tuple(
        Column(f"graph_{k:02d}", "graph_collaborative", "continuous", "1",
               f"Component {k} of the embedding propagated from the held products", f"유사 고객 특성 {k}", (HELD,), None,
               "train", "never missing")
        for k in range(WIDTH)
    )  # fmt: skip
    return (
        *embedding,
        Column("graph_degree", "graph_collaborative", "count", "1", "Degree in the customer-product graph",
               "연결 상품 수", (HELD,), None, "none", "never missing", low=0),
        Column("graph_mean_popularity", "graph_collaborative", "share", "1",
               "Mean train share of customers that hold the held products", "보유 상품 평균 인기도", (HELD,), None, "train",
               "never missing", low=0, high=1),
    )  # fmt: skip
