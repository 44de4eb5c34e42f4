"""Hyperbolic embedding of the MCC tree: where the customer spends.

The tree (root, L1, L2, MCC) is embedded in a Poincare ball with the root at the origin. Spend is the sum of outflows (negative
amounts, sign turned) whose MCC the catalogue lists; others are left out. In the ball, an outflow weighs its amount, halved with
every half-life of its age; shares and the spend measure weigh amounts alone. A customer without spend is at the origin, with
dispersion 0, shares missing, and a spend measure of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_assets.asset_graph import state_asset
from finai_assets.features.inputs import AMOUNT, DAY_US, L1, L2, LEAF, MCC, TS, look_back_days
from finai_assets.features.mcc_vocabulary import hash_table, rank_of
from finai_assets.features.methods.poincare import gyromidpoint, mean_distance
from finai_assets.features.methods.tree_embedding import embed, graph_distances
from finai_assets.features.registry import Column, Params
from finai_assets.features.tensors import Tensor
from finai_resources.errors import ConfigError, GateError

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.features.catalogue import Catalogue
    from finai_assets.settings import Settings
    from finai_assets.settings.features import MerchantHierarchySettings

MEASURE = "spend_measure"

SETTINGS = ("dataset.name",)  # named in an error, beside the group's own


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return the weighted gyromidpoint of the spend, the shares of the L1 categories by ascending id, and the dispersion."""
    chosen, days = _chosen(settings), look_back_days(settings)
    inputs = (TS, AMOUNT, MCC, LEAF, L1, L2)
    midpoint = tuple(
        Column(f"merchant_ball_{k:02d}", "merchant_hierarchy", "continuous", "1",
               f"Component {k} of the spend- and recency-weighted gyromidpoint", f"소비 업종 위치 {k}", inputs, days, "train",
               "never missing", low=-1, high=1)
        for k in range(chosen.width)
    )  # fmt: skip
    shares = tuple(
        Column(f"merchant_l1_share_{k}", "merchant_hierarchy", "share", "1", f"Share of spend in top-level category {k}",
               f"대분류 업종 {k} 지출 비중", (TS, AMOUNT, MCC, LEAF, L1), days, "none", "nan", low=0, high=1)
        for k in range(chosen.l1_categories)
    )  # fmt: skip
    return (
        *midpoint,
        *shares,
        Column("merchant_ball_dispersion", "merchant_hierarchy", "continuous", "1",
               "Weighted mean hyperbolic distance of the spend to the gyromidpoint", "소비 업종 다양성", inputs, days, "train",
               "never missing", low=0),
    )  # fmt: skip


def tensors(settings: Settings) -> tuple[Tensor, ...]:
    """Return the spend measure: how the spend of the look-back is spread over the MCC leaves."""
    text = "Share of spend by MCC leaf, in ascending order of the code; zeros where there is no spend"
    return (Tensor(MEASURE, (_chosen(settings).leaves,), text),)


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Embed the tree, which the catalogue alone determines.

    Returns
    -------
    dict
        ``nodes`` float64 [1 + L1 + L2 + leaves, width]: the root, then each level by ascending id; ``tree`` int32 [3, leaves]:
        MCC, L2 and L1 of each leaf.

    Raises
    ------
    ConfigError
        The settings count other leaves or L1 categories than the catalogue holds.
    """
    chosen, catalogue = _chosen(settings), blocks[0].catalogue
    _demand_counts(catalogue, settings)
    nodes = embed(
        merchant_distances(catalogue),
        width=chosen.width,
        edge_length=chosen.edge_length,
        epochs=chosen.epochs,
        learning_rate=chosen.learning_rate,
        seed=settings.seed,
    )
    return {"nodes": nodes, "tree": _tree(catalogue)}


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, width + L1 categories + 1]."""
    return transform_with_tensors(block, params, settings)[0]


