"""Distances to cluster centres, acquisition posteriors, and a liquid reservoir over transaction gaps.

The centres are numbered by descending size on train. A customer's cluster is that of the nearest centre; the posterior of a class
of products is that of the cluster, so that customers of one cluster share it. The reservoir of a customer without
transactions is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from finai_assets.features.inputs import AMOUNT, HELD, TS, look_back_days
from finai_assets.features.methods import scalars
from finai_assets.features.methods.kmeans import distances, k_means
from finai_assets.features.methods.liquid import amount_sums, draw_reservoir, padded, run_reservoir
from finai_assets.features.registry import Column, Params
from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from finai_assets.features.block import Block
    from finai_assets.settings import Settings

# The four classes whose acquisition is modelled by a Beta posterior within the customer's cluster.
PRODUCT_CLASSES = (("deposit", "예금"), ("loan", "대출"), ("investment", "투자"), ("card", "카드"))
_SALT = 13

SETTINGS = (*scalars.SETTINGS, "products.product_class")  # read beside the group's own


def columns(settings: Settings) -> tuple[Column, ...]:
    """Return distances, posterior means, and the reservoir's last state."""
    group, days, inputs = "model_derived", look_back_days(settings), scalars.inputs(settings)
    chosen = settings.feature_groups.model_derived
    away = tuple(
        Column(f"kmeans_distance_{k}", group, "continuous", "sd", f"Distance to k-means centre {k}",
               f"대표 고객 {k}와의 거리", inputs, days, "train", "never missing", low=0)
        for k in range(chosen.centres)
    )  # fmt: skip
    with_holdings = tuple(dict.fromkeys((*inputs, HELD)))
    posteriors = tuple(
        Column(f"acquisition_posterior_{name}", group, "share", "1",
               f"Beta posterior mean of a monthly {name} acquisition in the customer's cluster",
               f"유사 고객 {korean} 가입률", with_holdings, days, "train", "never missing", low=0, high=1)
        for name, korean in PRODUCT_CLASSES
    )  # fmt: skip
    reservoir = tuple(
        Column(f"liquid_{k:02d}", group, "continuous", "1", f"Unit {k} of the liquid reservoir at the cutoff",
               f"거래 간격 특성 {k}", (TS, AMOUNT), days, "train", "0 without a transaction", low=-1, high=1)
        for k in range(chosen.units)
    )  # fmt: skip
    return away + posteriors + reservoir


def fit(blocks: Sequence[Block], settings: Settings) -> dict[str, np.ndarray]:
    """Fit the scalars' scale, the centres, the clusters' acquisitions and the scale of amounts; draw the reservoir.

    Returns
    -------
    dict
        The state of the scalars, and ``centres`` [k, d]; ``acquired`` and ``observed`` int64 [k, classes], train rows of the
        cluster that acquired and that could be seen to; ``posterior`` [k, classes]; ``amount_scale`` [2], mean and standard
        deviation of signed log amounts; ``recurrent``, ``drive`` and ``bias`` of the reservoir.
    """
    chosen = settings.feature_groups.model_derived
    params = scalars.fit(blocks, settings)
    values = np.concatenate([scalars.transform(block, params, settings) for block in blocks])
    report_progress("steps", 1, 3)
    centres = k_means(values, chosen.centres, seed=(settings.seed, _SALT), starts=chosen.starts)
    report_progress("steps", 2, 3)
    label = _distances(values, centres)[1]
    seen, taken = (np.concatenate(parts) for parts in zip(*(_last_month(b, settings) for b in blocks), strict=True))
    acquired, observed = (_by_cluster(label, rows, len(centres)) for rows in (taken, seen))
    scale = _amount_scale(blocks, chosen.transactions)
    report_progress("steps", 3, 3)
    return {
        **params,
        "centres": centres,
        "acquired": acquired,
        "observed": observed,
        "posterior": posterior_mean(acquired, observed, chosen.prior_acquired, chosen.prior_not_acquired),
        "amount_scale": scale,
        **draw_reservoir(chosen.units, settings.seed),
    }


def transform(block: Block, params: Params, settings: Settings) -> np.ndarray:
    """Return float32 [n, centres + 4 + units]."""
    away, label = _distances(scalars.transform(block, params, settings), params["centres"])
    first, units = away.shape[1], len(params["recurrent"])
    out = np.empty((len(block), first + len(PRODUCT_CLASSES) + units), np.float32, order="F")
    out[:, :first] = away
    out[:, first:-units] = params["posterior"][label]
    weights = (padded(params["recurrent"]), padded(params["drive"]), padded(params["bias"]))
    transactions, cutoff = settings.feature_groups.model_derived.transactions, block.month.cutoff_us
    run_reservoir(block.events.arrays, cutoff, transactions, params["amount_scale"], weights, out[:, -units:])
    return out


def posterior_mean(
    acquired: np.ndarray, observed: np.ndarray, prior_acquired: float, prior_not_acquired: float
) -> np.ndarray:
    """Return the mean of Beta(prior_acquired + acquired, prior_not_acquired + observed - acquired)."""
    return (prior_acquired + acquired) / (prior_acquired + prior_not_acquired + observed)


def _distances(values: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances float64 [n, k] and the nearest centre int64 [n]."""
    out, label = np.empty((len(values), len(centres))), np.empty(len(values), np.int64)
    distances(values, centres, out, label)
    return out, label


def _last_month(block: Block, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return bool [n, classes] twice: whether an acquisition in the snapshot month could be seen, and whether one was.

    It could where the customer has a snapshot of the month before too and the catalogue has a product of the class.
    """
    seen = np.zeros((len(block), len(PRODUCT_CLASSES)), np.bool_)
    acquired = np.zeros_like(seen)
    steps = block.acquisitions(last=1)
    for c, (name, _) in enumerate(PRODUCT_CLASSES):
        members = [p for p, product in enumerate(settings.products) if product.product_class == name]
        if members and steps.shape[1]:
            seen[:, c] = block.observed[:, -2]
            acquired[:, c] = steps[:, -1, members].any(axis=1)
    return seen, acquired


def _by_cluster(label: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Return int64 [count, classes]: how many rows of each cluster are true."""
    return np.stack([np.bincount(label[column], minlength=count) for column in rows.T], axis=1)


def _amount_scale(blocks: Sequence[Block], transactions: int) -> np.ndarray:
    """Return mean and standard deviation of the last signed log amounts of train rows; (0, 1) where none or all are equal."""
    parts = []
    for block in blocks:
        sums = np.empty((len(block), 3))
        amount_sums(block.events.arrays, transactions, sums)
        parts.append(sums)
    count, total, squares = np.concatenate(parts).sum(axis=0)
    if not count:
        return np.array([0.0, 1.0])
    mean = total / count
    variance = max(0.0, squares / count - mean**2)
    return np.array([mean, np.sqrt(variance) if variance > 0 else 1.0])
