from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from finai_assets.teacher.fitting.schedule import make_optimiser, rate_share, set_rate
from finai_assets.teacher.fitting.steps import Balance


def test_the_rate_warms_up_in_a_line_and_falls_as_a_cosine_to_zero():
    shares = [rate_share(step, 100, 0.1) for step in range(101)]
    assert shares[:10] == pytest.approx([(k + 1) / 10 for k in range(10)])
    assert max(shares) == shares[9] == shares[10] == 1
    assert shares[55] == pytest.approx(0.5)
    assert all(one > two for one, two in pairwise(shares[10:]))
    assert shares[100] == pytest.approx(0)


def test_matrices_decay_and_the_weights_between_losses_go_at_their_own_pace(teacher_tasks, small):
    model = torch.nn.Linear(3, 2)
    optimiser = make_optimiser(model, Balance(teacher_tasks, small.teacher), small.teacher)
    set_rate(optimiser, 50, 100, small.teacher)
    matrices, free, balance = optimiser.param_groups
    assert matrices["params"] == [model.weight]
    assert free["params"] == [model.bias]
    assert len(balance["params"]) == len(teacher_tasks)
    assert [group["weight_decay"] > 0 for group in optimiser.param_groups] == [True, False, False]
    assert balance["lr"] == pytest.approx(5 * matrices["lr"])


def test_fixed_weights_leave_nothing_to_learn(teacher_tasks, small):
    mechanisms = small.teacher.mechanisms.model_copy(update={"uncertainty_weighting": False})
    chosen = small.teacher.model_copy(update={"mechanisms": mechanisms})
    balance = Balance(teacher_tasks, chosen)
    assert list(balance.parameters()) == []
    assert len(make_optimiser(torch.nn.Linear(3, 2), balance, chosen).param_groups) == 2
    losses = {task.name: torch.tensor(2.0) for task in teacher_tasks}
    for task in teacher_tasks:
        half = 0.5 if task.kind == "regression" else 1.0
        assert balance.weights.terms(losses, 0.3)[task.name].item() == pytest.approx(2 * half * task.weight)
