"""The true conditional law of each label, given the full state at the cutoff: the ceiling above any model.

A task's row names its :class:`Truth`; the functions stand in :mod:`finai_assets.ingest.synthetic.truths`, a module for each
family. Generation is given the rows, and knows no task by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from finai_assets.ingest.synthetic.cutoff import Cutoff, NextMonth
from finai_assets.ingest.synthetic.law import Law
from finai_assets.ingest.synthetic.population import Population
from finai_assets.ingest.synthetic.record import Record
from finai_assets.reference import resolve


@dataclass(frozen=True, slots=True)
class Truth:
    """The law and the outcome of a task's label on generated customers.

    Parameters
    ----------
    law : (Cutoff, parameters) -> float [n] or [n, classes]
        Probability of a binary label, expectation of a regression, or law of the classes; NaN where the label cannot be defined.
    outcome : (NextMonth, parameters) -> float [n]
        The label that happened, for the report; NaN where it is not defined. Models learn from the one that is derived from raw
        tables (``finai_assets.labels``); a test holds the two together.
    squared_error : (Cutoff, parameters) -> float, or None
        Of a simulated law: the sum over customers of its squared standard error.
    of_leaves : bool
        Whether the classes are the merchant categories, in the order of their codes.
    """

    law: Callable[[Cutoff, Any], np.ndarray]
    outcome: Callable[[NextMonth, Any], np.ndarray]
    squared_error: Callable[[Cutoff, Any], float] | None = None
    of_leaves: bool = False


class TaskRow(Protocol):
    """What generation reads of a task's row."""

    @property
    def name(self) -> str:
        """Return the task's name."""

    @property
    def kind(self) -> str:
        """Return binary, multiclass or regression."""

    @property
    def parameters(self) -> Any:
        """Return the arguments of its law beside the state."""

    @property
    def truth(self) -> str | None:
        """Return a reference to its :class:`Truth`, None where there is none."""


@dataclass(frozen=True, slots=True)
class TaskTruth:
    """The truth of one task: its law with its parameters."""

    task: str
    kind: str
    truth: Truth
    parameters: Any


def task_truths(rows: Iterable[TaskRow]) -> tuple[TaskTruth, ...]:
    """Return the truths of the tasks that have one, in order."""
    return tuple(
        TaskTruth(row.name, row.kind, resolve(row.truth), row.parameters) for row in rows if row.truth is not None
    )


@dataclass(frozen=True, slots=True)
class MonthTruth:
    """Truths of one block and month, for the customers at ``rows``.

    ``values`` maps a task to float32 [rows] (probability or expectation; NaN where the label can't be defined) or
    [rows, classes]; ``squared_error`` maps a simulated task to the sum over rows of its squared standard error; ``acquires`` is
    the probability that each product is acquired, float32 [rows, products], whatever the tasks.
    """

    rows: np.ndarray
    values: dict[str, np.ndarray]
    squared_error: dict[str, float]
    acquires: np.ndarray


def month_truth(
    rng: np.random.Generator,
    month: int,
    people: Population,
    record: Record,
    law: Law,
    truths: Sequence[TaskTruth],
    draws: int,
) -> MonthTruth:
    """Return the truths of the customers who have a snapshot in a month.

    Parameters
    ----------
    rng : Generator
        Used by simulated truths alone.
    month : int
        Position of the snapshot month in the record; the label window is the month after it.
    draws : int
        Simulated label windows per customer.
    """
    state = Cutoff(np.flatnonzero(record.present[:, month]), month, people, record, law, rng, draws)
    values = {of.task: of.truth.law(state, of.parameters).astype(np.float32) for of in truths}
    errors = {
        of.task: of.truth.squared_error(state, of.parameters) for of in truths if of.truth.squared_error is not None
    }
    return MonthTruth(state.rows, values, errors, state.acquires.astype(np.float32))
