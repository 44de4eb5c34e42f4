from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from finai_assets.settings import load_settings
from finai_assets.teacher.fitting.losses import TeacherTask, UncertaintyWeights, focal_loss, row_losses, task_loss
from finai_resources.errors import GateError

BINARY = TeacherTask("churn", "binary", "lifecycle", 1, 2.0, (0.85, 2.0))
MULTI = TeacherTask("nba", "multiclass", "consumption", 3, 2.0, None)
REAL = TeacherTask("count", "regression", "consumption", 1, 1.5, None, location=2.0, scale=0.5)
LABELS = {"binary": [1.0, 0.0, 1.0, 0.0], "multiclass": [2.0, 0.0, 1.0, 0.0], "regression": [2.5, 1.0, 2.0, 0.3]}


def test_focal_loss_at_gamma_zero_and_alpha_a_half_is_half_the_cross_entropy():
    logit, label = torch.randn(50, dtype=torch.float64), torch.randint(0, 2, (50,)).double()
    entropy = functional.binary_cross_entropy_with_logits(logit, label, reduction="none")
    torch.testing.assert_close(focal_loss(logit, label, 0.5, 0.0), entropy / 2)


@given(st.floats(-30, 30), st.sampled_from([0.0, 1.0]), st.floats(0.05, 0.95), st.sampled_from([0.0, 0.5, 2.0]))
def test_focal_loss_follows_its_formula(logit, label, alpha, gamma):
    p = 1 / (1 + math.exp(-logit))
    p_t, a_t = (p, alpha) if label else (1 / (1 + math.exp(logit)), 1 - alpha)
    miss = 1 / (1 + math.exp(logit)) if label else p
    expected = -a_t * miss**gamma * math.log(p_t)
    found = focal_loss(torch.tensor([logit], dtype=torch.float64), torch.tensor([label]), alpha, gamma)
    assert found.item() == pytest.approx(expected, rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("task", [BINARY, MULTI, REAL], ids=lambda task: task.kind)
def test_a_masked_row_gets_no_gradient_and_changes_nothing(task):
    label = torch.tensor([*LABELS[task.kind], math.nan])
    logits = torch.randn(5, task.outputs, requires_grad=True)
    loss = task_loss(task, logits, label, 1.0)
    loss.backward()
    assert logits.grad[4].abs().sum() == 0
    assert (logits.grad[:4].abs().sum(1) > 0).all()
    torch.testing.assert_close(loss, task_loss(task, logits[:4], label[:4], 1.0))


def test_a_batch_without_labels_has_loss_zero_and_gradient_zero():
    logits = torch.randn(3, 1, requires_grad=True)
    loss = task_loss(BINARY, logits, torch.full((3,), math.nan), 1.0)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum() == 0


def test_gradients_push_each_prediction_towards_its_label():
    logit = torch.zeros(2, 1, requires_grad=True)
    task_loss(BINARY, logit, torch.tensor([1.0, 0.0]), 1.0).backward()
    assert logit.grad[0] < 0 < logit.grad[1]
    value = torch.full((2, 1), 2.0, requires_grad=True)
    task_loss(REAL, value, torch.tensor([2.4, 1.6]), 1.0).backward()
    assert value.grad[0] < 0 < value.grad[1]


def test_huber_counts_in_standard_deviations_of_the_label():
    loss = row_losses(REAL, torch.tensor([[2.0], [2.0]]), torch.tensor([2.5, 4.0]), 1.0)
    torch.testing.assert_close(loss, torch.tensor([0.5, 3.5]))  # 1 and 4 deviations off: quadratic, linear


@given(st.floats(0.03, 40))
def test_the_closed_form_optimum_of_s_is_the_log_of_the_loss(loss):
    for task in (BINARY, REAL):
        weights = UncertaintyWeights([replace(task, trivial=loss)], clamp=4.0)
        assert weights.s[task.name].item() == pytest.approx(math.log(loss), abs=1e-5)
        weights({task.name: torch.tensor(loss)}).backward()
        assert weights.s[task.name].grad.item() == pytest.approx(0, abs=1e-4)


def test_the_combined_loss_keeps_each_tasks_weight_and_halves_a_regression():
    weights = UncertaintyWeights([replace(BINARY, trivial=1.0), replace(REAL, trivial=1.0)], clamp=4.0)
    total = weights({"churn": torch.tensor(0.5), "count": torch.tensor(0.25)})
    assert total.item() == pytest.approx(2.0 * 0.5 + 1.5 * 0.5 * 0.25)
    total.backward()
    assert weights.s["churn"].grad.item() == pytest.approx(2.0 * (1 - 0.5))
    assert weights.s["count"].grad.item() == pytest.approx(0.75 * (1 - 0.25))


def test_s_grows_where_the_loss_is_large_and_shrinks_where_it_is_small():
    for loss, sign in ((5.0, -1), (0.1, 1)):
        weights = UncertaintyWeights([replace(BINARY, trivial=1.0)], clamp=4.0)
        weights({"churn": torch.tensor(loss)}).backward()
        assert math.copysign(1, weights.s["churn"].grad.item()) == sign


def test_s_beyond_the_clamp_is_brought_back_and_can_return():
    weights = UncertaintyWeights([BINARY], clamp=4.0)
    with torch.no_grad():
        weights.s["churn"].fill_(7.0)
    weights.project()
    assert weights.s["churn"].item() == 4.0
    weights({"churn": torch.tensor(0.1)}).backward()
    assert weights.s["churn"].grad.item() > 0


class _Matrix:
    def __init__(self, name, kind, classes, focal):
        self.name, self.kind, self.classes, self.focal = name, kind, classes, focal
        self.group, self.weight = "value", 1.0


def test_hubers_delta_is_wide_enough_to_ask_for_the_mean_of_a_rare_event():
    rare, task = np.repeat([1.0, 0.5], [970, 30]).astype(np.float32), _Matrix("t", "regression", 1, None)
    configured = load_settings("synthetic", "demo").teacher.huber_delta
    assert TeacherTask.fit(task, rare, configured).start[0] == pytest.approx(rare.mean(), abs=2e-3)
    # At 1 the best constant is most of the way from the mean to the median, and so is what a model learns.
    assert TeacherTask.fit(task, rare, 1.0).start[0] > 0.3 * rare.mean() + 0.7 * 1.0


@pytest.mark.parametrize(
    ("kind", "classes", "focal", "label"),
    [
        ("binary", 1, (0.85, 2.0), np.repeat([0.0, 1.0], [95, 5])),
        ("binary", 1, None, np.repeat([0.0, 1.0], [70, 30])),
        ("regression", 1, None, np.r_[np.zeros(80), np.full(20, 9.0)]),
        ("multiclass", 3, None, np.repeat([0.0, 1.0, 2.0], [60, 30, 10])),
    ],
)
def test_the_starting_constant_is_the_best_one_for_the_tasks_own_loss(kind, classes, focal, label):
    task = TeacherTask.fit(_Matrix("t", kind, classes, focal), label.astype(np.float32), 1.0)
    truth = torch.from_numpy(label)

    def loss(start):
        return task_loss(task, torch.tensor([start]).double().expand(len(label), task.outputs), truth, 1.0).item()

    assert loss(task.start) == pytest.approx(task.trivial)
    for step in (-0.3, 0.3):
        assert loss((task.start[0] + step, *task.start[1:])) > task.trivial


@pytest.mark.parametrize("label", [[], [math.nan, math.nan], [1.0, 1.0, math.nan]])
def test_a_task_without_two_different_train_labels_is_refused(label):
    with pytest.raises(GateError, match="'t' has"):
        TeacherTask.fit(_Matrix("t", "binary", 1, None), np.array(label, np.float32), 1.0)
