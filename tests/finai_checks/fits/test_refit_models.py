"""C12: garbage replaces the rows that a fit must not see, and no others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from finai_assets.training.fitted_rows import FittedRows
from finai_assets.training.matrix import TrainingMatrix
from finai_checks.fits.refit_models import garbled
from finai_checks.fits.scopes import Scope, student_scopes

TRAIN = ("2015-01", "2015-02")


@pytest.fixture
def matrix(tmp_path: Path) -> TrainingMatrix:
    """Return 12 rows of three splits, memory-mapped."""
    np.save(tmp_path / "X.npy", np.arange(24, dtype=np.float32).reshape(12, 2))
    return TrainingMatrix(
        X=np.load(tmp_path / "X.npy", mmap_mode="r"),
        customer=np.tile(np.arange(4), 3),
        month=np.repeat(["2015-01", "2015-04", "2015-06"], 4),
        split=np.repeat(["train", "validation", "test"], 4),
        labels={"churn": np.array([0, 1, 0, np.nan] * 3, np.float32)},
        persistence={},
        columns=("a", "b"),
        tasks=(),
        side=np.ones((12, 3), np.float32),
    )


def test_garbage_replaces_the_rows_of_the_named_splits_and_no_others(matrix: TrainingMatrix, tmp_path: Path) -> None:
    before = (tmp_path / "X.npy").read_bytes()
    spoiled = garbled(matrix, ("validation", "test"), seed=1)
    assert matrix.side is not None
    assert spoiled.side is not None
    np.testing.assert_array_equal(spoiled.X[:4], matrix.X[:4])
    np.testing.assert_array_equal(spoiled.side[:4], matrix.side[:4])
    np.testing.assert_array_equal(spoiled.labels["churn"][:4], matrix.labels["churn"][:4])
    np.testing.assert_array_equal(spoiled.customer[:4], matrix.customer[:4])
    assert (spoiled.X[4:] >= 100_000).all()
    assert (spoiled.side[4:] >= 100_000).all()
    assert set(spoiled.labels["churn"][4:]) <= {0.0, 1.0}  # also where there was no label
    assert (spoiled.customer[4:] < 0).all()
    assert (tmp_path / "X.npy").read_bytes() == before
    assert (np.asarray(matrix.X) == np.arange(24).reshape(12, 2)).all()


def test_a_direct_student_may_see_labelled_rows_and_a_copy_all_rows_of_train_and_validation(
    matrix: TrainingMatrix,
) -> None:
    transfer = Scope("transfer", ("2015-03",), "d1")
    direct, copy = (student_scopes(matrix, "churn", route, transfer) for route in ("DIRECT", "DISTILL"))
    assert {name: scope.split for name, scope in direct.items()} == {
        "prior": "train", "direct trees": "train", "direct stopping": "validation", "direct calibration": "validation",
    }  # fmt: skip
    assert direct["direct trees"].digest == FittedRows.of(matrix, np.arange(3)).digest
    assert direct["direct calibration"].digest == FittedRows.of(matrix, np.arange(4, 7)).digest
    assert {**copy, **direct} == copy  # layer 2 stands behind it
    assert copy["copy trees"].digest == FittedRows.of(matrix, np.arange(4)).digest
    assert copy["copy stopping"].digest == FittedRows.of(matrix, np.arange(4, 8)).digest
    assert copy["copy calibration"] == direct["direct calibration"]
    assert copy["copy transfer"] == transfer
    assert list(student_scopes(matrix, "churn", "SKIP", transfer)) == ["prior"]
