"""From feature values to finished predictions: raw score, link, calibration.

A task has one student, or two layers of them: behind a copy of the teacher (layer 1) stands the student that learnt the labels
(layer 2), whose model is read only once the copy cannot answer. One row (the handler) and a matrix (the batch job) take the same
functions, so their answers are the same bits. Everything after LightGBM is plain arithmetic on Python floats, whose result does
not depend on a batch's size or a vector unit's width.
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from serving_lambda.errors import ServingError
from serving_lambda.lightgbm_c import Model
from serving_lambda.linear import LinearModel
from serving_lambda.links import calibrate, sigmoid, softmax

Scores = dict[str, list[float]]

LAYER_OF_ROUTE = {"DISTILL": 1, "CHOICE": 1, "DIRECT": 2, "SKIP": 3}
RULES_LAYER = 3
PRODUCT_MODEL = "product_share"  # the choice model: it travels like the student of a task, and is none
OUTSIDE_CONTRACT = "INPUT_OUTSIDE_CONTRACT"


class Student:
    """One model of a task and what turns its raw score into a prediction.

    Parameters
    ----------
    card : mapping
        The task's entry in the bundle's manifest: ``task, kind, classes, class_labels, columns, route, output_transform,
        init_score, calibrator``, and ``model``, the name of its file in a bundle.
    columns : sequence of str, or mapping of str to int
        All columns of the bundle's contract, in order, or each with its place there.
    layer : int, optional
        Which layer its predictions belong to; by default that of the route.
    open_model : callable, optional
        Returns the model when it is needed first, or raises a ``ServingError``.
    """

    def __init__(
        self,
        card: Mapping[str, Any],
        columns: Sequence[str] | Mapping[str, int],
        *,
        layer: int | None = None,
        open_model: Callable[[], Model | LinearModel] | None = None,
    ) -> None:
        self.task: str = card["task"]
        self.file: str | None = card.get("model")
        self.kind: str = card["kind"]
        self.route: str = card["route"]
        self.classes = int(card["classes"]) if self.kind == "multiclass" else 1
        self.class_labels: tuple[str, ...] = tuple(card.get("class_labels") or ())
        self.columns: tuple[str, ...] = tuple(card.get("columns") or ())
        place = columns if isinstance(columns, Mapping) else {name: index for index, name in enumerate(columns)}
        self.positions = tuple(place[name] for name in self.columns)
        self._pick = itemgetter(*self.positions, *self.positions[:1]) if self.positions else None
        self.transform: str = card.get("output_transform") or "identity"
        self.offsets = () if self.route == "SKIP" else _offsets(card["init_score"], self.classes)
        self.calibrator: Mapping[str, Any] = card.get("calibrator") or {"type": "none"}
        self.model: Model | LinearModel | None = None
        self.unavailable: str | None = "SKIPPED" if self.route == "SKIP" else None
        self.fallback: Student | None = None  # what serves the task where this one cannot
        self._layer = LAYER_OF_ROUTE[self.route] if layer is None else layer
        self._open, self._opening = open_model, threading.Lock()

    @property
    def layer(self) -> int:
        """Return 1 for a distilled student, 2 for a direct one, 3 where the rules stand in."""
        return RULES_LAYER if self.unavailable else self._layer

    def reads(self, columns: Collection[str]) -> bool:
        """Tell whether the model reads one of some columns."""
        return bool(columns) and any(name in columns for name in self.columns)

    def layers(self) -> Iterator[Student]:
        """Yield this student and those behind it, best first."""
        student: Student | None = self
        while student is not None:
            yield student
            student = student.fallback

    def ready(self) -> Model | LinearModel:
        """Return the model, which is read and parsed now if it has not been yet.

        Raises
        ------
        ServingError
            ``STUDENT_FILE_MISSING``, ``STUDENT_FILE_CORRUPT``, ``MODEL_UNREADABLE`` or ``ENGINE_UNAVAILABLE``; a student that
            could not be read once is not tried again.
        """
        if self.model is not None:
            return self.model
        if self._open is None:
            raise ServingError("PREDICTION_FAILED", "the task has no model", self.task)
        with self._opening:  # a second request that comes meanwhile waits
            if self.model is None and self.unavailable is None:
                try:
                    self.attach(self._open())
                except ServingError as error:
                    self.unavailable = error.code
        if self.model is None:
            raise ServingError(self.unavailable or "PREDICTION_FAILED", "the model could not be read", self.task)
        return self.model

    def attach(self, model: Model | LinearModel) -> None:
        """Give the student its model.

        Raises
        ------
        ServingError
            ``MODEL_UNREADABLE``: its shape, or the columns and products that it names, are not those of the manifest.
        """
        if model.columns != len(self.columns) or model.classes != self.classes:
            raise ServingError(
                "MODEL_UNREADABLE",
                f"the model has {model.columns} columns and {model.classes} outputs, its manifest says "
                f"{len(self.columns)} and {self.classes}",
                self.task,
            )
        if isinstance(model, LinearModel) and (model.names, model.products) != (self.columns, self.class_labels):
            raise ServingError("MODEL_UNREADABLE", "the model is of other columns or products", self.task)
        self.model = model

    def gather(self, row: Sequence[float]) -> array[float]:
        """Return the student's own columns of a contract row as float32."""
        if self._pick is None:
            return array("f")
        return array("f", self._pick(row)[:-1])  # one position is picked twice, so that itemgetter always gives a tuple

    def predict(self, row: Sequence[float]) -> list[float]:
        """Return the finished prediction of a contract row.

        Raises
        ------
        ServingError
            The model cannot be read, or failed.
        """
        model = self.model or self.ready()
        try:
            return self.finish(model.raw_row(self.gather(row)))
        except (ArithmeticError, ValueError) as error:
            raise ServingError("PREDICTION_FAILED", f"{type(error).__name__} after the model", self.task) from error

    def margins(self, row: Sequence[float]) -> list[float]:
        """Return what the link is applied to [classes], of a contract row: raw scores with initial score and temperature.

        Raises
        ------
        ServingError
            The model cannot be read, or failed.
        """
        return self.shift((self.model or self.ready()).raw_row(self.gather(row)))

    def shift(self, raw: Sequence[float]) -> list[float]:
        """Turn raw scores [classes] into margins [classes]."""
        shifted = [value + offset for value, offset in zip(raw, self.offsets, strict=True)]
        if self.calibrator["type"] == "temperature":
            shifted = [value / self.calibrator["temperature"] for value in shifted]
        return shifted

    def finish(self, raw: Sequence[float]) -> list[float]:
        """Turn raw scores [classes] into calibrated probabilities [classes], a probability [1], or a value [1]."""
        shifted = self.shift(raw)
        if self.transform == "sigmoid":
            return [calibrate(self.calibrator, sigmoid(shifted[0]))]
        if self.transform == "softmax":
            return softmax(shifted)
        return shifted


