from __future__ import annotations

from itertools import combinations

import pytest
import torch

from finai_assets.teacher.network.experts import build_expert
from finai_assets.teacher.network.experts.deepfm import DeepFM
from finai_assets.teacher.network.experts.task_mlp import TaskMLP
from finai_assets.teacher.network.router import FeatureRouter, Route, Routed, make_route
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError


@pytest.fixture
def batch(normaliser, panel, small):
    def make(name, rows=32):
        torch.manual_seed(0)
        route = make_route(small.teacher.routing[name], normaliser)
        x = torch.from_numpy(normaliser.transform(panel.X[:rows], None if panel.side is None else panel.side[:rows]))
        return route, FeatureRouter({name: route})(x)[name]

    return make


def test_the_expert_equals_its_definition_over_written_out_fields(batch, small):
    route, routed = batch("deepfm")
    expert = DeepFM(route, small.teacher).eval()
    fields = expert.fields(routed)
    _, _, linear = expert.parts(routed)
    pairs = sum(fields[:, i] * fields[:, j] for i, j in combinations(range(fields.shape[1]), 2))
    total = linear + expert.second(pairs) + expert.deep(expert.enter(fields.flatten(1)))
    torch.testing.assert_close(expert(routed), expert.norm(total), rtol=1e-4, atol=1e-4)


def test_deepfm_learns_an_xor_of_two_fields_that_its_linear_part_cannot(small):
    torch.manual_seed(1)
    bits = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]]).repeat(32, 1)
    label = (bits[:, 0] ^ bits[:, 1]).float()
    route = Route(("a",), (), (0, 1), (3, 3), ())
    routed = Routed(torch.zeros(128, 0), bits + 1, ())

    def accuracy(parts):
        expert = DeepFM(route, small.teacher)
        head = torch.nn.Linear(small.teacher.expert_dim, 1)
        optimiser = torch.optim.Adam([*expert.parameters(), *head.parameters()], lr=0.02)
        for _ in range(100):
            value = expert(routed) if parts == "all" else expert.parts(routed)[2]
            logit = head(value)[:, 0]
            optimiser.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(logit, label).backward()
            optimiser.step()
        return ((logit > 0).float() == label).float().mean()

    assert accuracy("all") > 0.99
    assert accuracy("linear") <= 0.75


def test_each_task_has_an_expert_of_its_own(batch, small):
    route, routed = batch("task_mlp")
    experts = TaskMLP(3, route, small.teacher).eval()
    before = experts(routed)
    with torch.no_grad():
        experts.rest.body[0].weight[1] += 1
    after = experts(routed)
    changed = (after - before).abs().amax((1, 2)) > 1e-6
    assert changed.tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["magic", "mlp"])
def test_an_expert_that_is_not_built_is_refused_and_the_built_ones_are_named(name, small):
    with pytest.raises(ConfigError, match=r"not built yet; built: .*deepfm"):
        build_expert(name, Route((), (), (), (), ()), small.teacher, Structure.none())
