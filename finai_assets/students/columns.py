"""The columns of every student, chosen together on train rows: a copy's on its teacher's output, a direct student's on labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from finai_assets.asset_graph import COLUMNS
from finai_assets.features.sampling import sample_customers
from finai_assets.settings import Settings
from finai_assets.students.distill import Aim, bin_probe, probe_gain
from finai_assets.students.rows import TaskRows
from finai_assets.students.select import select_columns
from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.errors import LakeError
from finai_resources.json_text import to_json
from finai_resources.progress import report_progress

FILE = "columns.json"
AIMS: tuple[Aim, ...] = ("copy", "direct")
_CURVE = (5, 10, 20, 40, 80, 160, 320)  # numbers of columns at which the gathered gain is published


@dataclass(frozen=True)
class TaskColumns:
    """The columns of one task's models, by aim, the rows on which they were chosen, and the share of gain that they gather.

    Parameters
    ----------
    names : dict of aim to tuple of str
        In the order of the matrix.
    fitted_on : dict of aim to FittedRows
    gathered : dict of aim to dict of int to float
        Share of the probe's gain that the best 5, 10, 20, ... columns have together.
    """

    names: Mapping[str, tuple[str, ...]]
    fitted_on: Mapping[str, FittedRows]
    gathered: Mapping[str, Mapping[int, float]]


def choose_columns(
    matrix: TrainingMatrix,
    predictions: Mapping[str, np.ndarray],
    settings: Settings,
    *,
    displayable: frozenset[str] = frozenset(),
    rule_columns: frozenset[str] = frozenset(),
) -> dict[str, TaskColumns]:
    """Choose the columns of all students from a sample of the train rows.

    Parameters
    ----------
    predictions : dict of task to float32 [n] or [n, classes]
        The teacher's, row-aligned with the matrix.
    displayable
        Columns whose meaning may be told to a customer.
    rule_columns
        Columns that the rules read; a request brings them too.
    """
    students, inputs = settings.students, settings.inputs
    readable = np.array([at for at, name in enumerate(matrix.columns) if not inputs.withholds(name)], dtype=np.int64)
    sample = sample_customers(matrix.customer, matrix.rows("train"), students.probe.rows, settings.seed)
    binned = bin_probe(np.ascontiguousarray(matrix.X[sample][:, readable]), settings)
    gains: dict[str, np.ndarray] = {}
    fitted: dict[str, FittedRows] = {}
    for number, task in enumerate(matrix.tasks):
        report_progress(f"columns of {task.name}", number, len(matrix.tasks))
        rows = TaskRows(task, matrix, predictions[task.name], settings)
        part = rows.everyone("train").take(sample - matrix.rows("train").start)
        for aim in AIMS:
            at = np.arange(len(sample)) if aim == "copy" else np.flatnonzero(np.isfinite(part.label))
            target = rows.target(part.take(at), aim)
            fitted[f"{task.name}/{aim}"] = FittedRows.of(matrix, sample[at])
            gains[f"{task.name}/{aim}"] = (
                probe_gain(task.kind, aim, binned, at, target, settings)
                if len(at) and np.ptp(target, axis=0).max() > 0
                else np.zeros(len(readable))
            )
    names = [matrix.columns[place] for place in readable]
    chosen = select_columns(
        gains,
        names,
        students,
        aims={f"{task.name}/{aim}": aim for task in matrix.tasks for aim in AIMS},
        displayable=displayable,
        reserved=len(rule_columns),
    )
    return {
        task.name: TaskColumns(
            {aim: tuple(names[i] for i in chosen[f"{task.name}/{aim}"]) for aim in AIMS},
            {aim: fitted[f"{task.name}/{aim}"] for aim in AIMS},
            {aim: _gathered(gains[f"{task.name}/{aim}"]) for aim in AIMS},
        )
        for task in matrix.tasks
    }


def union_of(columns: Mapping[str, TaskColumns]) -> tuple[str, ...]:
    """Return every column that some model reads, sorted."""
    return tuple(sorted({name for task in columns.values() for names in task.names.values() for name in names}))


def to_file(columns: Mapping[str, TaskColumns]) -> bytes:
    """Return ``columns.json``; equal choices have equal bytes."""
    return to_json({"tasks": {task: asdict(entry) for task, entry in columns.items()}}, indent=1)


def from_file(content: bytes) -> dict[str, TaskColumns]:
    """Read what :func:`to_file` wrote.

    Raises
    ------
    LakeError
        It is none.
    """
    try:
        return {task: _task(entry) for task, entry in json.loads(content)["tasks"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise LakeError(f"{FILE} cannot be read ({error})", where=COLUMNS, fix="choose the columns again") from error


def _task(entry: Mapping[str, Any]) -> TaskColumns:
    return TaskColumns(
        {aim: tuple(names) for aim, names in entry["names"].items()},
        {aim: FittedRows.from_json(rows) for aim, rows in entry["fitted_on"].items()},
        {aim: {int(count): share for count, share in curve.items()} for aim, curve in entry["gathered"].items()},
    )


def _gathered(gain: np.ndarray) -> dict[int, float]:
    total = gain.sum()
    together = np.cumsum(np.sort(gain)[::-1])
    return {count: float(together[min(count, len(gain)) - 1] / total) for count in _CURVE} if total > 0 else {}
