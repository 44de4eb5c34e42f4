"""Figures that the checks of stability judge, read from the lake: stored statistics and manifests, and few raw columns."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

import numpy as np
import pyarrow.compute as pc

from finai_assets.asset_graph import student_asset
from finai_assets.features.compute import STATISTICS_FILE, month_statistics, stored_statistics
from finai_assets.features.fit import load_states
from finai_assets.features.inputs import SNAPSHOTS, TRANSACTIONS
from finai_assets.features.registry import Group
from finai_assets.features.statistics import Reference
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_assets.students.card import read_card
from finai_checks.framework.raw import is_absent
from finai_checks.stability.verdicts import Drift, Missing
from finai_resources.errors import BundleError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month


def earlier_months(session: LakeSession, asset: str, month: Month, count: int) -> list[Month]:
    """Return those of the last ``count`` months that are stored, ascending."""
    return [month - back for back in range(count, 0, -1) if session.find(asset, (month - back).key)]


def measured_drift(session: LakeSession, group: Group, month: Month) -> Drift:
    """Return the drift of a group's columns in a stored month against the train reference of its state."""
    reference = load_states(session, [group])[group.name].reference
    statistics = stored_statistics(session, month, group, reference)
    missing = np.array([column.null_rate > 0 for column in statistics])
    occupied = reference.counts > 0
    bins = occupied[:, :-1].sum(axis=1) + (occupied[:, -1] | missing)
    psi = np.array([column.psi for column in statistics])
    return Drift(group.names, psi, bins, statistics[0].rows, _train_rows(reference))


def student_columns(session: LakeSession, platform: Platform) -> frozenset[str]:
    """Return the columns that any stored student reads; none where no student is stored, or every task is skipped.

    A student of another version's format counts as none: it is distilled again before anything is made of it, and until then must
    not keep its own upstream from being judged.
    """
    found: set[str] = set()
    for asset in (student_asset(task.name) for task in platform.available_tasks):
        if session.find(asset):
            with suppress(BundleError):
                found.update(read_card(session, asset).columns_read)
    return frozenset(found)


def raw_flows(session: LakeSession, settings: Settings, month: Month) -> dict[str, float]:
    """Return a month's customers, and its transactions and amount moved a day (months differ in length), where it has any."""
    customers = float(session.manifest(SNAPSHOTS, month.key).rows)
    if is_absent(settings, TRANSACTIONS):
        return {"customers": customers}
    days = (month.cutoff - month.start).days
    lines = session.manifest(TRANSACTIONS, month.key).rows
    moved = 0.0
    if lines:
        amount = session.read(TRANSACTIONS, month.key, columns=["amount"])["amount"]
        moved = float(pc.sum(pc.abs(amount)).as_py() or 0.0)
    return {
        "customers": customers,
        "transactions a day": lines / days,
        "amount a day": moved / days,
    }


def snapshot_nulls(session: LakeSession, month: Month) -> tuple[list[str], Missing]:
    """Return the nullable columns of a month's snapshots, and the share of each that is missing."""
    table = session.read(SNAPSHOTS, month.key)
    names = [field.name for field in table.schema if field.nullable]
    share = np.array([table[name].null_count / max(1, table.num_rows) for name in names])
    return names, Missing(month.key, share, table.num_rows)


def train_nulls(reference: Reference, drifting: Collection[str]) -> Missing:
    """Return the share of each column that is missing on train; columns that are declared to drift are silent there."""
    share = reference.counts[:, -1] / reference.counts.sum(axis=1)
    return Missing("on train", share, _train_rows(reference), drifting)


def month_nulls(session: LakeSession, group: Group, month: Month, reference: Reference) -> Missing:
    """Return the share of each column of a stored month that is missing."""
    manifest = session.manifest(group.asset, month.key)
    if any(stored.role == STATISTICS_FILE for stored in manifest.files):
        stored_json = session.read_json(group.asset, month.key, STATISTICS_FILE)
        share = [stored_json[name]["null_rate"] for name in group.names]
    else:
        share = [column.null_rate for column in month_statistics(session, month, group, reference)]
    return Missing(month.key, np.array(share), manifest.rows)


def column_spread(session: LakeSession, group: Group, month: Month) -> tuple[np.ndarray, int]:
    """Return the range of each column over a stored month, NaN where all values are missing, and the number of rows.

    The range comes from the statistics that are stored beside the values, as a part of the same content; where there are none,
    from the values.
    """
    manifest = session.manifest(group.asset, month.key)
    if any(stored.role == STATISTICS_FILE for stored in manifest.files):
        stored_json = session.read_json(group.asset, month.key, STATISTICS_FILE)
        low, high = (
            np.array([stored_json[name][end] for name in group.names], np.float64) for end in ("minimum", "maximum")
        )
        return high - low, manifest.rows
    table = session.read(group.asset, month.key)
    spread = []
    for name in group.names:
        values = table[name].to_numpy()
        present = values[~np.isnan(values)]
        spread.append(float(np.ptp(present)) if len(present) else np.nan)
    return np.array(spread), table.num_rows


def _train_rows(reference: Reference) -> int:
    return int(reference.counts[0].sum())
