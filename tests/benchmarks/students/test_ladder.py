"""Each step of the ladder changes what it says it changes, and is measured beside the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.students.ladder import (
    PURGED,
    RECOMBINED,
    STEPS,
    ColumnChooser,
    climb,
    line_of,
    render,
    steps_named,
    summarise,
    take_step,
)
from benchmarks.students.transfer import transfer_set
from finai_assets.settings import Settings
from finai_assets.students.rows import TaskRows
from finai_resources.errors import ConfigError

STEP = {step.name: step for step in STEPS}
FEW = tuple(replace(step, columns={80: 3, 160: 6, 319: 8}[step.columns]) for step in STEPS)


def rows_of(made: Any, task: str, settings: Settings) -> TaskRows:
    return TaskRows(made.matrix.task(task), made.matrix, made.predictions[task], settings)


@pytest.mark.parametrize(("task", "read"), [("churn", {0, 1}), ("spend", {0, 4}), ("family", {2, 3})])
def test_columns_are_those_of_the_teacher_or_those_of_the_label(
    made: Any, chosen: Settings, task: str, read: set[int]
) -> None:
    chooser, rows = ColumnChooser.of(made.matrix, chosen), rows_of(made, task, chosen)
    assert set(chooser.best(chooser.gain(rows, "copy"), 2)) == read
    assert 11 in chooser.best(chooser.gain(rows, "direct"), 2)


def test_steps_are_chosen_by_letter() -> None:
    assert [step.name for step in steps_named(("f", "a"))] == ["a", "f"]
    assert steps_named(None) == STEPS
    with pytest.raises(ConfigError, match="no step \\['z'\\]"):
        steps_named(("a", "z"))


def test_without_a_share_of_the_label_no_label_is_looked_at(made: Any, chosen: Settings) -> None:
    shuffled = np.random.default_rng(0).permutation(made.matrix.labels["churn"])
    other = replace(made.matrix, labels={**made.matrix.labels, "churn": shuffled})
    kept = np.arange(12)
    found = {
        name: [
            take_step(replace(rows_of(made, "churn", chosen), matrix=matrix), STEP[name], kept)["test"]
            for matrix in (made.matrix, other)
        ]
        for name in "abc"
    }
    assert found["b"][0] == found["b"][1]
    assert found["c"][0] == found["c"][1]
    assert found["a"][0] != found["a"][1]


def test_the_steps_lead_from_the_label_to_the_teacher(made: Any, chosen: Settings) -> None:
    tasks = [made.matrix.task("churn"), made.matrix.task("family"), made.matrix.task("spend")]
    records = list(climb(made.matrix, made.predictions, chosen, tasks=tasks, seeds=[1, 2], steps=FEW))
    assert [line_of(record).split(":")[0] for record in records[:2]] == [f"churn {step} seed 1" for step in "ab"]
    summary = {(entry["task"], entry["step"]): entry for entry in summarise(records)}
    assert {step for task, step in summary if task == "family"} == set("abdefg")  # one loss, and no transfer set
    assert {step for task, step in summary if task == "churn"} == set("abcdefg")
    for task in ("churn", "spend"):
        explained = {step: summary[task, step]["test"]["explained_variance"][0] for step in "abcdef"}
        assert explained["a"] < explained["d"]
        assert explained["d"] > 0.8
        assert {"rank_correlation", "pair_order", "decile_overlap"} < set(summary[task, "d"]["test"])
    assert summary["churn", "a"]["columns"] == [3, 3, 3]
    assert summary["churn", "e"]["columns"] == [6, 6, 6]
    share = {step: summary["family", step]["validation"]["kl_share"][0] for step in "ae"}
    assert share["e"] < 0.25 < share["a"]
    mean, least, most = summary["churn", "f"]["test"]["explained_variance"]  # columns are drawn by the seed
    assert least < mean < most
    assert render(list(summary.values()), "test").row_count == len(summary)


def test_recombined_rows_are_learned_beside_the_train_rows(made: Any, chosen: Settings) -> None:
    groups = {name: "demographics" if at < 1 else "txn_behavior" for at, name in enumerate(made.matrix.columns)}
    more = transfer_set(made.matrix, groups, made.answer, share=2.0, seed=0)
    records = climb(
        made.matrix,
        made.predictions,
        chosen,
        tasks=[made.matrix.task("spend")],
        seeds=[1],
        steps=FEW[-3:],
        transfer={PURGED: more, RECOMBINED: more},
    )
    before, purged, after = records
    assert (before["step"], before["rows"]) == ("g", 800)
    assert (purged["step"], purged["rows"]) == ("h", 2400)
    assert (after["step"], after["rows"]) == ("i", 4000)
    assert after["test"]["explained_variance"] > before["test"]["explained_variance"]
