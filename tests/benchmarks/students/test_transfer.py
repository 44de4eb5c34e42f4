"""Recombined rows take profile and holdings from one train row, and all else from another one of the same month."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.students import transfer
from benchmarks.students.transfer import HOLDINGS, draw_pairs, recombine, transfer_set
from finai_resources.errors import GateError

GROUPS = ("demographics", "txn_behavior", "product_holdings", "txn_lag_tensor")


def groups_of(matrix: Any) -> dict[str, str]:
    return {name: GROUPS[at % 4] for at, name in enumerate(matrix.columns)}


def test_a_pair_is_two_customers_of_a_train_month(made: Any) -> None:
    matrix = made.matrix
    holdings, events = draw_pairs(matrix, 5000, seed=3)
    assert (matrix.month[holdings] == matrix.month[events]).all()
    assert (matrix.customer[holdings] != matrix.customer[events]).all()
    assert {*matrix.split[holdings], *matrix.split[events]} == {"train"}
    assert len(np.unique(events)) > 750  # of 800: all can be drawn
    again = draw_pairs(matrix, 5000, seed=3)
    assert np.array_equal(again, (holdings, events))
    assert not np.array_equal(draw_pairs(matrix, 5000, seed=4), again)


def test_a_month_with_one_row_is_left_out_and_no_other_is_refused(made: Any) -> None:
    months = made.matrix.month.copy()
    months[0] = "2014-12"
    holdings, events = draw_pairs(replace(made.matrix, month=months), 5000, seed=0)
    assert 0 not in {*holdings, *events}
    alone = replace(made.matrix, month=np.array([f"m{i:05d}" for i in range(len(made.matrix))]))
    with pytest.raises(GateError, match="no month has two train rows"):
        draw_pairs(alone, 1, seed=0)


def test_holdings_come_from_one_row_and_the_rest_from_the_other(made: Any) -> None:
    matrix, groups = made.matrix, groups_of(made.matrix)
    holdings, events = draw_pairs(matrix, 100, seed=0)
    X, side = recombine(matrix, groups, holdings, events)
    assert side is not None
    for at, name in enumerate(matrix.columns):
        source = holdings if groups[name] in HOLDINGS else events
        assert np.array_equal(X[:, at], matrix.X[source, at])
    assert np.array_equal(side[:, :4], matrix.side[events, :4])  # of tda_local
    assert np.array_equal(side[:, 4:], matrix.side[holdings, 4:])  # of product_holdings
    assert recombine(replace(matrix, side=None), groups, holdings, events)[1] is None


def test_the_teacher_answers_what_was_recombined_block_by_block(made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []

    def answer(X: np.ndarray, side: np.ndarray | None) -> dict[str, np.ndarray]:
        assert side is not None
        sizes.append(len(X))
        return made.answer(X)

    monkeypatch.setattr(transfer, "_BLOCK", 150)
    found = transfer_set(made.matrix, groups_of(made.matrix), answer, share=0.5, seed=1)
    assert sizes == [150, 150, 100]
    assert len(found) == 400 == len(found.X)
    for task, told in made.answer(found.X).items():
        assert np.array_equal(found.predictions[task], told)
    train = made.matrix.X[made.matrix.rows("train")]
    assert not (found.X[:, None] == train[None]).all(axis=2).any()  # nobody has lived them