def _offsets(given: Sequence[float], classes: int) -> tuple[float, ...]:
    if len(given) != classes:
        raise ServingError("BUNDLE_UNREADABLE", f"init_score has {len(given)} values for {classes} outputs")
    return tuple(float(value) for value in given)


class Scored(NamedTuple):
    """The scores of one customer, and which student gave each.

    Parameters
    ----------
    scores : dict
        Task to finished prediction: a list of one number, or of one per class.
    students : mapping
        Task to the student whose prediction it is, for the tasks in ``scores``.
    failed : tuple
        Task and code of every student that could not be asked, or broke, now.
    product : Student or None
        The layer of the product model that gave ``margins``; None where the shares are train counts.
    margins : list or None
        The product model's margin of each product of the catalogue.
    """

    scores: Scores
    students: Mapping[str, Student]
    failed: tuple[tuple[str, str], ...] = ()
    product: Student | None = None
    margins: list[float] | None = None

    def layer(self, task: str) -> int:
        """Return the layer that serves a task, or the product model."""
        student = self.product if task == PRODUCT_MODEL else self.students.get(task)
        return RULES_LAYER if student is None else student.layer


def score_row(
    students: Mapping[str, Student],
    row: Sequence[float],
    *,
    product: Student | None = None,
    flagged: Collection[str] = frozenset(),
) -> Scored:
    """Score every task for one contract row, each by the best of its students that can.

    Parameters
    ----------
    product
        The best layer of the product model.
    flagged
        Columns whose values lie outside the contract; a student that reads one is not asked.
    """
    scores: Scores = {}
    used: dict[str, Student] = {}
    failed: list[tuple[str, str]] = []
    for task, best in students.items():
        if found := _first(best, row, flagged, failed, Student.predict):
            used[task], scores[task] = found
    spoke = _first(product, row, flagged, failed, Student.margins) if product else None
    return Scored(scores, used, tuple(failed), *(spoke or (None, None)))


def _first(
    best: Student,
    row: Sequence[float],
    flagged: Collection[str],
    failed: list[tuple[str, str]],
    ask: Callable[[Student, Sequence[float]], list[float]],
) -> tuple[Student, list[float]] | None:
    """Return the first layer that answers, with its answer; note why those before it did not."""
    if best.unavailable:
        return None
    for student in best.layers():
        if student.reads(flagged):
            failed.append((student.task, OUTSIDE_CONTRACT))
            continue
        try:
            return student, ask(student, row)
        except ServingError as error:
            failed.append((student.task, error.code))
    return None


def raw_matrix(student: Student, matrix: Any, rows: int, *, threads: int = 1) -> list[Sequence[float]]:
    """Return a student's raw scores [classes] of each row; ``matrix`` is read where it lies (:func:`score_matrix`)."""
    raw = student.ready().raw(matrix, rows, threads=threads)
    return [raw[at : at + student.classes] for at in range(0, rows * student.classes, student.classes)]


def score_matrix(student: Student, matrix: Any, rows: int, *, threads: int = 1) -> list[list[float]]:
    """Score one student's task for many rows.

    Parameters
    ----------
    matrix : float32 buffer [rows, student's columns], C order
        Read where it lies.

    Returns
    -------
    list
        One finished prediction per row, bit-equal to :func:`score_row`'s.

    Raises
    ------
    ServingError
        The model is not there, or failed.
    """
    return [student.finish(raw) for raw in raw_matrix(student, matrix, rows, threads=threads)]
