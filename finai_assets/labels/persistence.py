"""The persistence forecast: the label that a task would have if the customer went on as before the cutoff.

``persistence(session, month, customer, settings)`` returns a float [n] for ascending customers of a month, NaN where there
is no forecast; like the label itself it is a class index, a code, or a number.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.events import read_events
from finai_assets.features.inputs import SNAPSHOTS
from finai_assets.partitions import look_back
from finai_assets.settings import Settings
from finai_resources.errors import GateError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month


def unchanged_holdings(_session: LakeSession, _month: Month, customer: np.ndarray, _settings: Settings) -> np.ndarray:
    """Return the similarity of holdings to themselves."""
    return np.ones(len(customer), np.float32)


def segment_now(session: LakeSession, month: Month, customer: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the index of the segment at the cutoff."""
    table = session.read(SNAPSHOTS, month.key, columns=["customer_id", "segment"])
    known = pa.array(list(settings.dataset.segments), table.schema.field("segment").type)
    index = pc.index_in(table["segment"], value_set=known, skip_nulls=True)
    return aligned(table.append_column("index", index), "index", customer, f"{SNAPSHOTS}@{month.key}")


def last_mcc(session: LakeSession, month: Month, customer: np.ndarray, settings: Settings) -> np.ndarray:
    """Return the MCC of the last transaction before the cutoff, NaN where the look-back has none."""
    found = np.full(len(customer), np.nan)
    for past in reversed(look_back(month, settings)):
        missing = np.flatnonzero(np.isnan(found))
        if not len(missing):
            break
        events = read_events(session, [past], customer[missing], since=past.start_us, cutoff=past.cutoff_us)
        has = np.diff(events.start) > 0
        found[missing[has]] = events.mcc[events.start[1:][has] - 1]
    return found


def aligned(table: pa.Table, name: str, customer: np.ndarray, where: str) -> np.ndarray:
    """Return a column as float64 for the given customers, null as NaN, whatever the order of the table's rows.

    Raises
    ------
    GateError
        A customer has no row.
    """
    ids = table["customer_id"].to_numpy()
    values = pc.cast(table[name], pa.float64()).to_numpy()
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids, customer, sorter=order), max(0, len(ids) - 1))
    if not len(ids) or (ids[order[at]] != customer).any():
        absent = len(customer) if not len(ids) else int((ids[order[at]] != customer).sum())
        raise GateError(
            f"{absent} of {len(customer)} customers have no row", where=where, fix="materialise it again for this month"
        )
    return np.asarray(values[order[at]], np.float64)
