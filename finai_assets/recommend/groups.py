"""Customers who are served by the same models, and what these predict for them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np

from finai_assets.choice.model import ChoiceModel, Squash
from serving_lambda.bundle import Bundle
from serving_lambda.contract import Customer
from serving_lambda.errors import ServingError
from serving_lambda.linear import LinearModel
from serving_lambda.path import permitted
from serving_lambda.ports import KillSwitch
from serving_lambda.scorer import PRODUCT_MODEL, RULES_LAYER, Student, raw_matrix

Layers = Mapping[str, tuple[Student, ...]]  # task, or the product model, to the students that may be asked, best first


@dataclass(frozen=True)
class Group:
    """Customers of one block for whom the same students may be asked.

    Parameters
    ----------
    at : int64 [n]
        Their places in the block.
    customers : sequence of Customer [n]
    rows : float32 [n, contract columns]
    layers : mapping
        What serves each ranking task and the product model; a task without one has no term.
    """

    at: np.ndarray
    customers: Sequence[Customer]
    rows: np.ndarray
    layers: Layers


@dataclass(frozen=True)
class Predicted:
    """What the models of a group say.

    Parameters
    ----------
    students : mapping
        Task to the student that predicted it.
    scores : mapping
        Task to float64 [n, outputs].
    product : Student or None
        The product model's layer, None where the shares are train counts.
    margins : float64 [n, products] or None
        Its margins.
    """

    students: Mapping[str, Student]
    scores: Mapping[str, np.ndarray]
    product: Student | None
    margins: np.ndarray | None

    def layer(self, task: str) -> int:
        """Return the layer that serves a task, or the product model."""
        student = self.product if task == PRODUCT_MODEL else self.students.get(task)
        return RULES_LAYER if student is None else student.layer


def grouped(
    bundle: Bundle,
    customers: Sequence[Customer],
    rows: np.ndarray,
    switch: KillSwitch | None = None,
    tasks: Collection[str] | None = None,
) -> list[Group]:
    """Divide a block by which students read no column that is outside its contract for the customer.

    Parameters
    ----------
    rows : float32 [n, contract columns]
    switch
        Stops models.
    tasks
        Those to be asked; by default those that ranking uses.
    """
    students, product_model, _ = permitted(bundle, switch)
    wanted = bundle.ranking.tasks if tasks is None else tasks
    asked = {task: student for task, student in students.items() if task in wanted}
    if product_model is not None:
        asked[PRODUCT_MODEL] = product_model
    sound = {task: tuple(student.layers()) for task, student in asked.items() if not student.unavailable}
    members: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    layers: dict[tuple[tuple[int, ...], ...], Layers] = {}
    for place, customer in enumerate(customers):
        flagged = frozenset(flag.column for flag in customer.flags)
        own = sound
        if flagged:
            own = {task: tuple(s for s in students if not s.reads(flagged)) for task, students in sound.items()}
        key = tuple(tuple(map(id, students)) for students in own.values())
        members.setdefault(key, []).append(place)
        layers.setdefault(key, own)
    return [
        Group(np.array(places), [customers[place] for place in places], rows[places], layers[key])
        for key, places in members.items()
    ]


def predicted(group: Group, threads: int) -> Predicted:
    """Return what the models of a group say.

    A student that fails makes way for the layer below it, as in the handler. Where a task has none left, the error is raised: a
    month can wait for a sound bundle, a single request cannot.
    """
    students: dict[str, Student] = {}
    scores: dict[str, np.ndarray] = {}
    product, margins = None, None
    for task, layers in group.layers.items():
        if not layers:
            continue
        student, values = _first(task, layers, group.rows, threads)
        if task == PRODUCT_MODEL:
            product, margins = student, values
        else:
            students[task], scores[task] = student, values
    return Predicted(students, scores, product, margins)


def with_shares_from(layer: int, group: Group, found: Predicted) -> Predicted:
    """Return predictions whose product model is no better than of a layer; of the last one there is none."""
    if found.layer(PRODUCT_MODEL) >= layer:
        return found
    below = [student for student in group.layers[PRODUCT_MODEL] if student.layer >= layer]
    if not below:
        return replace(found, product=None, margins=None)
    student, margins = _first(PRODUCT_MODEL, below, group.rows, threads=1)
    return replace(found, product=student, margins=margins)


def choice_model_of(student: Student) -> ChoiceModel:
    """Return the arrays of a choice model that serving has read."""
    model = student.ready()
    assert isinstance(model, LinearModel)  # noqa: S101 - its file is read as one
    squash = Squash(*(np.array(part) for part in (model.size, model.center, model.scale)))
    weights = np.array(model.weights).reshape(model.classes, model.columns)
    return ChoiceModel(student.class_labels, student.columns, squash, np.array(model.intercept), weights)


def _first(task: str, layers: Sequence[Student], rows: np.ndarray, threads: int) -> tuple[Student, np.ndarray]:
    """Return the first student that answers, with its predictions (of the product model: margins) [n, outputs]."""
    failed: ServingError | None = None
    for student in layers:
        matrix = np.ascontiguousarray(rows[:, student.positions])
        try:
            if task == PRODUCT_MODEL:
                return student, choice_model_of(student).scores(matrix)
            raw = raw_matrix(student, matrix, len(rows), threads=threads)
        except ServingError as error:
            failed = failed or error
        else:
            values = np.fromiter(chain.from_iterable(map(student.finish, raw)), np.float64, len(rows) * student.classes)
            return student, values.reshape(len(rows), student.classes)
    raise failed or ServingError("PREDICTION_FAILED", "the task has no model", task)
