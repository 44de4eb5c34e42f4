"""The structural model: its constraint against the definition, the graphs that it finds, what it carries, and the contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.linalg import expm

from finai_assets.settings import load_settings
from finai_assets.teacher.network.experts import notears
from finai_assets.teacher.network.experts.causal import Causal, _total_effects
from finai_assets.teacher.network.router import Route, Routed

SCALARS, CODES, ROWS = 12, 5, 64
ROUTE = Route(
    groups=("demographics", "txn_behavior"),
    scalars=tuple(range(SCALARS)),
    codes=(SCALARS,),
    code_sizes=(CODES,),
    sequences=(),
    names=tuple(f"column_{k:02d}" for k in range(SCALARS)),
)
GRAPH = np.zeros((6, 6))
for cause, effect, size in [
    (0, 1, 1.2),
    (0, 2, -0.8),
    (1, 3, 0.9),
    (2, 3, 1.1),
    (3, 4, -1.0),
    (2, 5, 0.7),
    (4, 5, 1.3),
]:
    GRAPH[cause, effect] = size


@pytest.fixture
def expert(chosen):
    torch.manual_seed(0)
    return Causal(ROUTE, chosen).eval()


def batch(seed=0, rows=ROWS):
    """Return rows whose columns hang together: each of them follows those before it."""
    random = np.random.default_rng(seed)
    weight = np.triu(np.random.default_rng(99).normal(0, 0.6, (SCALARS, SCALARS)), 1)
    scalars = random.normal(size=(rows, SCALARS)) @ np.linalg.inv(np.eye(SCALARS) - weight)
    return Routed(
        torch.from_numpy(scalars.astype(np.float32)), torch.from_numpy(random.integers(0, CODES, (rows, 1))), ()
    )


def drawn_from(graph, rows, seed=0):
    noise = np.random.default_rng(seed).normal(size=(rows, len(graph)))
    return noise @ np.linalg.inv(np.eye(len(graph)) - graph)


def hamming_distance(found, truth):
    """Return how many edges must be added, removed or turned round."""
    wrong = (found != 0) != (truth != 0)
    return int((wrong | wrong.T)[np.triu_indices(len(truth), 1)].sum())


def start(size):
    return notears.Structural(np.zeros((size, size)), 0.0, 1.0)


def trained(expert, epochs=3, steps=8):
    """Train on a label that the columns decide, with the two hooks where a training loop calls them."""
    head = torch.nn.Linear(expert.norm(expert.body(torch.zeros(1, 2 * len(expert.mean)))).shape[1], 1)
    optimiser = torch.optim.AdamW([*expert.parameters(), *head.parameters()], lr=0.005)
    history = []
    for epoch in range(epochs):
        expert.train()
        for step in range(steps):
            given = batch(seed=100 * epoch + step, rows=256)
            label = (given.scalars[:, 3] * given.scalars[:, 7] > 0).float()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(head(expert(given))[:, 0], label)
            optimiser.zero_grad()
            (loss + expert.auxiliary_loss()).backward()
            optimiser.step()
        before = expert.acyclicity().item()
        expert.after_epoch()
        history.append((before, expert.acyclicity().item()))
    return expert.eval(), history


# the method


def test_the_constraint_and_its_gradient_equal_their_definition():
    torch.manual_seed(0)
    for scale in (0.05, 0.5, 1.0):
        weight = (scale * torch.randn(7, 7, dtype=torch.float64)).requires_grad_()
        violation = notears.acyclicity(weight)
        violation.backward()
        w = weight.detach().numpy()
        grown = expm(w * w)
        assert violation.item() == pytest.approx(np.trace(grown) - 7, rel=1e-10)
        np.testing.assert_allclose(weight.grad.numpy(), 2 * w * grown.T, rtol=1e-10)
        assert torch.autograd.gradcheck(notears.acyclicity, weight)


def test_the_constraint_is_zero_without_a_cycle_and_keeps_its_digits_with_a_weak_one():
    weight = torch.zeros(24, 24)
    weight[torch.triu_indices(24, 24, 1).unbind()] = 0.7
    assert notears.acyclicity(weight) == 0
    two = torch.zeros(24, 24)
    two[3, 5], two[5, 3] = 0.5, 1e-4  # h = 2 (cosh(0.5e-4) - 1)
    assert notears.acyclicity(two).item() == pytest.approx(2.5e-9, rel=1e-4)


def test_the_reconstruction_by_moments_is_that_of_the_rows():
    z = torch.from_numpy(drawn_from(GRAPH, 300))
    weight = torch.randn(6, 6, dtype=torch.float64)
    expected = 0.5 * (z - z @ weight).square().sum(1).mean()
    torch.testing.assert_close(notears.reconstruction(weight, z.T @ z / 300), expected)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_known_graph_of_six_nodes_is_recovered(seed):
    z = drawn_from(GRAPH, 2000, seed)
    moments = z.T @ z / len(z)
    solved = notears.solve(moments, start(6), lasso=0.1)
    assert notears.acyclicity(torch.from_numpy(solved.weight)).item() < 1e-6  # by the Lagrangian alone
    assert solved.multiplier > 0
    found = notears.fit(moments, start(6), lasso=0.1, threshold=0.3)
    assert hamming_distance(found.weight, GRAPH) <= 1
    assert np.abs(found.weight - GRAPH).max() < 0.3
    assert notears.acyclicity(torch.from_numpy(found.weight)) == 0


def test_without_the_constraint_the_same_data_give_a_graph_with_cycles():
    z = drawn_from(GRAPH, 2000)
    free = notears._minimise(z.T @ z / len(z), notears.Structural(np.zeros((6, 6)), 0.0, 0.0), 0.1)
    assert notears.acyclicity(torch.from_numpy(free)) > 0.1


def test_cycles_are_cut_at_their_least_edge():
    weight = np.zeros((4, 4))
    weight[0, 1], weight[1, 2], weight[2, 0], weight[2, 3], weight[3, 2] = 0.9, -0.5, 0.2, 0.4, 0.3
    kept = notears.without_cycles(weight)
    assert sorted(zip(*np.nonzero(kept), strict=True)) == [(0, 1), (1, 2), (2, 3)]
    assert (kept[kept != 0] == weight[kept != 0]).all()


def test_a_fit_that_goes_on_keeps_the_graph():
    z = drawn_from(GRAPH, 2000)
    moments = z.T @ z / len(z)
    first = notears.fit(moments, start(6), lasso=0.1, threshold=0.3)
    second = notears.fit(moments, first, lasso=0.1, threshold=0.3)
    np.testing.assert_allclose(second.weight, first.weight, atol=0.02)
    assert second.multiplier >= first.multiplier


# the expert in training


@pytest.fixture(scope="module")
def after(chosen):
    torch.manual_seed(0)
    return trained(Causal(ROUTE, chosen))


def test_after_each_epoch_the_graph_has_no_cycle_and_edges(after):
    expert, history = after
    assert all(violation < 1e-6 for _, violation in history)
    assert max(before for before, _ in history) > 1e-6  # there was something to do
    assert (expert.structure() != 0).sum() > 5
    assert expert.multiplier > 0


def test_what_w_says_explains_much_of_the_variables(after):
    expert, _ = after
    z = expert.variables(batch(seed=7, rows=2000))
    told = z @ expert.structure()
    assert ((z - told).square().mean() / z.square().mean()).item() < 0.7


def test_the_share_of_an_interventions_effect_that_passes_through_w_is_positive_and_zero_without_w(after):
    expert, _ = after
    share = expert.intervention_share(batch(seed=8)).item()
    assert 0.02 < share < 1
    without = Causal(ROUTE, load_settings("synthetic", "demo").teacher).eval()
    without.load_state_dict(expert.state_dict())
    with torch.no_grad():
        without.weight.zero_()
    assert without.intervention_share(batch(seed=8)).item() == 0


def test_the_share_equals_what_a_chain_and_a_linear_reading_give_by_hand(expert):
    d = len(expert.mean)
    with torch.no_grad():
        expert.weight.zero_()
        expert.weight[0, 1], expert.weight[1, 2] = 0.5, 0.8
    read = torch.nn.Linear(2 * d, 1, bias=False)
    torch.nn.init.zeros_(read.weight)
    with torch.no_grad():
        read.weight[0, 0] = 1.0  # z_0 itself
        read.weight[0, d + 2] = 1.0  # what the causes of z_2 say, which z_0 reaches through z_1 alone
    expert.body, expert.norm = read, torch.nn.Identity()
    carried = 0.5 * 0.8 + 0.8  # of do(z_0) and do(z_1)
    assert expert.intervention_share(batch()).item() == pytest.approx(carried / (carried + 1.0), rel=1e-4)


def test_an_intervention_moves_the_variables_as_the_model_with_its_noise_kept_says(after):
    expert, _ = after
    weight = expert.structure().detach().double()
    noise = torch.randn(5, len(weight), dtype=torch.float64)
    order = torch.linalg.inv(torch.eye(len(weight), dtype=torch.float64) - weight)
    cause = int(weight.abs().sum(1).argmax())
    cut = weight.clone()
    cut[:, cause] = 0
    before = noise @ order
    forced = noise.clone()
    forced[:, cause] = before[:, cause] + 1
    moved = forced @ torch.linalg.inv(torch.eye(len(weight), dtype=torch.float64) - cut) - before
    torch.testing.assert_close(moved, _total_effects(weight)[cause].expand(5, -1))


def test_the_variables_do_not_collapse_where_the_reconstruction_alone_is_learned(expert):
    expert.train()
    expert(batch())
    expert.auxiliary_loss().backward()
    assert expert.compress.weight.grad is None  # it has no say in what the variables are
    assert expert.weight.grad.abs().sum() > 0
    assert (expert.weight.grad.diagonal() == 0).all()
    before = expert(batch())
    with torch.no_grad():
        expert.compress.weight.mul_(0.01)
    z = expert.variables(batch())
    torch.testing.assert_close(z.var(0, unbiased=False), torch.ones(len(expert.mean)), rtol=0.1, atol=0)
    expert.body.eval()
    assert (expert(batch()) - before).abs().mean() < 0.5


def test_gradient_steps_on_the_auxiliary_loss_lower_it_and_what_w_leaves_unexplained(expert):
    expert.train()
    for seed in range(20):
        expert(batch(seed, rows=256))
    optimiser = torch.optim.Adam([expert.weight], lr=0.02)

    def unexplained():
        return notears.reconstruction(expert.structure(), expert._correlation()).item()

    first, begun = expert.auxiliary_loss().item(), unexplained()
    for _ in range(100):
        optimiser.zero_grad()
        expert.auxiliary_loss().backward()
        optimiser.step()
    assert expert.auxiliary_loss().item() < first
    assert unexplained() < 0.8 * begun


def test_the_running_moments_are_those_of_the_rows_and_start_without_a_bias(expert):
    expert.train()
    given = batch(rows=4000)
    expert(given)
    raw = expert.compress(torch.cat([given.scalars, torch.nn.functional.one_hot(given.codes[:, 0], CODES)], 1))
    torch.testing.assert_close(expert.mean, raw.mean(0))
    torch.testing.assert_close(expert.covariance, torch.cov(raw.T, correction=0), rtol=1e-4, atol=1e-4)
    before = expert.covariance.clone()
    expert.eval()(given)
    assert torch.equal(before, expert.covariance)


def test_a_state_that_is_loaded_goes_on_as_the_one_that_was_saved(chosen, after):
    expert, _ = after
    other = Causal(ROUTE, chosen)
    other.load_state_dict(expert.state_dict())
    again = Causal(ROUTE, chosen)
    again.load_state_dict(expert.state_dict())
    for one in (other, again):
        one.train()
        one.body.eval()
        one(batch(seed=5))
        one.after_epoch()
    assert all(torch.equal(a, b) for a, b in zip(other.state_dict().values(), again.state_dict().values(), strict=True))


# the expert


def test_it_maps_a_batch_to_its_width_and_stays_within_its_parameters(expert, chosen):
    assert expert(batch()).shape == (ROWS, chosen.expert_dim)
    wide = replace(ROUTE, scalars=tuple(range(300)))
    assert sum(parameter.numel() for parameter in Causal(wide, chosen).parameters()) < 60_000


def test_the_gradient_reaches_every_parameter(expert, chosen):
    for training in (False, True):
        expert.train(training)
        expert.zero_grad()
        (expert(batch()) * torch.randn(ROWS, chosen.expert_dim)).sum().backward()
        assert [name for name, p in expert.named_parameters() if not p.grad.abs().sum() > 0] == []


def test_each_input_changes_the_output(expert):
    given = batch()
    before = expert(given)
    for column in range(SCALARS):
        scalars = given.scalars.clone()
        scalars[:, column] += 1
        assert (expert(Routed(scalars, given.codes, ())) - before).abs().max() > 1e-4
    assert (expert(Routed(given.scalars, (given.codes + 1) % CODES, ())) - before).abs().max() > 1e-4


def test_a_row_depends_neither_on_the_others_nor_on_chance(expert):
    given = batch()
    alone = Routed(given.scalars[3:4], given.codes[3:4], ())
    torch.testing.assert_close(expert(alone)[0], expert(given)[3], rtol=1e-4, atol=1e-5)
    assert torch.equal(expert(given), expert(given))


def test_columns_that_are_all_zero_and_a_batch_of_one_row_are_finite(expert):
    nothing = Routed(torch.zeros(4, SCALARS), torch.zeros(4, 1, dtype=torch.long), ())
    single = Routed(batch().scalars[:1], batch().codes[:1], ())
    for training in (False, True):
        expert.train(training)
        for given in (nothing, single):
            result = expert(given)
            (result.square().sum() + expert.auxiliary_loss()).backward()
            assert torch.isfinite(result).all()
            assert all(torch.isfinite(parameter.grad).all() for parameter in expert.parameters())
    expert.after_epoch()
    assert torch.isfinite(expert.weight).all()


def test_the_module_can_be_exported(expert):
    given = batch()

    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.expert = expert

        def forward(self, scalars, codes):
            return self.expert(Routed(scalars, codes, ()))

    inputs = (given.scalars, given.codes)
    rows = {0: torch.export.Dim("rows", min=2, max=4096)}
    exported = torch.export.export(Flat().eval(), inputs, dynamic_shapes=(rows, rows)).module()
    torch.testing.assert_close(exported(*inputs), expert(given), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(exported(*(x[:5] for x in inputs)), expert(given)[:5], rtol=1e-4, atol=1e-5)
