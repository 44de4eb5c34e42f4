from __future__ import annotations

import numpy as np
import pytest

from finai_assets.evaluation.explanation.deletion import (
    BEATS,
    LOSES,
    UNCLEAR,
    deviation_order,
    judge,
    mask_rows,
    verdict,
)
from finai_assets.evaluation.explanation.explain import routes_of
from finai_assets.evaluation.explanation.gradients import Attributor
from finai_assets.evaluation.explanation.inputs import Inputs
from finai_assets.evaluation.explanation.rows import ExplainedRows, scales

PLANTED, TASK, OTHER = "age", "will_acquire_deposits", "cross_sell_count"


@pytest.fixture(scope="module")
def inputs(teacher):
    return Inputs.of(teacher.normaliser, routes_of(teacher))


@pytest.fixture(scope="module")
def rows(teacher, planted):
    return ExplainedRows.sample(planted, teacher, "test", 400, 1)


@pytest.fixture(scope="module")
def baseline(inputs, teacher, planted):
    return inputs.baseline(planted.X, planted.side, np.arange(1000), teacher.normaliser)


@pytest.fixture(scope="module")
def values(teacher, inputs, baseline, rows):
    attributor = Attributor(teacher.model, inputs, baseline, steps=8, batch_rows=400, seed=1)
    return attributor(rows.x, rows.customer, rows.month).values


@pytest.fixture(scope="module")
def judged(inputs, baseline, rows, planted, chosen):
    def run(model, values, task=TASK):
        curves = mask_rows(model, inputs, baseline, rows, values, chosen.explanations, 1)
        return judge(curves, rows, scales(planted)[task], chosen.metrics, 1, inputs=len(inputs))

    return run


@pytest.mark.parametrize("task", [TASK, OTHER])
def test_the_column_that_alone_makes_the_label_is_named_first_for_almost_every_row(teacher, inputs, values, task):
    at = [known.name for known in teacher.model.tasks].index(task)
    first = np.abs(values[at]).argmax(axis=1)
    assert (first == inputs.names.index(PLANTED)).mean() > 0.8


def test_its_deletion_destroys_the_skill_and_random_masking_does_not(teacher, values, judged):
    found = judged(teacher, values)
    skill = found["skill"]
    assert skill["full"] > 0.95
    assert skill["attributed"][0] < 0.7
    assert skill["random"][0] > 0.9
    assert found["verdict"] == found["verdict_loss"] == found["verdict_skill"] == BEATS


def test_attributions_that_name_what_matters_last_lose_to_random(teacher, values, judged):
    found = judged(teacher, 1 / (1e-6 + np.abs(values)))
    assert found["verdict"] == LOSES
    assert found["verdict_skill"] != BEATS


def test_attributions_drawn_at_random_do_not_beat_random(teacher, values, judged):
    noise = np.random.default_rng(5).normal(size=values.shape).astype(np.float32)
    assert judged(teacher, noise)["verdict"] != BEATS


def test_a_model_that_says_one_number_cannot_be_explained_better_than_at_random(constant, values, judged):
    for given in (np.zeros_like(values), values):
        found = judged(constant, given)
        assert found["verdict"] == found["verdict_loss"] == found["verdict_skill"] == UNCLEAR
        assert found["change"]["attributed"] == found["change"]["random"] == [0.0] * 3


def test_a_verdict_needs_an_interval_without_zero():
    assert verdict({"value": 1.0, "low": 0.1, "high": 2.0}) == BEATS
    assert verdict({"value": 1.0, "low": -0.1, "high": 2.0}) == UNCLEAR
    assert verdict({"value": 1.0, "low": 0.0, "high": 2.0}) == UNCLEAR
    assert verdict({"value": -1.0, "low": -2.0, "high": -0.1}) == LOSES
    assert verdict({"value": 1.0, "low": None, "high": None}) == UNCLEAR


def test_the_order_without_a_model_begins_with_what_lies_farthest(inputs, baseline):
    x = np.repeat(baseline[None], 2, axis=0)
    column, code = (inputs.names.index(name) for name in ("tenure_months", "segment_code"))
    x[0, inputs.owner == column] += 3.0
    x[1, inputs.owner == code] = 4.0
    order = deviation_order(inputs, x, baseline)
    assert order[0, 0] == column
    assert order[1, 0] == code
