"""The bins that copies share: a copy is the same, byte by byte, whoever has binned its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from finai_assets.scoring.boosting import BinnedRows
from finai_assets.settings import Settings
from finai_assets.students import binned as module
from finai_assets.students.binned import BinnedCopies
from finai_assets.students.columns import TaskColumns
from finai_assets.students.rows import TaskRows
from finai_assets.students.train import fit
from tests.finai_assets.students.conftest import COLUMNS, TASKS, Toy
from tests.finai_assets.students.test_transfer import other_rows

SAME = TaskColumns({"copy": COLUMNS[:10], "direct": COLUMNS[:10]}, {}, {})


@pytest.fixture
def binnings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the train rows of every binning."""
    seen: list[int] = []
    bin_splits = module.bin_splits

    def counted(train: np.ndarray, *rest: object) -> tuple[BinnedRows, BinnedRows]:
        seen.append(len(train))
        return bin_splits(train, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "bin_splits", counted)
    return seen


def test_copies_of_all_kinds_are_the_same_bytes_in_shared_bins(toy: Toy, chosen: Settings, binnings: list[int]) -> None:
    shared = BinnedCopies()
    # Each kind twice, so that each comes after each other kind: a start or a label that a model leaves would be seen.
    for name in (*TASKS, *reversed(TASKS)):
        rows = TaskRows(TASKS[name], toy.matrix, toy.teacher[name], chosen)
        together, alone = (fit(rows, SAME, "copy", each).model for each in (shared, BinnedCopies()))
        assert together.text == alone.text
        assert together.init_score == alone.init_score
    assert len(binnings) == 1 + 2 * len(TASKS)


def test_other_rows_columns_or_settings_are_binned_anew(toy: Toy, chosen: Settings, binnings: list[int]) -> None:
    shared = BinnedCopies()
    rows = TaskRows(TASKS["churn"], toy.matrix, toy.teacher["churn"], chosen)
    coarse = chosen.model_copy(update={"students": chosen.students.model_copy(update={"max_bin": 5})})
    others = (
        (replace(rows, transfer=other_rows(toy, "churn")), SAME),
        (replace(rows, settings=coarse), SAME),
        (replace(rows, matrix=replace(toy.matrix, X=toy.matrix.X[:, ::-1])), SAME),
        (rows, TaskColumns({"copy": COLUMNS[1:11]}, {}, {})),
    )
    for other, columns in others:
        fit(rows, SAME, "copy", shared)
        own, alone = (fit(other, columns, "copy", each).model.text for each in (shared, BinnedCopies()))
        assert own == alone
    assert len(binnings) == 3 * len(others)


def test_a_direct_student_is_binned_on_its_labelled_rows(toy: Toy, chosen: Settings, binnings: list[int]) -> None:
    shared = BinnedCopies()
    rows = TaskRows(TASKS["churn"], toy.matrix, toy.teacher["churn"], chosen)
    fit(rows, SAME, "copy", shared)
    fit(rows, SAME, "direct", shared)
    assert binnings == [len(rows.everyone("train")), len(rows.part("train"))]
    assert binnings[0] > binnings[1]
