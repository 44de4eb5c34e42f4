"""What ranking and filters know of a customer beside the features: age and segment, from the snapshots, and the standing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.evaluation.lists.outcomes import match_customers
from finai_assets.recommend.standing import read_standings
from finai_assets.settings import Settings
from finai_resources.errors import LakeError
from finai_resources.lake_session import LakeSession
from serving_lambda.offering import Offering


def read_profile(
    session: LakeSession, month: np.ndarray, customer: np.ndarray, offering: Offering, settings: Settings
) -> dict[str, Any]:
    """Return what is known of customers in their months.

    Parameters
    ----------
    month : str [n]
    customer : int64 [n]
    offering
        The bundle's policy.

    Returns
    -------
    dict
        ``age`` float64 [n] (NaN where unknown), ``segment``, a list of str or None, and ``standing``
        (:class:`~finai_assets.recommend.standing.Standings`) as of each month's cutoff.

    Raises
    ------
    LakeError
        A customer has no snapshot in the month.
    """
    standing = read_standings(session, month, customer, offering, settings)
    return {**read_age_and_segment(session, month, customer), "standing": standing}


def read_age_and_segment(session: LakeSession, month: np.ndarray, customer: np.ndarray) -> dict[str, Any]:
    """Return ``age`` and ``segment`` of :func:`read_profile`; it raises what that raises."""
    age, segment = np.full(len(customer), np.nan), np.full(len(customer), None, dtype=object)
    for key in np.unique(month):
        rows = np.flatnonzero(month == key)
        table = session.read(SNAPSHOTS, str(key), columns=["customer_id", "age", "segment"])
        at, known = match_customers(table["customer_id"].to_numpy(), customer[rows])
        if not known.all():
            raise LakeError(
                f"{int((~known).sum())} customers have no snapshot",
                where=f"{SNAPSHOTS}@{key}",
                fix="materialise the training matrix again from the present snapshots",
            )
        taken = table.take(pa.array(at))
        age[rows] = pc.cast(taken["age"], pa.float64()).to_numpy(zero_copy_only=False)
        segment[rows] = taken["segment"].to_pylist()
    return {"age": age, "segment": segment.tolist()}
