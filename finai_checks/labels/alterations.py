"""C45, the audit: labels derived again, by the product's own code, where everything that they may not read is altered.

The raw tables of a sample of customers are copied into a lake that lives for the length of the check. What the task declares
stays as it is: its columns, in its months, in ``[cutoff, cutoff + horizon)`` or the window before. All else becomes garbage:
the months before and after, the other columns, and lines at the very ends of the windows.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import SNAPSHOTS, TRANSACTIONS
from finai_assets.labels.derive import compute_labels
from finai_assets.labels.task import Task
from finai_assets.settings import Settings
from finai_checks.framework.check import CheckOutcome
from finai_checks.framework.raw import sampled_rows, sampled_transactions
from finai_checks.labels.recomputed import differing
from finai_checks.point_in_time.sample import sample_of_kinds
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month, month_range

AROUND = 3  # months before and after the windows that are given, altered, beside those that exist
VERSION = "audit"


@dataclass(frozen=True, slots=True)
class Again:
    """A task's labels, derived again from altered raw tables: how many, how many differ, how many raw values were altered."""

    task: str
    labels: int
    differing: int
    altered: int


def labels_see_their_window_alone(rows: Sequence[Again]) -> CheckOutcome:
    """Return whether the labels of every task stayed as stored when all that the task does not declare was altered."""
    labels = sum(row.labels for row in rows)
    if not rows or not all(row.labels and row.altered for row in rows):
        return CheckOutcome.no_evidence(tasks=len(rows))
    reason = "; ".join(
        f"{row.differing} of {row.labels} labels of {row.task} change with what it does not declare"
        for row in rows
        if row.differing
    )
    observed = {"tasks": len(rows), "altered_values": sum(row.altered for row in rows)}
    return CheckOutcome(not reason, reason, labels, observed, [asdict(row) for row in rows])


def derive_again(session: LakeSession, task: Task, month: Month, settings: Settings, *, customers: int) -> Again:
    """Derive a task's labels of a month, for a sample of customers, from raw tables altered outside its declaration.

    Raises
    ------
    LakeError
        A raw partition, or the label, is absent or damaged.
    """
    sample = sample_of_kinds(session, month, customers, settings)
    if not len(sample):
        return Again(task.name, 0, 0, 0)
    stored = sampled_rows(session, task.asset, month, sample).sort_by("customer_id").combine_chunks()
    with tempfile.TemporaryDirectory(prefix="finai-labels-") as folder:
        lake = Lake.on_disk(folder, compression="none")
        altered = _write_altered(session, lake, task, month, sample, settings)
        compute_labels(LakeSession(lake), month, (task,), settings, versions=one_version(VERSION))
        again = lake.read(task.asset, month.key).sort_by("customer_id").combine_chunks()
    if again["customer_id"].equals(stored["customer_id"]):
        wrong = int(differing(*(table["label"].combine_chunks() for table in (stored, again))).sum())
    else:
        wrong = len(stored)
    return Again(task.name, len(stored), wrong, altered)


def _write_altered(
    session: LakeSession, lake: Lake, task: Task, month: Month, sample: np.ndarray, settings: Settings
) -> int:
    """Write the raw tables with all altered that a task does not declare; return how many values are."""
    rng = np.random.default_rng([settings.seed, month.ordinal])
    horizon, raw = settings.horizon_months, settings.dataset.raw_months
    kept = {
        table: {month + offset for offset in task.window.months(table, horizon)} for table in (SNAPSHOTS, TRANSACTIONS)
    }
    reached = {past for months in kept.values() for past in months}
    altered = 0
    for past in month_range(max(raw.first, min(reached) - AROUND), min(raw.last, max(reached) + AROUND)):
        snapshots = sampled_rows(session, SNAPSHOTS, past, sample).sort_by("customer_id").combine_chunks()
        lines = sampled_transactions(session, settings, past, sample).combine_chunks()
        # Who is present in the label's own month is part of every definition; what they hold then is not.
        declared = _declared(task, SNAPSHOTS) if _content(task, past, month, kept[SNAPSHOTS]) else set()
        changed, count = _shuffled(snapshots, {"customer_id", *declared}, rng)
        altered += count
        with lake.write(SNAPSHOTS, past.key) as out:
            out.write(changed)
        declared = {"ts", *_declared(task, TRANSACTIONS)} if past in kept[TRANSACTIONS] else set()
        changed, count = _shuffled(lines, {"customer_id", *declared}, rng)
        strangers = (
            _out_of_window(lines, month, horizon, task, rng) if past in kept[TRANSACTIONS] else lines.slice(0, 0)
        )
        altered += count + len(strangers)
        with lake.write(TRANSACTIONS, past.key) as out:
            out.write(
                pa.concat_tables([changed, strangers]).sort_by([("customer_id", "ascending"), ("ts", "ascending")])
            )
    return altered


def _content(task: Task, past: Month, month: Month, kept: set[Month]) -> bool:
    return past in kept and (past != month or task.window.history_months > 0)


def _declared(task: Task, table: str) -> set[str]:
    return {name.removeprefix(f"{table}.") for name in task.inputs if name.startswith(f"{table}.")}


def _shuffled(table: pa.Table, kept: set[str], rng: np.random.Generator) -> tuple[pa.Table, int]:
    """Return a table with every column but some in another order of rows, and how many values moved."""
    count = 0
    for index, field in enumerate(table.schema):
        if field.name not in kept and len(table) > 1:
            table = table.set_column(index, field, table[field.name].take(pa.array(rng.permutation(len(table)))))
            count += len(table)
    return table, count


def _out_of_window(lines: pa.Table, month: Month, horizon: int, task: Task, rng: np.random.Generator) -> pa.Table:
    """Return lines at the first instants outside the windows that a task declares, one before and one after."""
    begin = month - horizon if task.window.events_before else month
    until = month + horizon if task.window.events_after else month
    picked = lines.take(pa.array(rng.integers(0, len(lines), min(len(lines), 200))))
    instants = np.where(rng.random(len(picked)) < 0.5, begin.cutoff_us - 1, until.cutoff_us)
    index = picked.schema.get_field_index("ts")
    field = picked.schema.field(index)
    return picked.set_column(index, field, pa.array(instants).cast(field.type))
