"""Both parts of what moved a product add up exactly, and together they are the slope of log(term)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from serving_lambda.attribution import combined, contrast, share_part, slope, strongest, task_part
from serving_lambda.bundle import Bundle
from serving_lambda.catalogue import ANY
from serving_lambda.contract import parse
from serving_lambda.facts import Evidence
from serving_lambda.lightgbm_c import Model
from serving_lambda.linear import LinearModel
from serving_lambda.ranking import probability_of
from serving_lambda.scorer import Student
from serving_lambda.shares import shares_of

Ask = Callable[..., dict[str, Any]]
MEMBERS = (4, 5, 6, 7)


class Explained:
    """A customer's term of a task with product 5, and both of its parts."""

    def __init__(self, bundle: Bundle, row: Any, task: str, output: int, kind: str = "") -> None:
        self.row, self.student, self.output = row, bundle.students[task], output
        model = bundle.product_model
        assert model is not None
        self.product_model: Student = model
        self.prediction = self.student.predict(row)
        self.shares = shares_of(MEMBERS, {4, 5, 7}, model.margins(row), ())
        own = self.student.gather(row)
        trees, self.linear = self.student.ready(), model.ready()
        assert isinstance(trees, Model)
        assert isinstance(self.linear, LinearModel)
        self.explained = trees.contributions_row(own)
        self.task = task_part(self.student, self.explained, self.prediction, output, kind=kind)
        added = {at: self.linear.contributions_of(at, self.linear.inputs(model.gather(row))) for at in self.shares}
        self.share = share_part(added, 5, self.shares)

    @property
    def factor(self) -> float:
        """Return d log P / d raw contrast for any acquisition: the slope times -P / (1 - P), P being that of nothing."""
        nothing = self.prediction[self.output]
        return -slope(self.student) * nothing / (1.0 - nothing)


@pytest.mark.parametrize(
    ("task", "output", "kind"),
    [
        ("nba_primary", 0, ANY),
        ("nba_primary", 2, "nba_primary"),
        ("will_acquire_deposits", 0, "will_acquire"),
        ("will_acquire_investments", 0, "will_acquire"),
        ("will_acquire_payments", 0, "will_acquire"),
    ],
)
def test_each_part_adds_up_to_its_raw_outputs(
    bundle: Bundle, request_for: Ask, task: str, output: int, kind: str
) -> None:
    for index in range(6):
        found = Explained(bundle, parse(request_for(index), bundle).customer.row, task, output, kind)
        student, model = found.student, found.product_model
        raw = student.ready().raw_row(student.gather(found.row))
        if student.kind == "multiclass":
            wanted = raw[output] - np.dot(found.prediction, raw)
        else:
            wanted = raw[0] * (1.0 - found.prediction[0])
        factor = found.factor if kind == ANY else slope(student)
        assert sum(found.task) == pytest.approx(factor * wanted, abs=1e-9)
        raw = model.ready().raw_row(model.gather(found.row))
        wanted = raw[5] - sum(share * raw[at] for at, share in found.shares.items())
        assert sum(found.share) == pytest.approx(wanted, abs=1e-9)
        assert len(found.share) == len(model.columns) + 1


def test_the_slope_of_the_calibrator_counts(bundle: Bundle) -> None:
    assert slope(bundle.students["nba_primary"]) == pytest.approx(1 / 1.4)
    assert slope(bundle.students["will_acquire_investments"]) == 0.8
    assert slope(bundle.students["will_acquire_deposits"]) == 1.0


@pytest.mark.parametrize(
    ("task", "output", "kind"),
    [("nba_primary", 0, ANY), ("nba_primary", 2, "nba_primary"), ("will_acquire_payments", 0, "will_acquire")],
)
def test_a_small_step_of_all_raw_outputs_changes_log_term_as_the_parts_say(
    bundle: Bundle, request_for: Ask, task: str, output: int, kind: str
) -> None:
    # Between two customers the outputs move by d; along a small part of the way log(term) moves by the parts' combination of d.
    step = 1e-5
    for index in range(4):
        here, there = (parse(request_for(at), bundle).customer.row for at in (index, index + 1))
        found = Explained(bundle, here, task, output, kind)
        student, model = found.student, found.product_model
        raws = [np.array(student.ready().raw_row(student.gather(row))) for row in (here, there)]
        marginal = [np.array(model.margins(row)) for row in (here, there)]

        def log_term(at: float, raws: Any = raws, marginal: Any = marginal, student: Student = student) -> float:
            prediction = student.finish((raws[0] + at * (raws[1] - raws[0])).tolist())
            moved = (marginal[0] + at * (marginal[1] - marginal[0])).tolist()
            return math.log(probability_of(kind, prediction[output])) + math.log(
                shares_of(MEMBERS, {4, 5, 7}, moved, ())[5]
            )

        dz, df = raws[1] - raws[0], marginal[1] - marginal[0]
        if student.kind == "multiclass":
            factor = found.factor if kind == ANY else slope(student)
            of_task = factor * (dz[output] - np.dot(found.prediction, dz))
        else:
            of_task = slope(student) * (1.0 - found.prediction[0]) * dz[0]
        of_share = df[5] - sum(share * df[at] for at, share in found.shares.items())
        assert (log_term(step) - log_term(-step)) / (2 * step) == pytest.approx(of_task + of_share, abs=1e-6)


