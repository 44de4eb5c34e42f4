from __future__ import annotations

import numpy as np
import pytest
import torch

from finai_assets.teacher.router import FeatureRouter, make_route
from finai_resources.errors import ConfigError


def test_a_route_holds_the_columns_of_its_groups_their_log_copies_and_no_others(normaliser, registry):
    groups = ("txn_behavior", "demographics")
    route = make_route(groups, normaliser)
    d = len(registry.columns)
    wanted = set(registry.positions(groups))
    copies = {d + k for k, column in enumerate(normaliser.log_of) if int(column) in wanted}
    assert set(route.scalars) | set(route.codes) == wanted | copies
    assert copies, "the panel's money columns are power laws"
    assert {registry.columns[j].kind for j in route.codes} == {"code"}
    assert route.sequences == ()


def test_the_sequence_arrives_with_its_steps_newest_first_and_its_length(normaliser, registry, panel):
    route = make_route(("txn_lag_tensor",), normaliser)
    x = normaliser.transform(panel.X[:6])
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
