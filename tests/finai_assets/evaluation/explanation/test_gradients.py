from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from finai_assets.evaluation.explanation.ablation_of_experts import mean_views, views_of
from finai_assets.evaluation.explanation.expert_gradients import attribute_experts
from finai_assets.evaluation.explanation.explain import routes_of
from finai_assets.evaluation.explanation.gradients import Attributor
from finai_assets.evaluation.explanation.inputs import Inputs
from finai_assets.evaluation.explanation.rows import ExplainedRows
from finai_assets.teacher.fitting.losses import TeacherTask
from finai_assets.teacher.network.ple import PLEOutput


@pytest.fixture(scope="module")
def inputs(teacher):
    return Inputs.of(teacher.normaliser, routes_of(teacher))


@pytest.fixture(scope="module")
def rows(teacher, planted):
    return ExplainedRows.sample(planted, teacher, "test", 60, 1)


@pytest.fixture(scope="module")
def baseline(inputs, teacher, planted):
    return inputs.baseline(planted.X, planted.side, np.arange(400), teacher.normaliser)


def attributed(model, inputs, baseline, rows, **changes):
    options = {"steps": 8, "batch_rows": 64, "seed": 1, **changes}
    return Attributor(model, inputs, baseline, **options)(rows.x, rows.customer, rows.month)


class Formula(nn.Module):
    """Two outputs that are known: a sum with a table of codes, and a product of a column with a code."""

    def __init__(self, column, code, size, product):
        super().__init__()
        self.tasks = tuple(TeacherTask(name, "regression", "g", 1, 1.0, None) for name in ("sum", "product"))
        self.column, self.code, self.product = column, code, product
        self.table = nn.Parameter(torch.linspace(-1, 2, size))

    def forward(self, x):
        coded = self.table[x[:, self.code].long()]
        total, product = 3.0 * x[:, self.column] + coded, x[:, self.column] * x[:, self.product] * coded
        return PLEOutput({"sum": total[:, None], "product": product[:, None]}, {}, {})


@pytest.fixture(scope="module")
def formula(inputs, teacher):
    def place(name):
        return int(np.flatnonzero(inputs.owner == inputs.names.index(name))[0])

    code = place("segment_code")
    return Formula(place("age"), code, int(teacher.normaliser.codes[code]), place("tenure_months"))


def test_a_sum_is_attributed_as_it_is_written_and_a_code_by_its_jump(formula, inputs, baseline, rows):
    found = attributed(formula, inputs, baseline, rows)
    column, code = inputs.owner[formula.column], inputs.owner[formula.code]
    table = formula.table.detach().numpy()
    np.testing.assert_allclose(
        found.values[0, :, column], 3 * (rows.x[:, formula.column] - baseline[formula.column]), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(
        found.values[0, :, code], table[rows.x[:, formula.code].astype(int)] - table[0], rtol=1e-4, atol=1e-4
    )
    others = np.delete(found.values[0], [column, code], axis=1)
    assert np.abs(others).max() == 0


def test_interactions_of_a_code_with_columns_add_up_too(formula, inputs, baseline, rows):
    found = attributed(formula, inputs, baseline, rows, steps=40)
    assert np.abs(found.gap[1]).max() < 0.02 * np.abs(found.end[1] - found.start[1]).max()


def test_the_attributions_of_a_trained_teacher_add_up(teacher, inputs, baseline, rows):
    found = attributed(teacher.model, inputs, baseline, rows, steps=16)
    for task in range(len(teacher.model.tasks)):
        assert np.abs(found.gap[task]).mean() < 0.05 * np.abs(found.end[task] - found.start[task]).mean()


def test_more_steps_close_the_gap(teacher, inputs, baseline, rows):
    few, many = (np.abs(attributed(teacher.model, inputs, baseline, rows, steps=s).gap).mean() for s in (4, 32))
    assert many < 0.5 * few


def test_the_batch_size_changes_nothing_but_rounding(teacher, inputs, baseline, rows):
    one, other = (attributed(teacher.model, inputs, baseline, rows, batch_rows=size) for size in (7, 64))
    np.testing.assert_allclose(one.values, other.values, atol=1e-4 * np.abs(one.values).max())


def test_a_model_that_says_one_number_has_no_attributions(constant, inputs, baseline, rows):
    found = attributed(constant.model, inputs, baseline, rows)
    assert not found.values.any()
    assert not found.gap.any()


def test_the_weights_of_the_model_want_gradients_again_afterwards(teacher, inputs, baseline, rows):
    attributed(teacher.model, inputs, baseline, rows)
    assert all(parameter.requires_grad for parameter in teacher.model.parameters())
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in teacher.model.parameters())


def test_the_experts_share_out_the_change_of_the_output(teacher, rows):
    views = views_of(teacher.model, rows.x, 64)
    found = attribute_experts(teacher.model, views, mean_views(views), steps=24, batch_rows=32)
    assert found.names == ("deepfm", "causal", "task_mlp", "task_mlp of other tasks")
    np.testing.assert_allclose(found.values.sum(2), found.change, atol=0.02 * np.abs(found.change).max())
