"""The decision about each customer: what was ranked before constraints, what is served, and why the rest is not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from finai_assets.recommend.offered import Offered
from finai_assets.recommend.standing import Standings
from serving_lambda.filters import NOTHING_SUITABLE
from serving_lambda.standing import CHANNELS

NOT_LISTED = -1  # behind the last product of a list
REMOVED = pa.struct([("product_id", pa.int16()), ("code", pa.string())])
SCHEMA = pa.schema(
    [
        ("customer_id", pa.int64()),
        ("ranked", pa.list_(pa.int16())),
        ("served", pa.list_(pa.int16())),
        ("code", pa.string()),
        ("removed", pa.list_(REMOVED)),
        ("channels", pa.list_(pa.string())),
    ]
)


def decisions_of(
    customer_id: np.ndarray, ranked: np.ndarray, served: np.ndarray, offered: Offered, standings: Standings
) -> pa.Table:
    """Return one row for each customer.

    Parameters
    ----------
    customer_id : int64 [n]
    ranked : int64 [n, k]
        Product ids before constraints, what is held left out; :data:`NOT_LISTED` behind the last.
    served : int64 [n, k]
    offered
        What the filters and stops left of the n customers' products.
    standings
        Of the n customers.

    Returns
    -------
    pa.Table
        :data:`SCHEMA`. ``code`` says why nothing is served, and is null where something is; ``removed`` is empty where the
        customer is stopped, since no product was looked at; ``channels`` are those on which what is served may be told.
    """
    stopped, something = offered.stopped != "", (served != NOT_LISTED).any(axis=1)
    code = np.where(stopped, offered.stopped, NOTHING_SUITABLE)
    told = (offered.removed != "") & ~stopped[:, None]
    products = np.broadcast_to(np.arange(told.shape[1], dtype=np.int16), told.shape)
    removed = pa.StructArray.from_arrays(
        [pa.array(products[told]), pa.array(offered.removed[told].astype(object), pa.string())], fields=list(REMOVED)
    )
    channels = standings.marketing & (standings.consents_known & something)[:, None]
    names = np.broadcast_to(np.array(CHANNELS, dtype=object), channels.shape)
    columns = [
        pa.array(customer_id, pa.int64()),
        _lists(ranked != NOT_LISTED, pa.array(ranked[ranked != NOT_LISTED], pa.int16())),
        _lists(served != NOT_LISTED, pa.array(served[served != NOT_LISTED], pa.int16())),
        pa.array(code.astype(object), pa.string(), mask=something),
        _lists(told, removed),
        _lists(channels, pa.array(names[channels], pa.string())),
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _lists(chosen: np.ndarray, values: pa.Array) -> pa.ListArray:
    """Return the values of each row as a list; ``chosen``, bool [n, m], says how many are each row's."""
    ends = np.concatenate([[0], chosen.sum(axis=1).cumsum()]).astype(np.int32)
    return pa.ListArray.from_arrays(ends, values)
