"""C11, the lake in which customers' futures are swapped, with the features and labels that are computed from it.

The customers of the sample keep their own past and get the data after the cutoff of another customer (the donor): the events, and
the snapshots of the label months. The tables live in a lake of their own for the length of the check; the lake that is examined
is only read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.block import read_block
from finai_assets.features.fit import load_states, transform_group
from finai_assets.features.inputs import CATEGORIES, PRODUCTS, SNAPSHOTS, TRANSACTIONS
from finai_assets.labels.derive import compute_labels
from finai_assets.labels.windows import sources
from finai_assets.partitions import look_back
from finai_assets.platform import Platform
from finai_assets.training.labelling import read_labels
from finai_assets.training.matrix import TrainingMatrix
from finai_checks.framework.raw import catalogue_table, is_absent, sampled_rows
from finai_checks.point_in_time.sample import sample_of_kinds
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month


@dataclass(frozen=True)
class SwappedMonth:
    """Customers of one month, each with the future of another.

    Parameters
    ----------
    month : str
    customer : int64 [n]
    stored : float32 [n, d]
        Features as the training matrix holds them.
    features : float32 [n, d]
        Features as the real code computes them after the swap.
    labels : task -> float32 [n]
        Labels of the donors, as the matrix holds them.
    derived : task -> float32 [n]
        Labels as the real code derives them after the swap.
    """

    month: str
    customer: np.ndarray
    stored: np.ndarray
    features: np.ndarray
    labels: Mapping[str, np.ndarray]
    derived: Mapping[str, np.ndarray]


def swap_futures(
    session: LakeSession, platform: Platform, matrix: TrainingMatrix, month: Month, *, customers: int
) -> SwappedMonth | None:
    """Swap the futures of a sample of customers of a month, and compute their features and labels again.

    Returns
    -------
    SwappedMonth or None
        None where the month has fewer than two customers.

    Raises
    ------
    LakeError
        A raw partition or a state is absent or damaged.
    GateError
        The label window of the month has not fully passed.
    """
    settings, groups, tasks = platform.settings, platform.registry.available, platform.available_tasks
    rows = np.flatnonzero(matrix.month == month.key)
    sample = sample_of_kinds(session, month, customers, settings)
    if not len(sample) or not len(rows):
        return None
    order = np.argsort(matrix.customer[rows])
    rows = rows[order]
    ids = np.intersect1d(sample, matrix.customer[rows])
    if len(ids) < 2:
        return None
    sampled = rows[np.searchsorted(matrix.customer[rows], ids)]
    donor = donors(len(ids), np.random.default_rng([settings.seed, month.ordinal, 11]))
    states = load_states(session, groups)
    with tempfile.TemporaryDirectory(prefix="finai-swap-") as folder:
        copy = LakeSession(Lake.on_disk(Path(folder), compression="none"))
        _write_swapped(session, copy, platform, month, ids, donor)
        compute_labels(copy, month, tasks, settings, versions=one_version("swap"))
        derived = read_labels(copy, month, ids, matrix.tasks)
        block = read_block(copy, month, int(ids[0]), int(ids[-1]), settings)
        features = np.empty((len(ids), len(matrix.columns)), np.float32)
        position = {name: p for p, name in enumerate(matrix.columns)}
        for group in groups:
            values, _ = transform_group(group, block.view(group.columns), states[group.name].params, settings)
            features[:, [position[name] for name in group.names]] = values
    return SwappedMonth(
        month=month.key,
        customer=ids,
        stored=np.asarray(matrix.X[sampled]),
        features=features,
        labels={task.name: matrix.labels[task.name][sampled][donor] for task in matrix.tasks},
        derived=derived,
    )


def donors(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the donor of each of ``n`` customers: one random cycle, so that no customers are their own donors."""
    cycle = rng.permutation(n)
    donor = np.empty(n, np.int64)
    donor[cycle] = np.roll(cycle, 1)
    return donor


def _write_swapped(
    session: LakeSession,
    copy: LakeSession,
    platform: Platform,
    month: Month,
    ids: np.ndarray,
    donor: np.ndarray,
) -> None:
    """Write the raw tables of the sample; from the cutoff on, the rows of a donor belong to the recipient."""
    settings = platform.settings
    recipient = np.empty(len(ids), np.int64)
    recipient[donor] = ids  # by position of the donor
    for asset in (PRODUCTS, CATEGORIES):
        with copy.lake.write(asset) as out:
            out.write(catalogue_table(session, settings, asset))
    tables = [asset for asset in (SNAPSHOTS, TRANSACTIONS) if not is_absent(settings, asset)]
    wanted = {(asset, m.key) for asset in tables for m in look_back(month, settings)}
    for task in platform.available_tasks:
        wanted |= sources(task, month, settings)
    for asset, key in sorted(wanted):
        past = Month.parse(key)
        table = sampled_rows(session, asset, past, ids)
        table = table.filter(pc.is_in(table["customer_id"], value_set=pa.array(ids)))
        if asset == SNAPSHOTS:
            later = np.full(table.num_rows, past > month)
        else:
            later = pc.greater_equal(table["ts"].cast(pa.int64()), month.cutoff_us).to_numpy()
        with copy.lake.write(asset, key) as out:
            out.write(_handed_over(table, ids, recipient, later))


def _handed_over(table: pa.Table, ids: np.ndarray, recipient: np.ndarray, later: np.ndarray) -> pa.Table:
    """Return a table whose later rows belong to the recipients, sorted by customer."""
    if not later.any():
        return table
    owner = table["customer_id"].to_numpy()
    owner = np.where(later, recipient[np.searchsorted(ids, owner)], owner)
    place = table.schema.get_field_index("customer_id")
    changed = table.set_column(place, table.schema.field(place), pa.array(owner, table.schema.field(place).type))
    return changed.take(np.argsort(owner, kind="stable"))
