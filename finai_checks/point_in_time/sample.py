"""Customers of a month of every kind that a reader without a future could be wrong about.

Ids are hashes, so that neighbours have nothing in common; but among a few hundred of them there may be no one who has just
joined, is about to leave, did nothing all month, or paid twice at one instant. Some of each kind are taken first, the rest by
chance, all from one stretch of neighbouring ids, so that few row groups are decoded however many customers there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow.compute as pc

from finai_assets.features.inputs import SNAPSHOTS, TRANSACTIONS
from finai_assets.features.reading import read_range
from finai_assets.settings import Settings
from finai_checks.framework.raw import is_absent, sampled_transactions
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

STRETCH = 8192  # neighbouring ids that the sample is drawn from
KIND_SHARE = 8  # at most one part in so many of the sample is of a kind


def sample_of_kinds(session: LakeSession, month: Month, customers: int, settings: Settings) -> np.ndarray:
    """Return at most ``customers`` ids of a month, ascending, int64: some of each kind that the stretch has, then others.

    Raises
    ------
    LakeError
        The month's raw tables are absent or damaged.
    """
    ids = np.sort(session.read(SNAPSHOTS, month.key, columns=["customer_id"])["customer_id"].to_numpy())
    if len(ids) <= customers:
        return ids
    rng = np.random.default_rng([settings.seed, month.ordinal])
    begin = int(rng.integers(max(1, len(ids) - STRETCH + 1)))
    ids = ids[begin : begin + STRETCH]
    most = max(1, customers // KIND_SHARE)
    chosen = np.empty(0, np.int64)
    for members in kinds_of(session, month, ids, settings).values():
        left = np.setdiff1d(members, chosen)
        chosen = np.append(chosen, rng.choice(left, min(most, len(left)), replace=False))
    others = rng.permutation(np.setdiff1d(ids, chosen))[: customers - len(chosen)]
    return np.sort(np.append(chosen, others)[:customers])


def kinds_of(session: LakeSession, month: Month, ids: np.ndarray, settings: Settings) -> dict[str, np.ndarray]:
    """Return who among ascending ids is of which kind; a customer may be of several.

    Returns
    -------
    dict
        ``joined``: without a snapshot in the month before; ``left``: without one in the month after; ``dormant``: no
        transaction in the month; ``tied``: two at one instant; ``busy``: the most of them. A kind that nothing
        stored tells is empty.
    """
    low, high = int(ids[0]), int(ids[-1])
    around = {step: _stored(session, month + step, low, high) for step in (-1, 1)}
    lines = sampled_transactions(session, settings, month, ids).select(["customer_id", "ts"])
    owner, count = np.unique(lines["customer_id"].to_numpy(), return_counts=True)
    per_instant = lines.group_by(["customer_id", "ts"]).aggregate([([], "count_all")])
    tied = per_instant.filter(pc.greater(per_instant["count_all"], 1))["customer_id"].to_numpy()
    found: Mapping[str, np.ndarray | None] = {
        "joined": None if around[-1] is None else np.setdiff1d(ids, around[-1]),
        "left": None if around[1] is None else np.setdiff1d(ids, around[1]),
        "dormant": None if is_absent(settings, TRANSACTIONS) else np.setdiff1d(ids, owner),
        "tied": np.unique(tied),
        "busy": owner[np.argsort(-count, kind="stable")[: max(1, len(ids) // 50)]],
    }
    return {kind: np.intersect1d(np.empty(0, np.int64) if who is None else who, ids) for kind, who in found.items()}


def _stored(session: LakeSession, month: Month, low: int, high: int) -> np.ndarray | None:
    if session.lake.find(SNAPSHOTS, month.key) is None:
        return None
    found: Sequence[int] = read_range(session, SNAPSHOTS, month, low, high, columns=["customer_id"])[
        "customer_id"
    ].to_numpy()
    return np.asarray(found)
