"""Students of the small matrix, and reasons that a teacher of it would give."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.settings import Settings
from finai_assets.students.columns import choose_columns
from finai_assets.students.report.explanations import explained_rows
from finai_assets.students.report.summary import Reasons, summarise
from finai_assets.students.train import StudentResult, train_student
from tests.finai_assets.students.conftest import COLUMNS, TASKS, Toy

EXPLAINED = 60
GROUPS = {name: f"group_{number % 5}" for number, name in enumerate(COLUMNS)}


def top_of(toy: Toy, task: str, values: np.ndarray) -> pa.Table:
    """Return the stored list of the first ten inputs of the first test rows, float [rows, columns] of attributions."""
    rows = toy.matrix.rows("test").start + np.arange(len(values))
    order = np.argsort(-np.abs(values), axis=1)[:, :10]
    named = np.array(COLUMNS)[order].ravel()
    return pa.table(
        {
            "customer_id": np.repeat(toy.matrix.customer[rows], 10),
            "month": np.repeat(toy.matrix.month[rows], 10).astype(str),
            "task": [task] * named.size,
            "rank": np.tile(np.arange(1, 11), len(values)),
            "input": named,
            "group": [GROUPS[name] for name in named],
            "attribution": np.take_along_axis(values, order, 1).ravel().astype(np.float32),
        }
    )


@pytest.fixture(scope="session")
def once(toy: Toy) -> Toy:
    """Return the small matrix with one month of every customer apart, as the real one has them."""
    months = np.where(np.arange(len(toy.matrix)) % 2 == 0, "2015-01", "2015-02")
    return replace(toy, matrix=replace(toy.matrix, month=months))


@pytest.fixture(scope="session")
def students(once: Toy, chosen: Settings) -> dict[str, StudentResult]:
    columns = choose_columns(once.matrix, once.teacher, chosen)
    return {
        name: train_student(task, once.matrix, once.teacher[name], once.registry, chosen, columns=columns[name])
        for name, task in TASKS.items()
    }


@pytest.fixture(scope="session")
def reasons(once: Toy) -> Reasons:
    """Of the binary task alone: the terms of its logit, which the teacher of the small matrix is."""
    known = np.nan_to_num(once.matrix.X[once.matrix.rows("test")][:EXPLAINED])
    values = np.zeros((EXPLAINED, len(COLUMNS)))
    values[:, 0], values[:, 1] = 1.5 * known[:, 0], known[:, 1]
    values += np.random.default_rng(0).normal(0, 1e-3, values.shape)
    table = top_of(once, "churn", values)
    return Reasons(explained_rows(table, once.matrix), {name: name for name in COLUMNS}, GROUPS)


@pytest.fixture(scope="session")
def summary(once: Toy, students: dict[str, StudentResult], reasons: Reasons, chosen: Settings) -> dict[str, Any]:
    measured = {"churn": {"noise": 0.1, "figures": {"kl": 0.001, "pair_order": 0.99}}}
    ceiling = {"noise_ceiling": {"tasks": measured}, "accepted": {"spend": "a person has accepted that it is direct"}}
    settings = chosen.model_copy(
        update={"students": type(chosen.students).model_validate({**chosen.students.model_dump(), **ceiling})}
    )
    return summarise(students, once.matrix, once.teacher, reasons, settings, {"only_a_rule"})
