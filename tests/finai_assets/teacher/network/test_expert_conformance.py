"""What every configured expert must do, whatever it computes."""

from __future__ import annotations

import pytest
import torch
from panel import make_panel, small_settings

from finai_assets.features.registry import build_registry
from finai_assets.settings import load_settings
from finai_assets.teacher.layout import layout_of
from finai_assets.teacher.network.experts import build_expert
from finai_assets.teacher.network.router import FeatureRouter, make_route
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.train import structure_of

EXPERTS = load_settings("synthetic", "smoke").teacher.experts


@pytest.fixture(scope="module")
def small():
    return small_settings(experts=list(EXPERTS))


@pytest.fixture(scope="module")
def registry(small):
    return build_registry(small)


@pytest.fixture(scope="module")
def panel(small, registry):
    return make_panel(small, registry)


@pytest.fixture(scope="module")
def normaliser(panel, registry, small):
    layout = layout_of(registry, small, panel.columns, panel.tensors)
    return Normaliser.fit(panel.X, panel.rows("train"), layout, small.teacher.normalise, panel.side)


@pytest.fixture
def batch(normaliser, panel, small):
    def make(name, rows=32):
        torch.manual_seed(0)
        route = make_route(small.teacher.routing[name], normaliser)
        x = torch.from_numpy(normaliser.transform(panel.X[:rows], panel.side[:rows]))
        return route, FeatureRouter({name: route})(x)[name]

    return make


@pytest.fixture(scope="module")
def structure(panel, registry):
    return structure_of(panel, registry)


@pytest.mark.parametrize("name", EXPERTS)
class TestEveryExpert:
    def test_maps_a_batch_to_its_width(self, name, batch, small, structure):
        route, routed = batch(name)
        assert build_expert(name, route, small.teacher, structure)(routed).shape == (32, small.teacher.expert_dim)

    def test_the_gradient_reaches_every_parameter(self, name, batch, small, structure):
        route, routed = batch(name, rows=256)
        expert = build_expert(name, route, small.teacher, structure)
        (expert(routed) * torch.randn(256, small.teacher.expert_dim)).sum().backward()
        idle = [key for key, parameter in expert.named_parameters() if not parameter.grad.abs().sum() > 0]
        assert idle == []

    def test_its_output_depends_on_each_group_that_is_routed_to_it(
        self, name, batch, small, structure, normaliser, panel, registry
    ):
        route, routed = batch(name)
        expert = build_expert(name, route, small.teacher, structure).eval()
        router = FeatureRouter({name: route})
        for group in route.groups:
            changed = panel.X[:32].copy()
            at = registry.positions((group,))
            changed[:, at] = panel.X[32:64][:, at]
            side = panel.side
            if side is not None:
                side, first = side[:32].copy(), 0
                for tensor in panel.tensors:
                    if tensor.group == group:
                        side[:, first : first + tensor.size] = panel.side[32:64, first : first + tensor.size]
                    first += tensor.size
            other = router(torch.from_numpy(normaliser.transform(changed, side)))[name]
            assert (expert(other) - expert(routed)).abs().max() > 1e-5, group

    def test_a_row_does_not_depend_on_the_others_of_its_batch(self, name, batch, small, structure, panel, normaliser):
        route, routed = batch(name)
        expert = build_expert(name, route, small.teacher, structure).eval()
        side = None if panel.side is None else panel.side[3:4]
        alone = FeatureRouter({name: route})(torch.from_numpy(normaliser.transform(panel.X[3:4], side)))[name]
        torch.testing.assert_close(expert(alone)[0], expert(routed)[3], rtol=1e-4, atol=1e-5)
