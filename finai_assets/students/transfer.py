"""The transfer set: rows of purged months with the teacher's answers, from which copies learn beside the train rows.

A copy needs no label. The months between the splits have features and no label that anybody may use, so that they cost nothing
but the teacher's answers (Bucila, Caruana, Niculescu-Mizil, KDD 2006, who made such rows up). All of their customers are taken,
those too whom ``teacher.max_train_rows`` has left out of the train rows. Only months before test are taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import TRANSFER
from finai_assets.features.registry import Registry
from finai_assets.features.sampling import sample_customers
from finai_assets.settings import Settings
from finai_assets.teacher.predictions import load_predictions, predictions_table
from finai_assets.teacher.result import TeacherResult, predict
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import MatrixTask, month_features
from finai_assets.training.side import SideTensor, fill_side, width_of
from finai_resources.errors import LakeError
from finai_resources.json_text import to_json
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.partition_writer import PartitionWriter
from finai_resources.progress import report_progress

SPLIT = "transfer"  # what the rows record as their split
ARRAY, DESCRIPTION = "X.npy", "transfer_set.json"


@dataclass(frozen=True)
class TransferSet:
    """Rows of purged months, by month and customer.

    Parameters
    ----------
    columns : tuple of str
        Those that copies read, in the order of the training matrix.
    X : float32 [m, columns], memory-mapped
    month : str [m]
    customer : int64 [m]
    predictions : dict of task to float32 [m] or [m, classes]
        The teacher's answers.
    """

    columns: tuple[str, ...]
    X: np.ndarray
    month: np.ndarray
    customer: np.ndarray
    predictions: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.customer)

    def features(self, names: Sequence[str]) -> np.ndarray:
        """Return float32 [m, names].

        Raises
        ------
        LakeError
            The set holds no such column.
        """
        place = {name: index for index, name in enumerate(self.columns)}
        if absent := [name for name in names if name not in place]:
            raise LakeError(
                f"columns {absent[:3]} are not in the transfer set", where=TRANSFER, fix=f"materialise {TRANSFER} again"
            )
        return np.ascontiguousarray(self.X[:, [place[name] for name in names]])

    @property
    def rows(self) -> FittedRows:
        """Return its rows, as a copy that has learned from them records them."""
        months = np.unique(self.month)
        return FittedRows.of_months(SPLIT, {Month.parse(str(m)): self.customer[self.month == m] for m in months})


@dataclass(frozen=True)
class MonthAnswered:
    """One month's rows of a transfer set: all columns, and the teacher's answers."""

    month: Month
    customer: np.ndarray
    X: np.ndarray
    predictions: Mapping[str, np.ndarray]


def transfer_customers(
    session: LakeSession, settings: Settings, registry: Registry, months: Sequence[Month]
) -> dict[Month, np.ndarray]:
    """Return the customers of some months, int64 [n] each.

    Of more than ``students.transfer_rows`` rows those of whole customers are kept, drawn by a seeded hash.
    """
    asset = registry.available[0].asset
    ids = {m: session.read(asset, m.key, columns=["customer_id"])["customer_id"].to_numpy() for m in months}
    everyone = np.concatenate(list(ids.values()))
    kept = sample_customers(everyone, slice(0, len(everyone)), settings.students.transfer_rows, settings.seed)
    wanted = np.unique(everyone[kept])
    found = {month: customer[np.isin(customer, wanted)] for month, customer in ids.items()}
    return {month: customer for month, customer in found.items() if len(customer)}


@dataclass(frozen=True)
class Answering:
    """What it takes to let a stored teacher answer customers of any month.

    Parameters
    ----------
    tensors
        The side tensors of the training matrix.
    """

    session: LakeSession
    settings: Settings
    registry: Registry
    teacher: TeacherResult
    tensors: Sequence[SideTensor]

    def answer(self, month: Month, customer: np.ndarray) -> MonthAnswered:
        """Return the features of some customers of a month (int64 [n], ascending), and the teacher's answers.

        Raises
        ------
        LakeError
            A feature partition is absent, or two groups of the month disagree about its customers.
        """
        X = np.empty((len(customer), len(self.registry.columns)), np.float32)
        block = self.settings.lake.block_customers
        for begin in range(0, len(customer), block):
            wanted = customer[begin : begin + block]
            ids, values = month_features(self.session, month, self.registry, int(wanted[0]), int(wanted[-1]))
            X[begin : begin + block] = values[np.searchsorted(ids, wanted)]
        side = None
        if self.tensors:
            side = np.empty((len(customer), width_of(self.tensors)), np.float32)
            fill_side(self.session, self.registry, self.tensors, month.key, customer, side)
        return MonthAnswered(month, customer, X, predict(self.teacher, X, self.teacher.settings.batch_rows, side)[0])

    def answered(self, customers: Mapping[Month, np.ndarray]) -> Iterator[MonthAnswered]:
        """Yield the rows of some months, one month in memory at a time."""
        for done, (month, customer) in enumerate(customers.items()):
            report_progress("transfer set", done, len(customers))
            yield self.answer(month, customer)


def write_transfer_set(
    months: Iterator[MonthAnswered], matrix_columns: Sequence[str], columns: Sequence[str], writer: PartitionWriter
) -> dict[str, int]:
    """Write months as a transfer set, and return the rows of each.

    Parameters
    ----------
    matrix_columns
        The columns of the months, in order.
    columns
        Those to keep.
    writer
        An open partition; gets the table of rows and answers, ``X.npy`` and ``transfer_set.json``.
    """
    kept = [index for index, name in enumerate(matrix_columns) if name in set(columns)]
    parts, rows = [], dict[str, int]()
    for entry in months:
        parts.append(entry.X[:, kept])
        rows[entry.month.key] = len(entry.customer)
        keys = {"month": pa.repeat(entry.month.key, len(entry.customer)), "customer_id": pa.array(entry.customer)}
        answers = predictions_table(entry.predictions, {}, {})
        writer.write(pa.table({**keys, **{name: answers[name] for name in answers.column_names}}))
    np.save(writer.new_file(ARRAY), np.concatenate(parts), allow_pickle=False)
    writer.put(DESCRIPTION, to_json({"columns": [matrix_columns[index] for index in kept], "rows": rows}, indent=1))
    return rows


def load_transfer_set(session: LakeSession, tasks: Sequence[MatrixTask]) -> TransferSet:
    """Open the transfer set; ``X`` stays on disk.

    Raises
    ------
    LakeError
        It is absent, or its files do not agree.
    """
    table, columns = session.read(TRANSFER), tuple(session.read_json(TRANSFER, None, DESCRIPTION)["columns"])
    X: np.ndarray = np.load(session.local_path(TRANSFER, None, ARRAY), mmap_mode="r", allow_pickle=False)
    if X.shape != (table.num_rows, len(columns)):
        raise LakeError(
            f"{ARRAY} is {X.shape}, the table has {table.num_rows} rows, and {len(columns)} columns are listed",
            where=TRANSFER,
            fix=f"materialise {TRANSFER} again",
        )
    month = np.array(table["month"].to_pylist(), dtype=np.str_)
    return TransferSet(columns, X, month, table["customer_id"].to_numpy(), load_predictions(table, tasks))
