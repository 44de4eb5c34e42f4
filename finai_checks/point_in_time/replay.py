"""C09, point-in-time replay: features of past months are recomputed without any later data, and with garbage as later data.

For a sample of customers of a month the raw tables are copied into a lake that lives for the length of the check: first cut at
the cutoff, so that nothing later exists, and then with garbage for all that is later. Both must give the stored values, bit for
bit. The lake that is examined is only read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.block import read_block
from finai_assets.features.fit import load_states, transform_group
from finai_assets.features.inputs import CATEGORIES, PRODUCTS, SNAPSHOTS, TRANSACTIONS
from finai_assets.features.registry import Group
from finai_assets.partitions import look_back
from finai_assets.settings import Settings
from finai_checks.framework.check import CheckOutcome
from finai_checks.framework.raw import catalogue_table, sampled_rows, sampled_transactions
from finai_checks.point_in_time.sample import sample_of_kinds
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

PASSES = ("nothing after the cutoff", "garbage after the cutoff")


@dataclass(frozen=True, slots=True)
class Difference:
    """A column whose replayed values are not the stored ones."""

    group: str
    column: str
    future: str
    rows: int
    customer: int
    stored: float
    replayed: float


def replay_month(
    session: LakeSession, settings: Settings, groups: Sequence[Group], month: Month, *, customers: int
) -> dict[str, CheckOutcome]:
    """Replay some groups of a stored month for a sample of customers.

    Parameters
    ----------
    customers : int
        How many the sample has, at most; there are some of every kind (:mod:`finai_checks.point_in_time.sample`).

    Returns
    -------
    dict
        An outcome for each group; ``n`` counts compared values.

    Raises
    ------
    LakeError
        A raw or feature partition, or a state, is absent or damaged.
    """
    sample = sample_of_kinds(session, month, customers, settings)
    if not len(sample):
        return {group.name: CheckOutcome.no_evidence(month=month.key) for group in groups}
    stored = {group.name: _stored(session, group, month, sample) for group in groups}
    states = load_states(session, groups)
    differences: dict[str, list[Difference]] = {group.name: [] for group in groups}
    compared = dict.fromkeys(differences, 0)
    with tempfile.TemporaryDirectory(prefix="finai-replay-") as folder:
        lake = Lake.on_disk(folder, compression="none")
        known = _copy_known(session, lake, settings, month, sample)
        for future in PASSES:
            if future == PASSES[1]:
                _add_garbage(lake, known, settings, month, sample)
            block = read_block(LakeSession(lake), month, int(sample[0]), int(sample[-1]), settings)
            for group in groups:
                values, _ = transform_group(group, block.view(group.columns), states[group.name].params, settings)
                differences[group.name] += _compare(group, future, block.customer_id, stored[group.name], values)
                compared[group.name] += values.size
    return {group.name: _outcome(differences[group.name], compared[group.name], len(sample), month) for group in groups}


def _stored(session: LakeSession, group: Group, month: Month, sample: np.ndarray) -> pa.Table:
    return sampled_rows(session, group.asset, month, sample).sort_by("customer_id").combine_chunks()


@dataclass(frozen=True, slots=True)
class _Known:
    """The rows of the sample in the snapshot month, and its events before the cutoff."""

    snapshots: pa.Table
    transactions: pa.Table


def _copy_known(session: LakeSession, lake: Lake, settings: Settings, month: Month, sample: np.ndarray) -> _Known:
    """Write the sample's data up to the cutoff, and nothing else; return those of the snapshot month."""
    for asset in (PRODUCTS, CATEGORIES):
        with lake.write(asset) as out:
            out.write(catalogue_table(session, settings, asset))
    known: _Known | None = None
    for past in look_back(month, settings):
        lines = sampled_transactions(session, settings, past, sample)
        known = _Known(
            sampled_rows(session, SNAPSHOTS, past, sample),
            lines.filter(pc.less(lines["ts"].cast(pa.int64()), month.cutoff_us)),
        )
        for asset, table in ((SNAPSHOTS, known.snapshots), (TRANSACTIONS, known.transactions)):
            with lake.write(asset, past.key) as out:
                out.write(table)
    assert known is not None  # noqa: S101 - a look-back has at least the month itself
    return known


def _add_garbage(lake: Lake, known: _Known, settings: Settings, month: Month, sample: np.ndarray) -> None:
    """Write garbage for all that lies after the cutoff: into the snapshot month's file, and into the month after it."""
    rng = np.random.default_rng([settings.seed, month.ordinal])
    schema, last = known.transactions.schema, known.snapshots
    ids = last["customer_id"]
    shuffled = last.take(rng.permutation(len(last)))
    garbage = {
        (TRANSACTIONS, month): pa.concat_tables([known.transactions, _garbage_lines(schema, sample, month, rng)]),
        (SNAPSHOTS, month + 1): shuffled.set_column(last.schema.get_field_index("customer_id"), "customer_id", ids),
        (TRANSACTIONS, month + 1): _garbage_lines(schema, sample, month, rng),
    }
    for (asset, later), table in garbage.items():
        with lake.write(asset, later.key) as out:
            out.write(table)


def _garbage_lines(schema: pa.Schema, sample: np.ndarray, month: Month, rng: np.random.Generator) -> pa.Table:
    """Return events from the cutoff on, the first of them exactly at the cutoff, with amounts too large to overlook."""
    owner = np.repeat(sample, 5)
    ts = month.cutoff_us + np.tile(np.array([0, 1, 3_600_000_000, 86_400_000_000, 864_000_000_000]), len(sample))
    columns = {
        "customer_id": pa.array(owner),
        "ts": pa.array(ts),
        "amount": pa.array(rng.normal(0.0, 1e12, len(owner))),
        "mcc": pa.array(rng.integers(1, 9999, len(owner))),
        "merchant_id": pa.array(rng.integers(0, 1000, len(owner))),
    }
    return pa.table(
        {f.name: columns[f.name].cast(f.type) if f.name in columns else pa.nulls(len(owner), f.type) for f in schema},
        schema,
    )


def _compare(
    group: Group, future: str, customer_id: np.ndarray, stored: pa.Table, values: np.ndarray
) -> list[Difference]:
    ids = stored["customer_id"].to_numpy()
    if not np.array_equal(ids, customer_id):
        odd = np.setxor1d(ids, customer_id)
        return [Difference(group.name, "customer_id", future, len(odd), int(odd[0]), float("nan"), float("nan"))]
    differences = []
    for position, name in enumerate(group.names):
        left, right = stored[name].to_numpy(), values[:, position]
        wrong = np.flatnonzero(left.view(np.uint32) != np.ascontiguousarray(right).view(np.uint32))
        if len(wrong):
            row = int(wrong[0])
            differences.append(
                Difference(group.name, name, future, len(wrong), int(ids[row]), float(left[row]), float(right[row]))
            )
    return differences


def _outcome(differences: list[Difference], compared: int, customers: int, month: Month) -> CheckOutcome:
    columns = sorted({difference.column for difference in differences})
    reason = ""
    if columns:
        rows = max(difference.rows for difference in differences)
        reason = f"{len(columns)} columns differ in up to {rows} of {customers} customers: {', '.join(columns[:8])}"
    observed = {"month": month.key, "customers": customers, "passes": len(PASSES), "differing_columns": len(columns)}
    table = [
        {
            "column": d.column, "future": d.future, "rows": d.rows, "customer_id": str(d.customer), "stored": d.stored,
            "replayed": d.replayed,
        }
        for d in differences
    ]  # fmt: skip
    return CheckOutcome(not differences, reason, compared, observed, table)
