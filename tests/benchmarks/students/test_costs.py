"""Rows are drawn up to a number, every student is timed, and a copy that is cut is the copy of so many rounds."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.students.costs import budget_curve, enlarge, render_budget, render_time, time_students
from finai_assets.settings import Settings


def test_train_rows_are_drawn_and_the_other_splits_stay(made: Any) -> None:
    larger, index = enlarge(made.matrix, 2000, seed=1)
    train = larger.rows("train")
    assert train == slice(0, 2000)
    assert (made.matrix.split[index[train]] == "train").all()
    assert len(np.unique(index[train])) > 700  # of 800
    assert np.array_equal(larger.X, made.matrix.X[index])
    assert np.array_equal(larger.labels["spend"], made.matrix.labels["spend"][index], equal_nan=True)
    for split in ("validation", "test"):
        assert np.array_equal(larger.X[larger.rows(split)], made.matrix.X[made.matrix.rows(split)])
    assert (np.diff(index) >= 0).all()  # sorted by split, month and customer, as it was
    assert enlarge(made.matrix, 100, seed=1)[0].rows("train") == slice(0, 100)


def test_every_student_is_timed(made: Any, chosen: Settings) -> None:
    found = time_students(made.matrix, made.predictions, SimpleNamespace(names=made.matrix.columns), chosen)  # type: ignore[arg-type]
    assert list(found["stages"]) == ["columns", "churn", "family", "spend"]
    assert found["rows"] == 800
    assert all(stage["wall_s"] > 0 for stage in found["stages"].values())
    assert found["wall_s"] == pytest.approx(sum(stage["wall_s"] for stage in found["stages"].values()))
    assert found["peak_mib"] > 50
    assert render_time(found).row_count == 5


def test_a_copy_that_is_cut_is_the_copy_of_so_many_rounds(made: Any, chosen: Settings) -> None:
    tasks = [made.matrix.task("churn"), made.matrix.task("family")]
    curve = budget_curve(made.matrix, made.predictions, chosen, tasks=tasks, cuts=(5, 10, 400))
    assert [(entry["task"], entry["rounds"]) for entry in curve] == [
        *(("churn", rounds) for rounds in (5, 10, 40)),
        *(("family", rounds) for rounds in (5, 10, 15)),
    ]
    for first, second in pairwise(curve):
        if first["task"] == second["task"]:
            assert first["leaves"] < second["leaves"]
            assert first["bytes"] < second["bytes"]
            assert first["explained_variance"] < second["explained_variance"]
    assert [entry["trees"] for entry in curve] == [5, 10, 40, 15, 30, 45]  # three classes, three trees a round
    rounds = chosen.students.rounds.model_copy(update={"binary": 10})
    shorter = chosen.model_copy(update={"students": chosen.students.model_copy(update={"rounds": rounds})})
    (last,) = budget_curve(made.matrix, made.predictions, shorter, tasks=tasks[:1], cuts=(400,))
    assert last == curve[1]
    assert render_budget(curve).row_count == 6
    stopped = {**curve[2], "rounds": 800}  # as large as before: it has no row of its own
    assert render_budget([*curve[:3], stopped]).row_count == 3


def test_a_copy_grows_on_however_little_its_leaves_explain(made: Any, chosen: Settings) -> None:
    sparing = chosen.model_copy(update={"students": chosen.students.model_copy(update={"least_explained": 0.9})})
    tasks = [made.matrix.task("churn")]
    curves = [budget_curve(made.matrix, made.predictions, s, tasks=tasks, cuts=(5, 40)) for s in (chosen, sparing)]
    assert curves[0] == curves[1]
