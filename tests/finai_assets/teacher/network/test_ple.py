from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from finai_assets.teacher.fitting.losses import task_loss
from finai_assets.teacher.network.cgc import TaskGates
from finai_assets.teacher.network.ple import PLE, parameter_table
from finai_resources.errors import ConfigError, GateError


@pytest.fixture
def model(normaliser, teacher_tasks, small):
    torch.manual_seed(0)
    return PLE(normaliser, teacher_tasks, small.teacher)


@pytest.fixture
def x(normaliser, panel):
    return rows_of(normaliser, panel, slice(0, 64))


def rows_of(normaliser, panel, rows):
    side = None if panel.side is None else panel.side[rows]
    return torch.from_numpy(normaliser.transform(panel.X[rows], side))


def chosen(small, **changes):
    return small.teacher.model_copy(update=changes)


def test_each_task_gets_logits_of_its_width_and_gates_over_its_named_slots(model, x, teacher_tasks):
    output = model(x)
    assert {name: tuple(value.shape) for name, value in output.logits.items()} == {
        task.name: (64, task.outputs) for task in teacher_tasks
    }
    for task in teacher_tasks:
        assert output.slot_names[task.name] == ("deepfm", "task_mlp")
        weights = output.gates[task.name]
        assert weights.shape == (64, 2)
        assert (weights >= 0).all()
        torch.testing.assert_close(weights.sum(1), torch.ones(64))


def test_gates_follow_the_input_once_their_weights_do(model, x):
    torch.nn.init.normal_(model.gates.score.every.weight, std=0.1)
    weights = model(x).gates["nba_primary"]
    assert weights.std(0).min() > 0.01
    torch.testing.assert_close(weights.sum(1), torch.ones(64))


def test_a_gate_that_names_one_slot_alone_passes_that_slot_on():
    gates = TaskGates(2, 3, ("deepfm",), common=True)
    with torch.no_grad():
        gates.score.every.bias.copy_(torch.tensor([50.0, 0.0, 0.0, 50.0]))
    shared, own = torch.randn(5, 4), torch.randn(2, 5, 4)
    mixed, _ = gates(torch.zeros(5, 3), [shared], own)
    torch.testing.assert_close(mixed[0], shared)
    torch.testing.assert_close(mixed[1], own[1])


