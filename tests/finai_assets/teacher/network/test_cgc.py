from __future__ import annotations

import pytest
import torch

from finai_assets.teacher.network.cgc import CGC, SharedGate, TaskFusion, TaskGates


def with_mechanisms(small, **changes):
    return small.teacher.model_copy(update={"mechanisms": small.teacher.mechanisms.model_copy(update=changes)})


@pytest.mark.parametrize("common", [True, False])
def test_sigmoid_gates_need_not_add_up_to_one_and_one_slot_leaves_the_others_alone(common):
    torch.manual_seed(0)
    gates = TaskGates(2, 3, ("a", "b"), common=common, kind="sigmoid")
    seen = torch.randn(5, 3) if common else torch.randn(2, 5, 3)
    shared, own = [torch.randn(5, 4), torch.randn(5, 4)], torch.randn(2, 5, 4)
    _, start = gates(seen, shared, own)
    torch.testing.assert_close(start, torch.full((2, 5, 3), 1 / 3))
    for parameter in gates.score.parameters():
        torch.nn.init.normal_(parameter)
    mixed, weights = gates(seen, shared, own)
    assert ((weights > 0) & (weights < 1)).all()
    assert (weights.sum(-1) - 1).abs().max() > 0.2
    expected = weights[..., :1] * shared[0] + weights[..., 1:2] * shared[1] + weights[..., 2:] * own
    torch.testing.assert_close(mixed, expected)
    bias = gates.score.every.bias.view(2, 3) if common else gates.score.bias[:, 0]
    with torch.no_grad():
        bias[:, 0] += 3
    _, after = gates(seen, shared, own)
    torch.testing.assert_close(after[..., 1:], weights[..., 1:])
    assert (after[..., 0] > weights[..., 0]).all()


def test_softmax_gates_add_up_to_one_however_they_score():
    torch.manual_seed(0)
    gates = TaskGates(2, 3, ("a", "b"), common=True)
    torch.nn.init.normal_(gates.score.every.weight)
    _, weights = gates(torch.randn(5, 3), [torch.randn(5, 4)] * 2, torch.randn(2, 5, 4))
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 5))


def test_the_shared_gate_begins_as_a_mean_whatever_its_kind():
    shared, own = [torch.randn(5, 4)], torch.randn(3, 5, 4)
    for kind in ("softmax", "sigmoid"):
        mixed = SharedGate(3, 2, 1, kind)(torch.randn(5, 2), shared, own)
        torch.testing.assert_close(mixed, (shared[0] + own.sum(0)) / 4)


def test_later_layers_have_the_gates_of_the_settings(small):
    layer = CGC(3, 2, with_mechanisms(small, gate="sigmoid"), last=False)
    assert (layer.gates.kind, layer.shared_gate.kind) == ("sigmoid", "sigmoid")


@pytest.fixture
def fusion(small):
    torch.manual_seed(0)
    layer = TaskFusion(3, small.teacher)
    for parameter in (layer.score.weight, layer.score.bias, layer.native):
        torch.nn.init.normal_(parameter)
    return layer, torch.randn(3, 5, small.teacher.expert_dim)


def test_fusion_is_the_gated_sum_of_all_tasks_experts_and_the_weighted_native_one(fusion):
    layer, tasks = fusion
    own = layer.own(tasks)
    for t in range(3):
        gate = torch.softmax(tasks[t] @ layer.score.weight[t] + layer.score.bias[t], -1)
        expected = sum(gate[:, u : u + 1] * own[u] for u in range(3)) + layer.native[t] * own[t]
        torch.testing.assert_close(layer(tasks)[t] - tasks[t], expected, rtol=1e-4, atol=1e-5)


def test_a_task_learns_through_the_experts_of_the_others(fusion):
    layer, tasks = fusion
    changed = tasks.clone()
    changed[2] += 1
    difference = (layer(changed) - layer(tasks)).abs().amax((1, 2))
    assert (difference > 1e-4).all()
    layer.zero_grad()
    layer(tasks)[0].sum().backward()
    assert (layer.own.body[0].weight.grad.abs().amax((1, 2)) > 0).all()
