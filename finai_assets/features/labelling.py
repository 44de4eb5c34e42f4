"""Labels of the training matrix as numbers: class indices, masks, and what persistence would forecast."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.features.events import read_events
from finai_assets.features.fitted_rows import FittedRows
from finai_assets.features.inputs import SNAPSHOTS
from finai_assets.labels.tasks import NEXT_MCC_TOP, Task, TaskKind, available
from finai_assets.partitions import look_back
from finai_assets.settings import Settings
from finai_resources.errors import GateError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.sql_text import quoted
from finai_resources.warehouse import Warehouse

OTHER = "other"
NONE = "none"


@dataclass(frozen=True, slots=True)
class MatrixTask:
    """A task as the models see it: ``classes`` is 1 unless the task is multiclass, ``class_labels`` name its classes.

    ``fitted_on`` tells the labelled rows that the classes were counted on; None where they are known beforehand.
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
        """Read what ``dataclasses.asdict`` and JSON made of a task."""
        focal = tuple(stored["focal"]) if stored["focal"] else None
        fitted_on = FittedRows.from_json(stored["fitted_on"]) if stored.get("fitted_on") else None
        return cls(**{**stored, "class_labels": tuple(stored["class_labels"]), "focal": focal, "fitted_on": fitted_on})


def matrix_tasks(
    session: LakeSession, settings: Settings, tasks: Sequence[Task], train: Sequence[Month]
) -> tuple[MatrixTask, ...]:
    """Return the available tasks with their classes; the vocabulary of ``next_mcc`` is fitted on the train months' labels."""
    names: dict[str, tuple[str, ...]] = {
        "nba_primary": (NONE, *settings.families),
        "segment_prediction": tuple(settings.dataset.segments),
    }
    described = []
    no_fit: FittedRows | None = None
    for task in available(tuple(tasks)):
        labels, fitted_on = names.get(task.name, ()), no_fit
        if task.kind == "multiclass" and task.name not in names:
            labels, fitted_on = mcc_vocabulary(session, task, train)
        classes = max(1, len(labels))
        described.append(
            MatrixTask(task.name, task.kind, classes, labels, task.weight, task.focal, task.group, fitted_on)
        )
    return tuple(described)


def mcc_vocabulary(session: LakeSession, task: Task, train: Sequence[Month]) -> tuple[tuple[str, ...], FittedRows]:
    """Return the most frequent codes of the train labels (ties by the smaller code), then ``other``; and the rows counted.

    Raises
    ------
    GateError
        No row of these months has a label.
    """
    labelled: dict[Month, np.ndarray] = {}
    for month in train:
        table = session.read(task.asset, month.key, columns=["customer_id", "label"])
        labelled[month] = table.filter(pc.field("label").is_valid())["customer_id"].to_numpy()
    if not any(map(len, labelled.values())):
        raise GateError(
            "no train row has a label", where=task.asset, fix="declare the task in dataset.unavailable_tasks"
        )
    ordered = (
        Warehouse(session)
        .query(
            f"SELECT label FROM labels.{quoted(task.name)} WHERE label IS NOT NULL GROUP BY label "  # noqa: S608 - quoted
            "ORDER BY count(*) DESC, label",
            reads={task.asset: [month.key for month in train]},
        )["label"]
        .to_pylist()
    )
    vocabulary = (*(str(code) for code in ordered[:NEXT_MCC_TOP]), OTHER)
    return vocabulary, FittedRows.of_months("train", labelled)


