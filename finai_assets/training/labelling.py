"""Labels of the training matrix as numbers: class indices, masks, and persistence forecasts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow.compute as pc

from finai_assets.asset_graph import label_asset
from finai_assets.labels.persistence import aligned
from finai_assets.labels.task import Task, TaskKind, available
from finai_assets.reference import resolve
from finai_assets.settings import Settings
from finai_assets.training.fitted_rows import FittedRows
from finai_resources.errors import GateError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

OTHER = "other"


@dataclass(frozen=True, slots=True)
class MatrixTask:
    """A task as the models see it: ``classes`` is 1 unless the task is multiclass, ``class_labels`` name its classes.

    ``fitted_on`` records the labelled rows that the classes were counted on; None where they are known beforehand.
    """

    name: str
    kind: TaskKind
    classes: int
    class_labels: tuple[str, ...]
    weight: float
    focal: tuple[float, float] | None
    group: str
    fitted_on: FittedRows | None = None

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> MatrixTask:
        """Restore a task from the JSON of its ``dataclasses.asdict``."""
        focal = tuple(stored["focal"]) if stored["focal"] else None
        fitted_on = FittedRows.from_json(stored["fitted_on"]) if stored.get("fitted_on") else None
        return cls(**{**stored, "class_labels": tuple(stored["class_labels"]), "focal": focal, "fitted_on": fitted_on})


def matrix_tasks(session: LakeSession, tasks: Sequence[Task], train: Sequence[Month]) -> tuple[MatrixTask, ...]:
    """Return the available tasks with their classes; a vocabulary is fitted on the train months' labels."""
    return tuple(_described(session, task, train) for task in available(tuple(tasks)))


def _described(session: LakeSession, task: Task, train: Sequence[Month]) -> MatrixTask:
    names, fitted_on = task.class_names, None
    if task.vocabulary is not None:
        names, fitted_on = class_vocabulary(session, task, train)
    return MatrixTask(task.name, task.kind, max(1, len(names)), names, task.weight, task.focal, task.group, fitted_on)


def class_vocabulary(session: LakeSession, task: Task, train: Sequence[Month]) -> tuple[tuple[str, ...], FittedRows]:
    """Return the most frequent codes of the train labels (ties by the smaller code), then ``other``; and the rows counted.

    Raises
    ------
    GateError
        No row of these months has a label.
    """
    counted: dict[int, int] = {}
    labelled: dict[Month, np.ndarray] = {}
    for month in train:
        table = session.read(task.asset, month.key, columns=["customer_id", "label"]).filter(
            pc.field("label").is_valid()
        )
        labelled[month] = table["customer_id"].to_numpy()
        for entry in pc.value_counts(table["label"]).to_pylist():
            counted[entry["values"]] = counted.get(entry["values"], 0) + entry["counts"]
    if not counted:
        raise GateError(
            "no train row has a label", where=task.asset, fix="declare the task in dataset.unavailable_tasks"
        )
    ordered = sorted(counted, key=lambda code: (-counted[code], code))
    return (*(str(code) for code in ordered[: task.vocabulary]), OTHER), FittedRows.of_months("train", labelled)


def read_labels(
    session: LakeSession, month: Month, customer: np.ndarray, tasks: Sequence[MatrixTask]
) -> dict[str, np.ndarray]:
    """Return the label of each task for ascending customers of a month, float32, NaN where there is none.

    Raises
    ------
    GateError
        A customer has no row in a label partition, or a label is no class of its task.
    """
    found = {}
    for task in tasks:
        where = f"{label_asset(task.name)}@{month.key}"
        table = session.read(label_asset(task.name), month.key, columns=["customer_id", "label"])
        found[task.name] = _as_classes(task, aligned(table, "label", customer, where))
        known = found[task.name][~np.isnan(found[task.name])]
        if task.kind == "multiclass" and len(known) and not 0 <= known.min() <= known.max() < task.classes:
            raise GateError(
                f"labels reach from {known.min():g} to {known.max():g}, the task has {task.classes} classes",
                where=where,
                fix="materialise the label again",
            )
    return found


def read_persistence(
    session: LakeSession,
    month: Month,
    customer: np.ndarray,
    tasks: Sequence[MatrixTask],
    rows: Sequence[Task],
    settings: Settings,
) -> dict[str, np.ndarray]:
    """Return the persistence forecasts, float32, NaN where undefined, of the tasks that have one.

    Parameters
    ----------
    rows
        The rows of the table that ``tasks`` were described from; they name the forecasts.
    """
    named = {row.name: row.persistence for row in rows if row.persistence}
    # Forecasts of codes come after the others: a stored matrix has its columns in this order.
    chosen = sorted((task for task in tasks if task.name in named), key=lambda task: task.fitted_on is not None)
    return {
        task.name: _as_classes(task, resolve(named[task.name])(session, month, customer, settings)) for task in chosen
    }


def _as_classes(task: MatrixTask, values: np.ndarray) -> np.ndarray:
    """Return labels as float32; codes of a fitted vocabulary become classes, those outside it ``other``."""
    if task.fitted_on is None:
        return values.astype(np.float32)
    known = np.array([int(code) for code in task.class_labels[:-1]], np.float64)
    order = np.argsort(known)
    at = np.minimum(np.searchsorted(known[order], values), len(known) - 1)
    classes = np.where(known[order][at] == values, order[at], len(known))
    return np.where(np.isnan(values), np.nan, classes).astype(np.float32)
