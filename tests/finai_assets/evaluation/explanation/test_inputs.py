from __future__ import annotations

import numpy as np
import torch

from finai_assets.evaluation.explanation.explain import routes_of
from finai_assets.evaluation.explanation.inputs import Inputs, row_orders
from finai_assets.teacher.network.router import make_route


def test_inputs_are_what_some_expert_reads_and_nothing_else(teacher):
    inputs = Inputs.of(teacher.normaliser, routes_of(teacher))
    assert set(inputs.groups) == {"demographics", "txn_rolling_stats", "mcc_top30_multihot", "derived_temporal"}
    assert not any(name.startswith("lag_") for name in inputs.names)


def test_a_sequence_is_an_input_for_each_channel_and_one_for_its_length(teacher):
    normaliser = teacher.normaliser
    inputs = Inputs.of(normaliser, (make_route(("txn_lag_tensor",), normaliser),))
    steps = normaliser.layout.sequences[0].steps
    assert inputs.names == ("lag_amount", "lag_mcc", "lag_days", "lag_hour", "txn_lag_tensor: length")
    assert inputs.discrete.tolist() == [False, True, False, False, True]
    assert np.bincount(inputs.owner[inputs.owner >= 0]).tolist() == [steps] * 4 + [1]


def test_a_logarithm_belongs_to_its_column(teacher):
    normaliser = teacher.normaliser
    assert len(normaliser.log_of)
    every = tuple(sorted(set(normaliser.layout.groups) - {"withheld"}))
    inputs = Inputs.of(normaliser, (make_route(every, normaliser),))
    for index, column in enumerate(normaliser.log_of):
        copy = len(normaliser.mode) + index
        assert inputs.owner[copy] == inputs.owner[column] >= 0


def test_the_baseline_is_the_mean_of_the_rows_it_is_given_and_codes_are_missing(teacher, planted):
    inputs = Inputs.of(teacher.normaliser, routes_of(teacher))
    rows = np.arange(0, 500, 3)
    baseline = inputs.baseline(planted.X, planted.side, rows, teacher.normaliser)
    side = None if planted.side is None else planted.side[rows]
    mean = teacher.normaliser.transform(planted.X[rows], side).mean(0, dtype=np.float64)
    codes = np.flatnonzero(np.array(teacher.normaliser.layout.kinds) == "code")
    plain = np.setdiff1d(np.arange(len(mean)), [*codes, *inputs.lengths, *np.flatnonzero(inputs.mean_has_no_meaning)])
    np.testing.assert_allclose(baseline[plain], mean[plain], atol=1e-5)
    assert not baseline[codes].any()
    np.testing.assert_array_equal(baseline[inputs.lengths], np.round(mean[inputs.lengths]))


def test_masking_an_input_changes_its_positions_alone(teacher):
    inputs = Inputs.of(teacher.normaliser, routes_of(teacher))
    x, base = torch.ones(3, len(inputs.owner)), torch.zeros(len(inputs.owner))
    mask = torch.zeros(3, len(inputs), dtype=torch.bool)
    mask[1, 4] = True
    changed = inputs.masked(x, base, mask) != x
    assert changed[1].numpy().tolist() == (inputs.owner == 4).tolist()
    assert not changed[[0, 2]].any()


def test_a_row_has_the_same_order_whatever_other_rows_there_are():
    customer, month = np.array([7, 8, 9, 7]), np.array(["2016-04", "2016-04", "2016-04", "2016-05"])
    whole = row_orders(customer, month, 30, seed=1, salt="a")
    np.testing.assert_array_equal(row_orders(customer[2:], month[2:], 30, seed=1, salt="a"), whole[2:])
    assert (np.sort(whole, axis=1) == np.arange(30)).all()
    assert (whole[0] != whole[3]).any(), "another month, another order"
    assert (row_orders(customer, month, 30, seed=1, salt="b") != whole).any()
