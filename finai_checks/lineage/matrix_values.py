"""C16, values: rows of the training matrix hold, bit for bit, what is stored of exactly their customer and month.

Hashes on the way (``lineage_complete``) say which partitions a matrix was made from, not that it holds their values: an edit of
what joins them could give a row another month's features, or write a label into a column. Here a sample of rows of every month
is read again, column by column, by code that shares nothing with what builds the matrix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc as pa_ipc

from finai_assets.asset_graph import group_asset, label_asset
from finai_assets.features.registry import Registry
from finai_assets.labels.task import Task
from finai_assets.training.matrix import TrainingMatrix
from finai_checks.framework.check import CheckOutcome
from finai_resources.lake_session import LakeSession

SHOWN = 8


@dataclass
class Compared:
    """Values of the matrix beside stored ones.

    Parameters
    ----------
    wrong : dict
        Rows that differ in a bit, by what is compared (a column, ``label:task``, ``group.tensor``).
    strays : list of str
        Rows that should be there and are not, or the reverse, in words.
    """

    values: int = 0
    rows: int = 0
    wrong: dict[str, int] = field(default_factory=dict)
    strays: list[str] = field(default_factory=list)

    def add(self, name: str, held: np.ndarray, stored: np.ndarray) -> None:
        """Compare float32 [n] or [n, d] bit for bit; NaN equals NaN."""
        bits = [np.ascontiguousarray(values, np.float32).view(np.uint32) for values in (held, stored)]
        unequal = (bits[0] != bits[1]) & ~(np.isnan(held) & np.isnan(stored))
        self.values += unequal.size
        if count := int(unequal.reshape(len(unequal), -1).any(axis=1).sum()):
            self.wrong[name] = self.wrong.get(name, 0) + count


def compare_matrix(
    session: LakeSession,
    matrix: TrainingMatrix,
    registry: Registry,
    tasks: Sequence[Task],
    months: Mapping[str, Sequence[str]],
    *,
    rows: int,
    seed: int,
) -> Compared:
    """Read a sample of the rows of every month again.

    Parameters
    ----------
    months
        Keys of the months of each split, as the platform lays them out.
    rows
        Of each month, at most.

    Raises
    ------
    LakeError
        A partition that the matrix was made from is gone or damaged.
    """
    found = Compared()
    rng = np.random.default_rng([seed, 16])
    for split, of_split in months.items():
        there = sorted(set(matrix.month[matrix.split == split].tolist()))
        if there != sorted(of_split):
            found.strays.append(f"{split} holds the months {_some(there)} instead of {_some(sorted(of_split))}")
        for month in there:
            at = np.flatnonzero((matrix.split == split) & (matrix.month == month))
            whole = session.read(registry.available[0].asset, month, columns=["customer_id"])["customer_id"].to_numpy()
            found.strays += _strays(split, month, matrix.customer[at], whole)
            chosen = np.sort(rng.choice(at, min(rows, len(at)), replace=False))
            found.rows += len(chosen)
            _compare_month(found, session, matrix, registry, tasks, month, chosen)
    return found


def matrix_of_stored_values(found: Compared) -> CheckOutcome:
    """Return whether every compared value is the stored one."""
    if not found.values:
        return CheckOutcome.no_evidence(rows=found.rows)
    reasons = list(found.strays)
    if found.wrong:
        worst = sorted(found.wrong, key=lambda name: (-found.wrong[name], name))
        named = ", ".join(f"{name} ({found.wrong[name]} rows)" for name in worst[:SHOWN])
        more = f" and {len(worst) - SHOWN} more" if len(worst) > SHOWN else ""
        reasons.append(f"{len(worst)} columns of the matrix are not what is stored of their month: {named}{more}")
    table = [{"value": name, "rows": count, "passed": False} for name, count in sorted(found.wrong.items())]
    observed = {"rows": found.rows, "differing": len(found.wrong), "strays": len(found.strays)}
    return CheckOutcome(not reasons, "; ".join(reasons), found.values, observed, table)


def _compare_month(
    found: Compared,
    session: LakeSession,
    matrix: TrainingMatrix,
    registry: Registry,
    tasks: Sequence[Task],
    month: str,
    at: np.ndarray,
) -> None:
    customer, place = matrix.customer[at], {name: index for index, name in enumerate(matrix.columns)}
    held = np.asarray(matrix.X[at])
    for group in registry.available:
        table = _rows_of(session.read(group.asset, month), customer)
        for name in group.names:
            found.add(name, held[:, place[name]], _floats(table[name]))
    for task in tasks:
        label = _rows_of(session.read(label_asset(task.name), month), customer)["label"]
        classes = matrix.task(task.name).class_labels
        found.add(f"label:{task.name}", matrix.labels[task.name][at], _classes(label, task, classes))
    first = 0
    for tensor in matrix.tensors:
        assert matrix.side is not None  # noqa: S101 -- a matrix that lists tensors holds them
        stored = _tensor(session, group_asset(tensor.group), month, f"{tensor.name}.arrow", customer)
        part = np.asarray(matrix.side[at, first : first + tensor.size])
        found.add(f"{tensor.group}.{tensor.name}", part, stored)
        first += tensor.size


def _strays(split: str, month: str, customer: np.ndarray, stored: np.ndarray) -> Iterator[str]:
    """Say who is in the matrix and not in the month, or twice; train rows may be a sample, the others are whole."""
    where = f"{split} {month}"
    if len(np.unique(customer)) < len(customer):
        yield f"{where} holds a customer twice"
    if foreign := len(np.setdiff1d(customer, stored)):
        yield f"{where} holds {foreign} customers that the month does not have"
    if split != "train" and (lost := len(np.setdiff1d(stored, customer))):
        yield f"{where} lacks {lost} customers of the month"


def _rows_of(table: pa.Table, customer: np.ndarray) -> pa.Table:
    """Return one row for each customer, null throughout where there is none."""
    return table.take(pc.index_in(pa.array(customer), table["customer_id"].combine_chunks()))


def _floats(column: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(column.cast(pa.float32()).to_numpy())


def _classes(label: pa.ChunkedArray, task: Task, classes: Sequence[str]) -> np.ndarray:
    """Return labels as the matrix holds them: a code of a fitted vocabulary is the place of its text, any other the last."""
    if task.vocabulary is None:
        return _floats(label)
    place = {text: index for index, text in enumerate(classes[:-1])}
    codes = [np.nan if code is None else place.get(str(code), len(place)) for code in label.to_pylist()]
    return np.array(codes, np.float32)


def _tensor(session: LakeSession, asset: str, month: str, role: str, customer: np.ndarray) -> np.ndarray:
    """Return float32 [n, size], NaN for a customer that the file does not hold."""
    table = pa_ipc.open_file(pa.BufferReader(session.read_bytes(asset, month, role))).read_all()
    values = table["values"].combine_chunks()
    flat = values.flatten().to_numpy().reshape(len(values), -1)
    at = pc.index_in(pa.array(customer), table["customer_id"].combine_chunks())
    known = at.is_valid().to_numpy(zero_copy_only=False)
    taken = np.full((len(customer), flat.shape[1]), np.nan, np.float32)
    taken[known] = flat[at.drop_null().to_numpy()]
    return taken


def _some(keys: Sequence[str]) -> str:
    return f"{keys[0]}..{keys[-1]} ({len(keys)})" if keys else "none"