def test_the_gradient_reaches_every_parameter(model, normaliser, panel, small):
    output = model(rows_of(normaliser, panel, slice(0, 800)))
    total = sum(
        task_loss(task, output.logits[task.name], torch.from_numpy(panel.labels[task.name][:800]), 1.0)
        for task in model.tasks
    )
    total.backward()
    idle = [name for name, value in model.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert idle == []


def test_the_output_depends_on_each_routed_group(model, normaliser, panel, registry, small):
    model.eval()
    before = model(rows_of(normaliser, panel, slice(0, 32)))
    for group in small.teacher.routing["deepfm"]:
        changed = panel.X[:32].copy()
        at = registry.positions((group,))
        changed[:, at] = panel.X[32:64][:, at]
        side = None if panel.side is None else panel.side[:32]
        after = model(torch.from_numpy(normaliser.transform(changed, side)))
        for name, logits in before.logits.items():
            assert (after.logits[name] - logits).abs().max() > 1e-6, (group, name)


def test_the_first_prediction_is_near_the_best_constant(model, x, teacher_tasks):
    output = model(x)
    for task in teacher_tasks:
        gap = (output.logits[task.name] - torch.tensor(task.start)).abs().max() / task.scale
        assert gap < 0.5, task.name


@pytest.mark.parametrize(("source", "target"), [("churn_signal", "product_stability"), ("next_mcc", "nba_primary")])
def test_a_transfer_carries_from_its_source_to_its_target_alone(model, x, source, target):
    model.eval()
    before = model(x).logits
    with torch.no_grad():
        for parameter in model.towers[source].parameters():
            parameter.add_(0.3)
    after = model(x).logits
    changed = {name for name, value in before.items() if (after[name] - value).abs().max() > 1e-6}
    assert changed == {source, target}


def test_a_transfer_is_left_out_where_one_of_its_tasks_is_unavailable(normaliser, teacher_tasks, small, x):
    tasks = [task for task in teacher_tasks if task.name != "next_mcc"]
    model = PLE(normaliser, tasks, small.teacher)
    assert [(t.source, t.target) for t in model.transfers] == [("churn_signal", "product_stability")]
    assert "next_mcc" not in model(x).logits


def test_transfers_in_a_circle_are_refused(normaliser, teacher_tasks, small):
    first = small.teacher.transfers[0]
    circle = (first, first.model_copy(update={"source": first.target, "target": first.source}))
    with pytest.raises(ConfigError, match="cycle"):
        PLE(normaliser, teacher_tasks, chosen(small, transfers=circle))


def test_parameters_are_counted_per_part_and_add_up(model):
    table = parameter_table(model)
    assert table["total"] == sum(value for name, value in table.items() if name != "total")
    assert table["total"] == sum(parameter.numel() for parameter in model.parameters())
    assert table["total"] < 2_000_000


def test_two_million_parameters_are_refused(normaliser, teacher_tasks, small):
    with pytest.raises(GateError, match="at most 1,999,999"):
        PLE(normaliser, teacher_tasks, chosen(small, deep_hidden=(2000, 800)))


def test_an_expert_that_is_not_built_stops_the_network(normaliser, teacher_tasks, small):
    with pytest.raises(ConfigError, match=r"'crystal_ball' is not built yet; built: .*deepfm"):
        PLE(normaliser, teacher_tasks, chosen(small, experts=("deepfm", "crystal_ball")))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_number_of_layers_is_as_configured(normaliser, teacher_tasks, small, x, layers):
    model = PLE(normaliser, teacher_tasks, chosen(small, layers=layers))
    assert len(model.layers) == layers - 1
    assert model(x).logits["churn_signal"].isfinite().all()


def test_a_groups_tasks_stand_side_by_side(model):
    groups = [task.group for task in model.tasks]
    assert sum(left != right for left, right in pairwise(groups)) == len(set(groups)) - 1


def test_a_model_computes_where_it_lies(normaliser, teacher_tasks, small, x):
    # autocast, which some experts switch off for a part, does not know this device
    model = PLE(normaliser, teacher_tasks, chosen(small, experts=("deepfm",))).to("meta")
    output = model(x.to("meta"))
    assert {value.device.type for value in output.logits.values()} == {"meta"}


def test_task_fusion_takes_the_place_of_the_later_layers(normaliser, teacher_tasks, small, x):
    mechanisms = small.teacher.mechanisms.model_copy(update={"task_transfer": "adatt_sp"})
    model = PLE(normaliser, teacher_tasks, chosen(small, mechanisms=mechanisms))
    assert (len(model.layers), len(model.fusions), model.shared_gate) == (0, small.teacher.layers - 1, None)
    table = parameter_table(model)
    assert table["total"] == sum(value for name, value in table.items() if name != "total")
    output = model(x)
    assert output.slot_names["churn_signal"] == (*small.teacher.experts, "task_mlp")
    assert output.logits["churn_signal"].isfinite().all()


def test_sigmoid_gates_reach_the_output(normaliser, teacher_tasks, small, x):
    mechanisms = small.teacher.mechanisms.model_copy(update={"gate": "sigmoid"})
    model = PLE(normaliser, teacher_tasks, chosen(small, mechanisms=mechanisms))
    torch.nn.init.normal_(model.gates.score.every.weight, std=0.3)
    weights = model(x).gates["nba_primary"]
    assert ((weights > 0) & (weights < 1)).all()
    assert (weights.sum(1) - 1).abs().max() > 0.1


def test_hooks_of_experts_are_found_where_they_are(model):
    assert model.auxiliary_losses() == {}
    expert = model.experts["deepfm"]
    expert.auxiliary_loss = lambda: torch.tensor(2.0)
    told = []
    expert.after_epoch = lambda: told.append(True)
    assert {name: value.item() for name, value in model.auxiliary_losses().items()} == {"deepfm": 2.0}
    model.after_epoch()
    assert told == [True]
