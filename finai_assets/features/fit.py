"""Fitting groups on a seeded sample of train rows, and taking the train reference of every column."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np

from finai_assets.asset_graph import state_asset
from finai_assets.features.block import Block, block_ranges, read_block
from finai_assets.features.inputs import SNAPSHOTS
from finai_assets.features.registry import Group, Params, Registry
from finai_assets.features.sampling import customer_hash, lowest, rows_digest
from finai_assets.features.state import GroupState, load_states, store_states
from finai_assets.features.statistics import build_reference, effective_rank, enforce_missing_policy, measure
from finai_assets.settings import Settings
from finai_resources.errors import GateError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import part_of, report_progress

__all__ = ["fit_states", "load_states", "sample_rows", "store_states", "train_sample_digest", "transform_group"]


def sample_rows(
    session: LakeSession, settings: Settings, months: Sequence[Month] | None = None
) -> dict[Month, np.ndarray]:
    """Return the customers of each train month that fits may see: at most ``fit.rows`` rows, chosen by a seeded hash.

    Raises
    ------
    GateError
        A month is not a train month, or the train months hold no customer.
    """
    train = settings.dataset.splits.train
    if outside := [month.key for month in months or () if month not in train]:
        raise GateError(
            f"{outside} are not train months ({train.first}..{train.last})", where="fit", fix="fit on train months only"
        )
    found: dict[Month, tuple[np.ndarray, np.ndarray]] = {}
    for month in months or train:
        ids = np.sort(session.read(SNAPSHOTS, month.key, columns=["customer_id"])["customer_id"].to_numpy())
        found[month] = ids, customer_hash(ids, seed=settings.seed, salt="fit", month=month)
    hashes = np.concatenate([hashed for _, hashed in found.values()])
    if not len(hashes):
        raise GateError("the train months hold no customer", where=SNAPSHOTS, fix="ingest them first")
    limit = np.uint64(lowest(hashes, settings.fit.rows))
    return {month: ids[hashed <= limit] for month, (ids, hashed) in found.items()}


def train_sample_digest(session: LakeSession, settings: Settings, months: Sequence[Month] | None = None) -> str:
    """Return the digest of the train sample as the snapshots give it now; a state's ``row_digest`` must equal it."""
    return rows_digest(sample_rows(session, settings, months))


def fit_states(
    session: LakeSession,
    settings: Settings,
    registry: Registry,
    months: Sequence[Month] | None = None,
    *,
    groups: Iterable[Group | str] | None = None,
) -> dict[str, GroupState]:
    """Fit the groups that exist (or some of them) on train rows.

    Parameters
    ----------
    months
        The train months in use; by default those that the data set's ``splits.train`` names.

    Returns
    -------
    dict
        A state for each group, also for those without parameters: every column has a train reference.
    """
    chosen = list(registry.available) if groups is None else registry.select(groups)
    rows = sample_rows(session, settings, months)
    blocks = _sample_blocks(session, settings, rows)
    meta = {
        "rows": sum(len(ids) for ids in rows.values()),
        "row_digest": rows_digest(rows),
        "months": [month.key for month in sorted(rows)],
        "seed": settings.seed,
    }
    states = {}
    for done, group in enumerate(chosen):
        with part_of(f"fit {group.name}"):
            states[group.name] = _fit_group(group, blocks, settings, meta)
        report_progress(f"fit {group.name}", done + 1, len(chosen))
    return states


def _sample_blocks(session: LakeSession, settings: Settings, rows: dict[Month, np.ndarray]) -> list[Block]:
    """Read the sampled customers of each train month, range by range, so that only a range is ever decoded at once."""
    tasks = [
        (month, low, high)
        for month in sorted(rows)
        if len(rows[month])
        for low, high in block_ranges(session, month, settings)
    ]
    with ThreadPoolExecutor(settings.lake.workers) as pool:
        blocks = []
        for done, block in enumerate(pool.map(partial(_read_sampled, session, settings, rows), tasks)):
            blocks.append(block)
            report_progress("read train sample", done + 1, len(tasks))
    return blocks


def _read_sampled(
    session: LakeSession, settings: Settings, rows: dict[Month, np.ndarray], task: tuple[Month, int, int]
) -> Block:
    month, low, high = task
    ids = rows[month]
    return read_block(session, month, low, high, settings, customers=ids[(ids >= low) & (ids <= high)])


def _fit_group(group: Group, blocks: list[Block], settings: Settings, meta: dict[str, object]) -> GroupState:
    views = [block.view(group.columns) for block in blocks]
    params: Params = group.module.fit(views, group.narrowed(settings)) if group.fits else {}
    values = np.empty((sum(len(block) for block in views), len(group.columns)), np.float32, order="F")
    at = 0
    work = partial(_values, group, params, settings)
    with ThreadPoolExecutor(settings.lake.workers) as pool:
        for part in pool.map(work, views):
            values[at : at + len(part)] = part
            at += len(part)
    reference = build_reference(values, settings.statistics.psi_bins)
    enforce_missing_policy(group.columns, measure(values, reference), where=state_asset(group.name))
    spanned = effective_rank(values, reference)
    return GroupState(group.name, params, reference, {**meta, "columns": list(group.names), "effective_rank": spanned})


def _values(group: Group, params: Params, settings: Settings, view: Block) -> np.ndarray:
    return transform_group(group, view, params, settings)[0]


def transform_group(
    group: Group, view: Block, params: Params, settings: Settings
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return float32 [n, columns that the data set carries], column-major, and the side tensors by name."""
    if group.tensors:
        values, tensors = group.module.transform_with_tensors(view, params, group.narrowed(settings))
    else:
        values, tensors = group.module.transform(view, params, group.narrowed(settings)), {}
    if len(group.kept) != len(group.declared):
        values = values[:, list(group.kept)]
    return np.asfortranarray(values, dtype=np.float32), tensors
