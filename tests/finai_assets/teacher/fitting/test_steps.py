from __future__ import annotations

import numpy as np
import pytest
import torch

from finai_assets.teacher.data import TeacherData
from finai_assets.teacher.fitting import steps
from finai_assets.teacher.fitting.loop import Run
from finai_assets.teacher.network.ple import PLE
from finai_resources.errors import GateError
from finai_resources.progress import watched


@pytest.fixture
def run_of(panel, normaliser, small):
    """Make a run without dropout: ``loop`` and ``mechanisms`` change their sections, others the teacher's settings."""

    def make(loop=None, mechanisms=None, **changes):
        chosen = small.teacher.model_copy(
            update={
                "dropout": 0.0,
                "input_dropout": 0.0,
                "batch_rows": 300,
                **changes,
                "loop": small.teacher.loop.model_copy(update=loop or {}),
                "mechanisms": small.teacher.mechanisms.model_copy(update=mechanisms or {}),
            }
        )
        settings = small.model_copy(update={"teacher": chosen})
        torch.manual_seed(0)
        data = TeacherData.of(panel, panel.tasks, settings)
        return Run(PLE(normaliser, data.tasks, chosen), normaliser, data, settings)

    return make


def first_step(run, number=0):
    """Learn from the first batch; return losses and the gradients that were learned from, clipped, by parameter."""
    run.model.train()
    batch = next(run.feed.epoch(1))
    losses = run.stepper.step(batch, draw=(1, number), where="epoch 1, batch 1 of 7")
    named = [*run.model.named_parameters(), *run.balance.named_parameters()]
    return losses, {name: parameter.grad.clone() for name, parameter in named if parameter.grad is not None}


def close(one, two, tolerance=1e-5):
    assert one.keys() == two.keys()
    for name, value in one.items():
        torch.testing.assert_close(
            value, two[name], rtol=tolerance, atol=tolerance, msg=lambda text, n=name: f"{n}: {text}"
        )


def test_a_batch_in_parts_has_the_gradient_of_the_whole(run_of):
    whole, gradients = first_step(run_of())
    for parts in (3, 40):
        losses, found = first_step(run_of(loop={"accumulation": parts}))
        assert losses == pytest.approx(whole, rel=1e-5)
        close(found, gradients)


def test_tasks_one_by_one_have_together_the_gradient_of_their_sum(run_of):
    whole, gradients = first_step(run_of())
    opposed = run_of(mechanisms={"gradient_surgery": "pcgrad"}, loop={"accumulation": 2})
    opposed.stepper._operate = lambda found, random: found
    losses, found = first_step(opposed)
    assert losses == pytest.approx(whole, rel=1e-5)
    close(found, gradients)


def test_surgery_changes_shared_parameters_alone(run_of):
    _, plain = first_step(run_of(gradient_clip=1e9))
    _, operated = first_step(run_of(gradient_clip=1e9, mechanisms={"gradient_surgery": "pcgrad"}))
    run = run_of()
    shared = {id(parameter) for parameter in run.model.shared_parameters()}
    changed = {name for name in plain if (plain[name] - operated[name]).abs().max() > 1e-4}
    by_name = dict(run.model.named_parameters())
    assert changed
    assert all(name in by_name and id(by_name[name]) in shared for name in changed)
    assert {"experts.deepfm.linear.weight"} <= changed
    assert not any(name.startswith("towers.") for name in changed)


