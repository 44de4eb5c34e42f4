from __future__ import annotations

import numpy as np
import pytest
import torch
from panel import make_panel

from finai_assets.teacher.layout import layout_of
from finai_assets.teacher.network.router import FeatureRouter, make_route
from finai_assets.teacher.normalise import Normaliser
from finai_resources.errors import ConfigError


def test_a_route_holds_the_columns_of_its_groups_their_log_copies_and_no_others(normaliser, registry):
    groups = ("txn_behavior", "demographics")
    route = make_route(groups, normaliser)
    d = len(registry.columns)
    wanted = set(registry.positions(groups)) - {registry.names.index("gender_code")}  # withheld from the models
    copies = {d + k for k, column in enumerate(normaliser.log_of) if int(column) in wanted}
    assert set(route.scalars) | set(route.codes) == wanted | copies
    assert copies, "the panel's money columns are power laws"
    assert {registry.columns[j].kind for j in route.codes} == {"code"}
    assert route.sequences == ()


def test_the_sequence_arrives_with_its_steps_newest_first_and_its_length(normaliser, registry, panel):
    route = make_route(("txn_lag_tensor",), normaliser)
    x = normaliser.transform(panel.X[:6], None if panel.side is None else panel.side[:6])
    routed = FeatureRouter({"it": route})(torch.from_numpy(x))["it"]
    sequence = routed.sequences[0]
    at = {name: position for position, name in enumerate(registry.names)}
    assert sequence.scalars.shape == (6, 3, 200)
    assert sequence.codes.shape == (6, 1, 200)
    np.testing.assert_array_equal(sequence.scalars[:, 1, 3].numpy(), x[:, at["lag_days_003"]])
    np.testing.assert_array_equal(sequence.codes[:, 0, 0].numpy(), np.nan_to_num(panel.X[:6, at["lag_mcc_000"]] + 1))
    assert routed.scalars.shape[1] == 0


def test_an_unknown_group_is_refused_and_one_without_columns_is_left_out(normaliser, registry):
    known = (*(group.name for group in registry.groups), "card_balances")
    with pytest.raises(ConfigError, match="tea_leaves"):
        make_route(("demographics", "tea_leaves"), normaliser, known=known)
    assert make_route(("demographics", "card_balances"), normaliser, known=known).groups == ("demographics",)
    with pytest.raises(ConfigError, match="none of the groups"):
        make_route(("card_balances",), normaliser, known=known)


@pytest.fixture
def with_tensors(small, registry):
    """A panel whose experts read tensors, and its normaliser."""
    routing = {**small.teacher.routing, "deepfm": ("txn_lag_tensor", "tda_global", "tda_local", "merchant_hierarchy")}
    settings = small.model_copy(update={"teacher": small.teacher.model_copy(update={"routing": routing})})
    panel = make_panel(settings, registry, train=300, other=10)
    layout = layout_of(registry, settings, panel.columns, panel.tensors)
    return panel, Normaliser.fit(panel.X, panel.rows("train"), layout, settings.teacher.normalise, panel.side)


def test_tensors_arrive_in_their_shape_by_group_and_name(with_tensors):
    panel, normaliser = with_tensors
    x = torch.from_numpy(normaliser.transform(panel.X[:6], panel.side[:6]))
    groups = ("demographics", "merchant_hierarchy", "tda_local")
    routed = FeatureRouter({"it": make_route(groups, normaliser)})(x)["it"]
    assert set(routed.tensors) == {"tda_local.diagrams", "merchant_hierarchy.spend_measure"}
    first = 0
    for tensor in panel.tensors:
        name = f"{tensor.group}.{tensor.name}"
        if name in routed.tensors:
            stored = panel.side[:6, first : first + tensor.size].reshape(6, *tensor.shape)
            scale = 1.0 if tensor.name == "spend_measure" else normaliser.tensor_scale[panel.tensors.index(tensor)]
            np.testing.assert_allclose(routed.tensors[name].numpy(), stored / scale, rtol=1e-5)
        first += tensor.size


def test_a_group_that_is_not_routed_brings_no_tensor(with_tensors):
    _, normaliser = with_tensors
    assert make_route(("demographics", "txn_lag_tensor"), normaliser).tensors == ()


def test_the_router_moves_with_its_model_and_leaves_no_trace_in_its_weights(with_tensors):
    panel, normaliser = with_tensors
    router = FeatureRouter({"it": make_route(("txn_lag_tensor", "demographics", "tda_global"), normaliser)})
    assert router.state_dict() == {}
    x = torch.from_numpy(normaliser.transform(panel.X[:6], panel.side[:6]))
    routed = router.to("meta")(x.to("meta"))["it"]
    parts = [routed.scalars, routed.codes, routed.sequences[0].scalars, routed.sequences[0].codes]
    assert {part.device.type for part in [*parts, *routed.tensors.values()]} == {"meta"}
