from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from torch import nn

from finai_assets.teacher.fitting.average import WeightAverage


def walk(model, average, values):
    for step, value in enumerate(values):
        with torch.no_grad():
            model.weight.fill_(value)
        average.take(step)


@pytest.fixture
def model():
    return nn.Linear(2, 1, bias=False)


def test_within_the_horizon_it_is_the_mean_of_all_steps(model):
    average = WeightAverage(model, horizon=10)
    walk(model, average, [1.0, 2.0, 6.0])
    torch.testing.assert_close(average.values["weight"], torch.full((1, 2), 3.0))


def test_beyond_the_horizon_old_steps_are_forgotten(model):
    average = WeightAverage(model, horizon=4)
    walk(model, average, [100.0] * 4 + [1.0] * 40)
    assert average.values["weight"].max() == pytest.approx(1.0 + 99.0 * 0.75**40, rel=1e-3)


def test_at_horizon_zero_it_is_the_last_step(model):
    average = WeightAverage(model, horizon=0)
    walk(model, average, [5.0, 7.0])
    torch.testing.assert_close(average.values["weight"], model.weight.detach())


def test_the_model_has_the_average_for_a_while_and_its_own_weights_again_even_after_an_error(model):
    average = WeightAverage(model, horizon=10)
    walk(model, average, [1.0, 3.0])
    before = copy.deepcopy(model.state_dict())
    with contextlib.suppress(KeyboardInterrupt), average.in_place():
        assert model.weight.unique().item() == 2.0
        raise KeyboardInterrupt
    torch.testing.assert_close(model.state_dict(), before)


def test_what_is_set_between_steps_is_taken_over_as_it_is_and_the_rest_stays_averaged():
    model = nn.Linear(2, 1)
    average = WeightAverage(model, horizon=10)
    kept = average.values["bias"].clone()
    walk(model, average, [1.0, 3.0])
    with average.setting(), torch.no_grad():
        model.weight.fill_(9.0)
    torch.testing.assert_close(average.values["weight"], torch.full((1, 2), 9.0))
    torch.testing.assert_close(average.values["bias"], kept)


def test_taking_steps_leaves_the_model_as_it_is(model):
    before = model.weight.detach().clone()
    WeightAverage(model, horizon=3).take(0)
    torch.testing.assert_close(model.weight.detach(), before)
