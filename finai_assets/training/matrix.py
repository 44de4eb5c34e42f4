"""The training matrix: feature columns, side tensors, labels and splits, row by row, in memory-mapped arrays.

Rows are sorted by split (train, validation, test), then month, then customer. Nothing is fitted here but the class vocabularies
of tasks whose labels are codes, on train labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import MATRIX
from finai_assets.features.catalogue import Catalogue, read_catalogue
from finai_assets.features.registry import Registry
from finai_assets.features.sampling import customer_hash, lowest
from finai_assets.labels.task import Task
from finai_assets.settings import Settings
from finai_assets.training.labelling import MatrixTask, matrix_tasks, read_labels, read_persistence
from finai_assets.training.side import SideTensor, fill_side, routed_tensors, width_of
from finai_resources.errors import GateError, LakeError
from finai_resources.json_text import to_json
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.partition_writer import PartitionWriter
from finai_resources.progress import report_progress

__all__ = ["MatrixTask", "TrainingMatrix", "build_matrix", "load_matrix", "month_features"]

ASSET = MATRIX
SPLITS = ("train", "validation", "test")
ARRAY, SIDE, DESCRIPTION = "X.npy", "side.npy", "matrix.json"


@dataclass(frozen=True)
class TrainingMatrix:
    """Features and labels of the rows of all splits, row-aligned.

    Parameters
    ----------
    X : float32 [n, columns], memory-mapped
    customer : int64 [n]
    month, split : str [n]
        ``2015-01``; ``train``, ``validation`` or ``test``.
    labels : dict of float32 [n]
        By task; NaN where the label is not defined; the class index of a multiclass task.
    persistence : dict of float32 [n]
        The persistence forecast, for the tasks that have one.
    columns : tuple of str
    tasks : tuple of MatrixTask
    side : float32 [n, total], memory-mapped, or None where no tensor is stored
        The side tensors of each row, flattened, side by side.
    tensors : tuple of SideTensor
        The tensors in ``side``, in its order.
    catalogue : Catalogue
        Product families and the merchant tree.
    """

    X: np.ndarray
    customer: np.ndarray
    month: np.ndarray
    split: np.ndarray
    labels: dict[str, np.ndarray]
    persistence: dict[str, np.ndarray]
    columns: tuple[str, ...]
    tasks: tuple[MatrixTask, ...]
    side: np.ndarray | None = None
    tensors: tuple[SideTensor, ...] = ()
    catalogue: Catalogue = field(default_factory=Catalogue.none)

    def __len__(self) -> int:
        return len(self.customer)

    @cached_property
    def _slices(self) -> dict[str, slice]:
        bounds = {}
        for name in SPLITS:
            at = np.flatnonzero(self.split == name)
            bounds[name] = slice(int(at[0]), int(at[-1]) + 1) if len(at) else slice(0, 0)
        return bounds

    def rows(self, split: str) -> slice:
        """Return where the rows of a split lie."""
        return self._slices[split]

    def task(self, name: str) -> MatrixTask:
        """Return a task by name."""
        return next(task for task in self.tasks if task.name == name)


@dataclass(frozen=True)
class _Chunk:
    """Rows of one split and month, in the order of customers."""

    split: str
    month: Month
    customer: np.ndarray


def build_matrix(
    session: LakeSession,
    settings: Settings,
    registry: Registry,
    tasks: Sequence[Task],
    splits_months: Mapping[str, Sequence[Month]],
    writer: PartitionWriter,
) -> dict[str, Any]:
    """Write the training matrix and return its description (what ``matrix.json`` holds).

    Parameters
    ----------
    tasks
        Those that the data set cannot carry are left out.
    splits_months
        Snapshot months of ``train``, ``validation`` and ``test``.
    writer
        An open partition; gets ``X.npy``, the table of row keys, labels and persistence values, ``matrix.json`` and, where an
        expert is routed to side tensors, ``side.npy``.

    Raises
    ------
    GateError
        A month is in two splits, a split is empty, or labels do not cover the rows.
    LakeError
        A feature or label partition is absent, or two groups of a month disagree about its customers.
    """
    chunks = _plan(session, settings, registry, splits_months)
    described = matrix_tasks(session, tasks, sorted(splits_months["train"]))
    rows = sum(len(chunk.customer) for chunk in chunks)
    X = writer.new_array(ARRAY, (rows, len(registry.columns)))
    tensors = routed_tensors(registry, settings)
    side = writer.new_array(SIDE, (rows, width_of(tensors))) if tensors else None
    at = 0
    for done, chunk in enumerate(chunks):
        _fill(session, settings, registry, chunk, X[at : at + len(chunk.customer)])
        if side is not None:
            part = side[at : at + len(chunk.customer)]
            fill_side(session, registry, tensors, chunk.month.key, chunk.customer, part)
        labels = read_labels(session, chunk.month, chunk.customer, described)
        persistence = read_persistence(session, chunk.month, chunk.customer, described, tasks, settings)
        writer.write(_row_table(chunk, labels, persistence), row_group_size=65_536)
        at += len(chunk.customer)
        report_progress("training matrix", done + 1, len(chunks))
    for array in (X, side):
        if array is not None:
            array.flush()
    del X, side
    description = {
        "columns": list(registry.names),
        "tensors": [tensor.to_dict() for tensor in tensors],
        "catalogue": {
            name: values.tolist()
            for name, values in asdict(read_catalogue(session, settings.dataset.unavailable_tables)).items()
        },
        "tasks": [asdict(task) for task in described],
        "rows": {name: sum(len(c.customer) for c in chunks if c.split == name) for name in SPLITS},
        "months": {name: [month.key for month in sorted(splits_months[name])] for name in SPLITS},
    }
    writer.put(DESCRIPTION, to_json(description, indent=1))
    return description


def load_matrix(source: LakeSession | Lake) -> TrainingMatrix:
    """Open the training matrix; ``X`` and ``side`` stay on disk.

    Raises
    ------
    LakeError
        It is absent, or its files do not agree.
    """
    session = source if isinstance(source, LakeSession) else LakeSession(source)
    described = session.read_json(ASSET, None, DESCRIPTION)
    table = session.read(ASSET)
    tensors = tuple(SideTensor.from_dict(values) for values in described.get("tensors", ()))
    X = _open_array(session, ARRAY, table.num_rows, len(described["columns"]))

    def prefixed(prefix: str) -> dict[str, np.ndarray]:
        return {n.removeprefix(prefix): table[n].to_numpy() for n in table.column_names if n.startswith(prefix)}

    return TrainingMatrix(
        X=X,
        customer=table["customer_id"].to_numpy(),
        month=_texts(table["month"]),
        split=_texts(table["split"]),
        labels=prefixed("label:"),
        persistence=prefixed("persist:"),
        columns=tuple(described["columns"]),
        tasks=tuple(MatrixTask.from_json(task) for task in described["tasks"]),
        side=_open_array(session, SIDE, table.num_rows, width_of(tensors)) if tensors else None,
        tensors=tensors,
        catalogue=_catalogue(described.get("catalogue")),
    )


def _catalogue(described: Mapping[str, list[int]] | None) -> Catalogue:
    if described is None:
        return Catalogue.none()
    return Catalogue(*(np.array(described[entry.name], np.int32) for entry in fields(Catalogue)))


def _open_array(session: LakeSession, role: str, rows: int, columns: int) -> np.ndarray:
    array: np.ndarray = np.load(session.local_path(ASSET, None, role), mmap_mode="r", allow_pickle=False)
    if array.shape != (rows, columns):
        raise LakeError(
            f"{role} is {array.shape}, the table has {rows} rows, and {columns} columns are listed",
            where=ASSET,
            fix="materialise the training matrix again",
        )
    return array


def month_features(
    session: LakeSession, month: Month, registry: Registry, low: int, high: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the customers ``low .. high`` of a month (int64 [n]) and their features (float32 [n, columns], row-major).

    Raises
    ------
    LakeError
        A group's partition is absent, lacks a column, or holds other customers than the first group's.
    """
    ids: np.ndarray | None = None
    columns: list[np.ndarray] = []
    for group in registry.available:
        table = session.read_customers(group.asset, month.key, low, high)
        where = f"{group.asset}@{month.key}"
        if absent := set(group.names) - set(table.column_names):
            raise LakeError(
                f"columns are absent: {sorted(absent)[:3]}", where=where, fix=f"materialise {group.asset} again"
            )
        found = table["customer_id"].to_numpy()
        if ids is None:
            ids = found
        elif not np.array_equal(ids, found):
            raise LakeError(
                f"the partition holds {len(found)} customers of the range, {registry.available[0].asset} holds {len(ids)}, "
                "and they differ",
                where=where,
                fix="materialise all groups of this month from the same raw tables",
            )
        columns += [table[name].to_numpy() for name in group.names]
    if ids is None:
        raise LakeError("the data set carries no column", where="feature_groups", fix="see dataset.unavailable_columns")
    return ids, _rows_of(columns, len(ids))


