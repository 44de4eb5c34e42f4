"""What ranking knows of a customer beside the features: age and segment, from the snapshots."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.evaluation.lists.outcomes import match_customers
from finai_resources.errors import LakeError
from finai_resources.lake_session import LakeSession


def read_profile(session: LakeSession, month: np.ndarray, customer: np.ndarray) -> dict[str, Any]:
    """Return ``age`` float64 [n] (NaN where unknown) and ``segment``, a list of str or None, of customers in their months.

    Parameters
    ----------
    month : str [n]
    customer : int64 [n]

    Raises
    ------
    LakeError
        A customer has no snapshot in the month.
    """
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
