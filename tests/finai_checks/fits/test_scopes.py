"""C12: a fitted part has seen the rows of its scope and no others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finai_assets.training.fitted_rows import FittedRows
from finai_checks.fits.scopes import Scope, fitted_on_train_only, rows_of_card
from finai_checks.framework.check import NO_EVIDENCE

TRAIN = ("2015-01", "2015-02")
SCOPE = Scope("train", TRAIN, "d1")
ROWS = FittedRows("train", TRAIN, 10, "d1")


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (ROWS, ""),
        (replace(ROWS, months=("2015-01",)), ""),
        (replace(ROWS, months=(*TRAIN, "2015-06")), "scaler: fitted on months outside train: 2015-06"),
        (replace(ROWS, split="test+train"), "scaler: fitted on rows of test+train, where train is its scope"),
        (replace(ROWS, digest="d2"), "scaler: the fitted rows are not its rows of train as stored now"),
    ],
)
def test_a_fit_passes_on_the_rows_of_its_scope_alone(stored: FittedRows, reason: str) -> None:
    outcome = fitted_on_train_only({"scaler": stored}, {"scaler": SCOPE})
    assert outcome.passed is (reason == "")
    assert reason in outcome.reason
    assert outcome.n == 10


def test_what_says_nothing_of_its_rows_fails_beside_what_does() -> None:
    outcome = fitted_on_train_only({"scaler": ROWS}, {"scaler": SCOPE, "codes": SCOPE})
    assert outcome.reason == "codes: nothing says which rows it was fitted on"


def test_what_was_fitted_without_a_scope_fails() -> None:
    outcome = fitted_on_train_only({"scaler": ROWS, "codes": ROWS}, {"scaler": SCOPE})
    assert outcome.reason == "codes: nobody says what it may see"


@pytest.mark.parametrize("stored", [{}, {"scaler": FittedRows("train", (), 0, "")}])
def test_no_row_is_no_evidence(stored: dict[str, FittedRows]) -> None:
    assert fitted_on_train_only(stored, {"scaler": SCOPE}).reason == NO_EVIDENCE


def test_months_alone_are_compared_where_a_scope_has_no_digest() -> None:
    assert fitted_on_train_only({"rows": ROWS}, {"rows": replace(SCOPE, digest=None)}).passed
    assert not fitted_on_train_only({"rows": ROWS}, {"rows": Scope("train", TRAIN[:1], None)}).passed


def test_rows_are_counted_once_where_several_fits_share_them() -> None:
    held_out = FittedRows("validation", ("2015-04",), 5, "d2")
    stored = {"scaler": ROWS, "codes": ROWS, "calibration": held_out}
    scopes = {"scaler": SCOPE, "codes": SCOPE, "calibration": Scope("validation", ("2015-04",), "d2")}
    outcome = fitted_on_train_only(stored, scopes)
    assert (outcome.passed, outcome.n, len(outcome.table)) == (True, 15, 3)


def test_a_card_that_says_nothing_gives_no_rows() -> None:
    assert rows_of_card({"task": "churn"}) == {}