def _rows_of(columns: Sequence[np.ndarray], rows: int, *, tile: int = 256) -> np.ndarray:
    """Lay columns side by side as rows, a tile at a time, so that the written rows stay in the cache."""
    out = np.empty((rows, len(columns)), np.float32)
    for begin in range(0, rows, tile):
        out[begin : begin + tile] = np.array([column[begin : begin + tile] for column in columns]).T
    return out


def _plan(
    session: LakeSession, settings: Settings, registry: Registry, splits_months: Mapping[str, Sequence[Month]]
) -> list[_Chunk]:
    """Return the customers of each split and month; train rows above the limit are sampled by customer."""
    owners: dict[Month, str] = {}
    chunks = []
    for split in SPLITS:
        for month in sorted(splits_months.get(split, ())):
            if month in owners:
                raise GateError(
                    f"{month} is in {owners[month]} and in {split}", where="splits", fix="give each month one split"
                )
            owners[month] = split
            table = session.read(registry.available[0].asset, month.key, columns=["customer_id"])
            chunks.append(_Chunk(split, month, table["customer_id"].to_numpy()))
        if not any(chunk.split == split and len(chunk.customer) for chunk in chunks):
            raise GateError(f"the split {split} has no rows", where="splits", fix="give it a month that has features")
    return _sampled(chunks, settings)