def transform_with_tensors(
    block: Block, params: Params, settings: Settings
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return float32 [n, width + L1 categories + 1], and the spend measure float32 [n, leaves].

    Raises
    ------
    ConfigError
        The settings count other leaves or L1 categories than the catalogue holds.
    GateError
        The state was fitted on another tree.
    """
    chosen, catalogue = _chosen(settings), block.catalogue
    _demand_counts(catalogue, settings)
    if not np.array_equal(params["tree"], _tree(catalogue)):
        raise GateError(
            "the state was fitted on another tree of merchant categories",
            where=state_asset("merchant_hierarchy"),
            fix="materialise the feature state again",
        )
    leaves = np.ascontiguousarray(params["nodes"][-chosen.leaves :])
    branch = np.unique(catalogue.l1, return_inverse=True)[1].astype(np.int32)
    out = np.empty((len(block), chosen.width + chosen.l1_categories + 1), np.float32, order="F")
    measure = np.empty((len(block), chosen.leaves), np.float32)
    half_life = chosen.half_life_days * DAY_US
    _place(block.events.arrays, hash_table(catalogue.mcc), branch, leaves, half_life, out, measure)
    return out, {MEASURE: measure}


def merchant_distances(catalogue: Catalogue) -> np.ndarray:
    """Return the distances, float64, in edges, between the root, the L1, the L2 and the leaves, each by ascending id."""
    l1, top = np.unique(catalogue.l1, return_inverse=True)
    l2, first_leaf, middle = np.unique(catalogue.l2, return_index=True, return_inverse=True)
    at_l2 = 1 + len(l1)
    at_leaf = at_l2 + len(l2)
    edges = [(0, 1 + k, 1.0) for k in range(len(l1))]
    edges += [(1 + k, at_l2 + j, 1.0) for j, k in enumerate(top[first_leaf].tolist())]
    edges += [(at_l2 + j, at_leaf + i, 1.0) for i, j in enumerate(middle.tolist())]
    return graph_distances(at_leaf + len(catalogue.mcc), edges)


def _chosen(settings: Settings) -> MerchantHierarchySettings:
    return settings.feature_groups.merchant_hierarchy


def _tree(catalogue: Catalogue) -> np.ndarray:
    return np.stack([catalogue.mcc, catalogue.l2, catalogue.l1])


def _demand_counts(catalogue: Catalogue, settings: Settings) -> None:
    chosen = _chosen(settings)
    for name, wanted, found in (
        ("leaves", chosen.leaves, len(catalogue.mcc)),
        ("l1_categories", chosen.l1_categories, len(np.unique(catalogue.l1))),
    ):
        if wanted != found:
            raise ConfigError(
                f"{name} is {wanted}, but the catalogue of {settings.dataset.name} has {found}",
                where=f"feature_groups.merchant_hierarchy.{name}",
                fix=f"set it to {found} in the YAML file of the data set",
            )


@numba.njit(cache=True, nogil=True)
def _place(events: Any, table: Any, branch: Any, leaves: Any, half_life: float, out: Any, measure: Any) -> None:
    """Add up each customer's outflows by leaf, newest first, then place them in the ball.

    Ages count from the newest outflow, which moves no midpoint and keeps a weight from vanishing altogether.
    """
    start, ts, amount, mcc, _ = events
    keys, ranks = table
    count, width = leaves.shape
    top = out.shape[1] - width - 1
    spend, weight, middle, shares = np.empty(count), np.empty(count), np.empty(width), np.empty(top)
    for i in range(len(start) - 1):
        spend[:] = 0
        weight[:] = 0
        shares[:] = 0
        total = 0.0
        newest = np.int64(0)
        e = start[i + 1] - 1
        while e >= start[i]:
            if amount[e] < 0:
                leaf = rank_of(keys, ranks, mcc[e]) - 1
                if leaf >= 0:
                    if total == 0:
                        newest = ts[e]
                    spend[leaf] -= amount[e]
                    weight[leaf] -= amount[e] * np.exp2((ts[e] - newest) / half_life)
                    total -= amount[e]
            e -= 1
        for leaf in range(count):
            shares[branch[leaf]] += spend[leaf]
            measure[i, leaf] = spend[leaf] / total if total > 0 else 0.0
        gyromidpoint(leaves, weight, middle)
        for k in range(width):
            out[i, k] = middle[k]
        for k in range(top):
            out[i, width + k] = min(1.0, shares[k] / total) if total > 0 else np.nan
        out[i, width + top] = mean_distance(leaves, weight, middle)