def test_where_a_term_moves_little_the_parts_sum_is_its_change(bundle: Bundle, request_for: Ask) -> None:
    # The base value is the model's answer where nothing is known: at a hundredth of the trees' effect, log(term) moves linearly.
    found = Explained(bundle, parse(request_for(0), bundle).customer.row, "nba_primary", 2)
    student, model, small = found.student, found.product_model, 0.01
    width = len(student.columns) + 1
    base = np.array(found.explained)[width - 1 :: width]
    raw = np.array(student.ready().raw_row(student.gather(found.row)))
    before, after = (math.log(student.finish((raw - small * step * (raw - base)).tolist())[2]) for step in (1, 0))
    assert after - before == pytest.approx(small * sum(found.task[:-1]), rel=0.02, abs=1e-6)
    outputs = np.array(
        [found.linear.contributions_of(at, found.linear.inputs(model.gather(found.row))) for at in range(24)]
    )
    margins = np.array(model.margins(found.row))
    moved = margins - small * (outputs[:, :-1].sum(axis=1))
    before, after = (math.log(shares_of(MEMBERS, {4, 5, 7}, at.tolist(), ())[5]) for at in (moved, margins))
    assert after - before == pytest.approx(small * sum(found.share[:-1]), rel=0.02, abs=1e-6)


@pytest.mark.parametrize("nothing", [0.0, 0.2, 1.0 - 1e-7, 1.0])
def test_the_part_of_any_acquisition_is_finite_however_sure_nothing_is(bundle: Bundle, nothing: float) -> None:
    student = bundle.students["nba_primary"]
    prediction = [nothing, *[(1.0 - nothing) / 6] * 6]
    width = len(student.columns) + 1
    contributions = np.random.default_rng(1).normal(size=7 * width)
    part = task_part(student, contributions.tolist(), prediction, 0, kind=ANY)
    values = contributions.reshape(7, width)
    wanted = -slope(student) * nothing / max(1.0 - nothing, 1e-9) * (values[0] - prediction @ values)
    assert part == pytest.approx(wanted, rel=1e-6, abs=1e-9)


def test_contrast_is_a_value_less_the_weighted_mean() -> None:
    assert contrast([3.0, 1.0], [[3.0, 1.0], [1.0, 5.0]], [0.25, 0.75]) == [1.5, -3.0]


def test_combined_evidence_adds_both_parts_by_column_in_contract_order(bundle: Bundle, request_for: Ask) -> None:
    found = Explained(bundle, parse(request_for(1), bundle).customer.row, "nba_primary", 2)
    both = combined(found.row, (found.student, found.task), (found.product_model, found.share))
    assert [entry.position for entry in both] == sorted({*found.student.positions, *found.product_model.positions})
    assert sum(entry.of_task for entry in both) == pytest.approx(sum(found.task[:-1]))
    assert sum(entry.of_share for entry in both) == pytest.approx(sum(found.share[:-1]))
    assert all(entry.contribution == entry.of_task + entry.of_share for entry in both)
    alone = combined(found.row, (found.student, found.task), None)
    assert {entry.of_share for entry in alone} == {0.0}


def test_the_strongest_come_by_size_ties_in_column_order_and_zeros_not_at_all() -> None:
    entries = [Evidence(at, 0.0, value) for at, value in enumerate([0.0, -2.0, 1.0, 2.0, 0.0])]
    assert [entry.position for entry in strongest(entries, 2)] == [1, 3]
    assert [entry.position for entry in strongest(entries, 5)] == [1, 3, 2]