def test_a_loss_level_transfer_boosts_a_task_by_what_others_borrow(run_of):
    run = run_of(mechanisms={"task_transfer": "adatt_loss", "transfer_strength": 0.5, "affinity_steps": 10})
    first_step(run, number=0)
    affinity = run.balance.affinity
    assert (affinity.seen == 1).all()
    assert torch.isfinite(affinity.cosine).all()
    torch.testing.assert_close(affinity.cosine.diagonal(), torch.ones(len(run.data.tasks)))
    assert (affinity.mixing().sum(0) > 1.1).any(), "some task is borrowed from"
    first_step(run, number=1)
    assert (affinity.seen == 1).all(), "measured every tenth batch"

    plain, boosted = run_of(gradient_clip=1e9), run_of(gradient_clip=1e9)
    boosted.balance.affinity.strength = 0.5
    count = len(run.data.tasks)
    boosted.balance.affinity.measure(torch.eye(count, 3 * count).index_fill(0, torch.tensor([0, 1]), 1.0),
                                     torch.arange(count) < 2)  # fmt: skip
    _, one = first_step(plain)
    _, two = first_step(boosted)
    for index, task in enumerate(run.data.tasks):
        name = f"weights.s.{task.name}"
        torch.testing.assert_close(two[name], one[name] * (1.5 if index < 2 else 1.0), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "mechanisms",
    [{"gate": "sigmoid"}, {"gradient_surgery": "pcgrad"}, {"task_transfer": "adatt_loss"}, {"task_transfer": "adatt_sp"},
     {"uncertainty_weighting": False}, {"gradient_surgery": "pcgrad", "task_transfer": "adatt_loss"}],
    ids=lambda changes: "+".join(f"{key}={value}" for key, value in changes.items()),
)  # fmt: skip
def test_each_mechanism_trains(run_of, mechanisms):
    run = run_of(mechanisms=mechanisms)
    first = sum(first_step(run)[0].values())
    for _ in range(5):
        losses, _ = first_step(run)
    assert sum(losses.values()) < first
    assert bool(run.model.fusions) is (mechanisms.get("task_transfer") == "adatt_sp")


def test_what_an_expert_asks_for_is_weighed_into_the_gradient_and_cut_like_the_batch(run_of):
    gradients = {}
    for weight, parts in ((0.0, 1), (2.0, 1), (2.0, 3)):
        run = run_of(auxiliary_weight=weight, gradient_clip=1e9, loop={"accumulation": parts})
        expert = run.model.experts["deepfm"]
        expert.auxiliary_loss = lambda expert=expert: expert.linear.bias.sum()
        _, gradients[weight, parts] = first_step(run)
    name = "experts.deepfm.linear.bias"
    expected = gradients[0.0, 1][name] + 2.0
    torch.testing.assert_close(gradients[2.0, 1][name], expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradients[2.0, 3][name], expected, rtol=1e-4, atol=1e-5)


def test_after_an_epoch_each_expert_is_told_before_validation(run_of):
    run, told = run_of(), []
    run.model.experts["deepfm"].after_epoch = lambda: told.append(len(run.history))
    validate = run._validate
    run._validate = lambda: told.append("validation") or validate()
    run.epoch()
    run.epoch()
    assert told == [0, "validation", 1, "validation"]


def test_a_gradient_that_is_not_finite_names_task_and_batch_and_leaves_the_weights(run_of, monkeypatch):
    class Poison(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.clone()

        @staticmethod
        def backward(ctx, gradient):
            return gradient * float("inf")

    real = steps.row_losses
    monkeypatch.setattr(
        steps,
        "row_losses",
        lambda task, *rest: Poison.apply(real(task, *rest)) if task.name == "top_mcc_shift" else real(task, *rest),
    )
    run = run_of()
    before = {name: value.clone() for name, value in run.model.state_dict().items()}
    with pytest.raises(
        GateError, match=r"gradient norm is (nan|inf) in epoch 1, batch 1 of 7, from task 'top_mcc_shift'\n"
    ):
        first_step(run)
    assert all(torch.equal(value, before[name]) for name, value in run.model.state_dict().items())


def test_progress_tells_each_step_and_the_best_score_so_far(run_of):
    run, seen = run_of(), []
    with watched(lambda *step: seen.append(step)):
        first = run.epoch()
        run.epoch()
    assert seen[:7] == [("epoch 1 of 4, batch", k, 7) for k in range(1, 8)]
    assert seen[7:] == [(f"epoch 2 of 4, best score {first.score:.3f}, batch", k, 7) for k in range(1, 8)]


def test_the_seed_and_not_the_prefetch_decides(run_of):
    found = []
    for prefetch in (0, 3):
        run = run_of(dropout=0.1, loop={"prefetch": prefetch})
        run.epoch()
        found.append({name: value.clone() for name, value in run.model.state_dict().items()})
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())


def test_small_blocks_and_windows_train_on_every_row(run_of):
    run = run_of(loop={"block_rows": 64, "window_blocks": 3})
    record = run.epoch()
    assert np.isfinite(record.score)
    assert record.train.keys() == {task.name for task in run.data.tasks}
