"""What moved the shown products of a group, with the arithmetic of :mod:`serving_lambda.attribution` on arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from finai_assets.recommend.groups import Group, Predicted, choice_model_of
from finai_assets.recommend.ranked import BY_RULES, Shares, Shown
from serving_lambda.attribution import LEAST, slope, tells_apart
from serving_lambda.bundle import Bundle
from serving_lambda.catalogue import ANY
from serving_lambda.scorer import Student


def contributions_of(
    bundle: Bundle,
    group: Group,
    found: Predicted,
    shown: Shown,
    shares: Shares,
    part: slice,
    threads: int,
) -> np.ndarray:
    """Return the contribution of every contract column to some shown products.

    Parameters
    ----------
    part
        Which of the shown products.

    Returns
    -------
    float64 [rows, contract columns]
        0 where the rules chose the product.
    """
    customer, product, source = shown.customer[part], shown.product[part], shown.source[part]
    total = np.zeros((len(customer), len(bundle.names)))
    by_task: dict[tuple[str, str], list[int]] = {}
    by_set: dict[tuple[int, ...], list[int]] = {}
    outputs = np.zeros(len(customer), np.int64)
    for row, (place, origin) in enumerate(zip(product.tolist(), source.tolist(), strict=True)):
        if origin != BY_RULES:
            term = bundle.ranking.sources[place][origin]
            outputs[row] = term.output
            if tells_apart(term.kind, by_model=found.product is not None):
                by_task.setdefault((term.task, term.kind), []).append(row)
            by_set.setdefault(term.members, []).append(row)
    for (task, kind), rows in by_task.items():
        values = _task_part(
            found.students[task], found.scores[task], group.rows, customer[rows], outputs[rows], kind, threads
        )
        total[np.ix_(rows, found.students[task].positions)] += values
    model = found.product
    if model is not None:
        for members, rows in by_set.items():
            values = _share_part(model, members, shares[members], group.rows, customer[rows], product[rows])
            total[np.ix_(rows, model.positions)] += values
    return total


def _explained(model: Any, student: Student, rows: np.ndarray, threads: int) -> np.ndarray:
    """Return TreeSHAP values without base values, float64 [n, outputs, columns]."""
    matrix = np.ascontiguousarray(rows[:, student.positions])
    values = np.asarray(model.contributions(matrix, len(matrix), threads=threads))
    return values.reshape(len(matrix), model.classes, len(student.columns) + 1)[:, :, :-1]


def _task_part(
    student: Student,
    scores: np.ndarray,
    rows: np.ndarray,
    customer: np.ndarray,
    output: np.ndarray,
    kind: str,
    threads: int,
) -> np.ndarray:
    """Return a task's part in some shown products, float64 [rows, student's columns]."""
    once, where = np.unique(customer, return_inverse=True)
    values = _explained(student.ready(), student, rows[once], threads)
    factor = slope(student)
    if student.classes == 1:
        return (factor * (1.0 - scores[customer, 0]))[:, None] * values[where, 0]
    mean = np.zeros((len(once), values.shape[2]))
    for place in range(student.classes):
        mean = mean + scores[once, place][:, None] * values[:, place]
    if kind == ANY:
        excluded = scores[customer, output]
        factors = factor * -(excluded / np.maximum(1.0 - excluded, LEAST))
        return np.asarray(factors[:, None] * (values[where, output] - mean[where]))
    return np.asarray(factor * (values[where, output] - mean[where]))


def _share_part(
    model: Student,
    members: Sequence[int],
    shares: np.ndarray,
    rows: np.ndarray,
    customer: np.ndarray,
    product: np.ndarray,
) -> np.ndarray:
    """Return the choice model's part in some shown products of one choice set, float64 [rows, its columns].

    Parameters
    ----------
    shares : float64 [n, members]
        0 where a member is not open.
    """
    once, where = np.unique(customer, return_inverse=True)
    choice = choice_model_of(model)
    inputs = choice.squash.apply(rows[once][:, model.positions])
    mean = np.zeros_like(inputs)
    for place, member in enumerate(members):
        mean = mean + shares[once, place][:, None] * (inputs * choice.weights[member])
    return np.asarray(inputs[where] * choice.weights[product] - mean[where])


def strongest_of(contributions: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the places of the largest contributions by size, ties in column order; zeros are left out.

    Returns
    -------
    tuple of int64 [m]
        Rows, ascending, and columns, largest first within a row.
    """
    size, every = np.abs(contributions), np.arange(len(contributions))
    places = np.zeros((len(contributions), min(count, contributions.shape[1])), dtype=np.int64)
    for rank in range(places.shape[1]):  # a few passes take a tenth of the time of sorting some hundred columns
        places[:, rank] = size.argmax(axis=1)  # the first of equals
        size[every, places[:, rank]] = -1.0
    rows, ranks = np.nonzero(contributions[every[:, None], places] != 0.0)
    return rows, places[rows, ranks]