class LabelReader:
    """Reads the labels and the persistence forecasts of some rows of a month as float32, NaN where there is none."""

    def __init__(self, session: LakeSession, settings: Settings, tasks: Sequence[MatrixTask]) -> None:
        self.session, self.settings = session, settings
        self.tasks = {task.name: task for task in tasks}

    def labels(self, month: Month, customer: np.ndarray) -> dict[str, np.ndarray]:
        """Return the label of each task for ascending customers.

        Raises
        ------
        GateError
            A customer has no row in a label partition, or a label is no class of its task.
        """
        found = {}
        for name, task in self.tasks.items():
            table = self.session.read(f"labels/{name}", month.key, columns=["customer_id", "label"])
            values = _aligned(table, "label", customer, f"labels/{name}@{month.key}")
            found[name] = self._mcc_classes(values) if name == "next_mcc" else values.astype(np.float32)
            known = found[name][~np.isnan(found[name])]
            if task.kind == "multiclass" and len(known) and not 0 <= known.min() <= known.max() < task.classes:
                raise GateError(
                    f"labels reach from {known.min():g} to {known.max():g}, the task has {task.classes} classes",
                    where=f"labels/{name}@{month.key}",
                    fix="materialise the label again",
                )
        return found

    def persistence(self, month: Month, customer: np.ndarray) -> dict[str, np.ndarray]:
        """Return what "nothing changes" forecasts, for the tasks that have such a forecast."""
        found = {}
        if "product_stability" in self.tasks:
            found["product_stability"] = np.ones(len(customer), np.float32)
        if "segment_prediction" in self.tasks:
            found["segment_prediction"] = self._segment_now(month, customer)
        if "next_mcc" in self.tasks:
            found["next_mcc"] = self._mcc_classes(self._last_mcc(month, customer))
        return found

    def _mcc_classes(self, codes: np.ndarray) -> np.ndarray:
        """Return the class of each MCC (float64, NaN = none); a code outside the vocabulary is ``other``."""
        vocabulary = self.tasks["next_mcc"].class_labels
        known = np.array([int(code) for code in vocabulary[:-1]], np.float64)
        order = np.argsort(known)
        at = np.minimum(np.searchsorted(known[order], codes), len(known) - 1)
        classes = np.where(known[order][at] == codes, order[at], len(vocabulary) - 1)
        return np.where(np.isnan(codes), np.nan, classes).astype(np.float32)

    def _segment_now(self, month: Month, customer: np.ndarray) -> np.ndarray:
        table = self.session.read(SNAPSHOTS, month.key, columns=["customer_id", "segment"])
        known = pa.array(list(self.settings.dataset.segments), table.schema.field("segment").type)
        index = pc.index_in(table["segment"], value_set=known, skip_nulls=True)
        return _aligned(table.append_column("index", index), "index", customer, f"{SNAPSHOTS}@{month.key}").astype(
            np.float32
        )

    def _last_mcc(self, month: Month, customer: np.ndarray) -> np.ndarray:
        """Return the MCC of the last transaction before the cutoff as float64, NaN where the look-back has none."""
        found = np.full(len(customer), np.nan)
        for past in reversed(look_back(month, self.settings)):
            missing = np.flatnonzero(np.isnan(found))
            if not len(missing):
                break
            events = read_events(self.session, [past], customer[missing], since=past.start_us, cutoff=past.cutoff_us)
            has = np.diff(events.start) > 0
            found[missing[has]] = events.mcc[events.start[1:][has] - 1]
        return found


def _aligned(table: pa.Table, name: str, customer: np.ndarray, where: str) -> np.ndarray:
    """Return a column as float64 for the given customers, null as NaN, whatever the order of the table's rows."""
    ids = table["customer_id"].to_numpy()
    values = pc.cast(table[name], pa.float64()).to_numpy()
    order = np.argsort(ids, kind="stable")
    at = np.minimum(np.searchsorted(ids, customer, sorter=order), max(0, len(ids) - 1))
    if not len(ids) or (ids[order[at]] != customer).any():
        absent = len(customer) if not len(ids) else int((ids[order[at]] != customer).sum())
        raise GateError(
            f"{absent} of {len(customer)} customers have no row", where=where, fix="materialise it again for this month"
        )
    return np.asarray(values[order[at]], np.float64)