def _sampled(chunks: list[_Chunk], settings: Settings) -> list[_Chunk]:
    limit = settings.teacher.max_train_rows
    train = [chunk for chunk in chunks if chunk.split == "train"]
    if sum(len(chunk.customer) for chunk in train) <= limit:
        return chunks
    hashes = {c.month: customer_hash(c.customer, seed=settings.seed, salt="train rows") for c in train}
    pooled = np.concatenate(list(hashes.values()))
    highest = np.uint64(lowest(pooled, limit))
    # A customer is taken with all months or not at all: the last one goes where the limit cuts through its months.
    whole = (pooled <= highest).sum() <= limit
    keep = {month: (h <= highest) if whole else (h < highest) for month, h in hashes.items()}
    return [_Chunk(c.split, c.month, c.customer[keep[c.month]]) if c.split == "train" else c for c in chunks]


def _fill(session: LakeSession, settings: Settings, registry: Registry, chunk: _Chunk, rows: np.ndarray) -> None:
    """Write the features of a chunk's customers, as many at a time as a block holds."""
    step = settings.lake.block_customers
    for begin in range(0, len(chunk.customer), step):
        wanted = chunk.customer[begin : begin + step]
        ids, values = month_features(session, chunk.month, registry, int(wanted[0]), int(wanted[-1]))
        rows[begin : begin + len(wanted)] = values if len(ids) == len(wanted) else values[np.searchsorted(ids, wanted)]


def _row_table(chunk: _Chunk, labels: Mapping[str, np.ndarray], persistence: Mapping[str, np.ndarray]) -> pa.Table:
    n = len(chunk.customer)
    columns: dict[str, Any] = {
        "customer_id": chunk.customer,
        "month": pa.repeat(chunk.month.key, n),
        "split": pa.repeat(chunk.split, n),
    }
    columns |= {f"label:{name}": values for name, values in labels.items()}
    columns |= {f"persist:{name}": values for name, values in persistence.items()}
    return pa.table(columns)


def _texts(column: pa.ChunkedArray) -> np.ndarray:
    encoded = column.dictionary_encode().combine_chunks()
    words = np.array(encoded.dictionary.to_pylist(), dtype=np.str_)
    return words[encoded.indices.to_numpy()]
