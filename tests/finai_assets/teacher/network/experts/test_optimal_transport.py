"""The transport of spend over the merchant tree: its cost against POT's, its gradient, and the expert's contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import ot
import pytest
import torch
from torch import Tensor

from finai_assets.teacher.network.experts.optimal_transport import MEASURE, OptimalTransport, tree_cost
from finai_assets.teacher.network.experts.sinkhorn import divergence, entropic_cost, potentials
from finai_assets.teacher.network.router import Route, Routed, TensorSlots
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError

SCALARS, LEAVES, ROWS = 5, 50, 24
L2 = np.arange(LEAVES) * 2 // 5  # 20 of them, with two or three leaves each
TREE = np.stack([np.arange(LEAVES) * 100, L2, L2 // 2])
COST = torch.from_numpy(tree_cost(TREE))
STRUCTURE = replace(Structure.none(), tree=TREE)
ROUTE = Route(
    groups=("merchant_hierarchy", "mcc_top30_multihot"),
    scalars=tuple(range(SCALARS)),
    codes=(SCALARS,),
    code_sizes=(4,),
    sequences=(),
    tensors=(TensorSlots(MEASURE, SCALARS + 1, (LEAVES,)),),
    names=tuple(f"merchant_ball_{k:02d}" for k in range(SCALARS)),
)


def plan(a: Tensor, b: Tensor, f: Tensor, g: Tensor, *, epsilon: float) -> Tensor:
    """Return the transport plan that potentials stand for, float [..., m, m]: how much of ``a`` goes where in ``b``."""
    exponent = (f[..., :, None] + g[..., None, :] - COST) / epsilon
    return a[..., :, None] * b[..., None, :] * torch.exp(exponent)


@pytest.fixture
def expert(chosen):
    torch.manual_seed(0)
    return OptimalTransport(ROUTE, chosen, STRUCTURE).eval()


def spend(rows=ROWS, seed=0):
    """Return measures on few leaves each: most leaves have none of a customer's spend."""
    drawn = np.random.default_rng(seed).dirichlet(np.full(LEAVES, 0.15), rows)
    drawn[drawn < 1e-3] = 0
    return torch.from_numpy(drawn / drawn.sum(1, keepdims=True))


def full(rows, seed=1):
    return torch.softmax(torch.from_numpy(np.random.default_rng(seed).normal(0, 1.5, (rows, LEAVES))), -1)


def batch(seed=0, rows=ROWS):
    """Return rows of spend; the first has none."""
    random = np.random.default_rng(seed)
    measure = spend(rows, seed).float()
    measure[0] = 0
    scalars = torch.from_numpy(random.normal(size=(rows, SCALARS)).astype(np.float32))
    return Routed(scalars, torch.from_numpy(random.integers(0, 4, (rows, 1))), (), {MEASURE: measure})


def with_measure(given, measure):
    return Routed(given.scalars, given.codes, (), {MEASURE: measure})


# the method


def test_the_ground_cost_counts_the_edges_between_leaves():
    assert COST[0, 0] == 0
    assert COST[0, 1] == COST[0, 2] == pytest.approx(1 / 3)  # siblings under one L2 node
    assert COST[0, 3] == pytest.approx(2 / 3)  # cousins under one L1 node
    assert COST[0, 49] == 1
    assert (COST == COST.T).all()
    flat = tree_cost(np.array([[1, 2], [5, 5], [9, 9]]))
    assert flat.tolist() == [[0, 1], [1, 0]]  # the longest path there is has length 1


@pytest.mark.parametrize("epsilon", [0.05, 0.2])
def test_the_transport_cost_equals_that_of_pot(epsilon):
    a, b = spend(6), full(3)
    f, g = potentials(a[:, None], b, COST, epsilon=epsilon, iterations=1000)
    moved = plan(a[:, None], b, f, g, epsilon=epsilon)
    found = (moved * COST).sum((-1, -2))
    settings = {"reg": epsilon, "numItermax": 20_000, "stopThr": 1e-10, "method": "sinkhorn_log"}
    for i in range(len(a)):
        for j in range(len(b)):
            expected = ot.sinkhorn2(a[i].numpy(), b[j].numpy(), COST.numpy(), **settings)
            assert float(found[i, j]) == pytest.approx(float(expected), abs=1e-4)


def test_the_entropic_cost_is_the_transport_cost_and_the_price_of_the_plans_entropy_by_pots_plan():
    a, b = full(4, seed=2), full(4, seed=3)
    found = entropic_cost(a, b, COST, epsilon=0.1, iterations=500)
    for i in range(len(a)):
        moved = ot.sinkhorn(a[i].numpy(), b[i].numpy(), COST.numpy(), 0.1, numItermax=5000, stopThr=1e-12)
        entropy = (moved * np.log(moved / np.outer(a[i], b[i]))).sum()
        assert float(found[i]) == pytest.approx((moved * COST.numpy()).sum() + 0.1 * entropy, abs=1e-6)


def test_the_configured_iterations_come_within_a_ten_thousandth_of_convergence_in_single_precision(chosen):
    asked = chosen.expert.optimal_transport
    a, b = spend(60), full(16)
    found = divergence(a[:, None].float(), b.float(), COST.float(), epsilon=asked.epsilon, iterations=asked.iterations)
    converged = divergence(a[:, None], b, COST, epsilon=asked.epsilon, iterations=200)
    assert (found - converged).abs().max() < 1e-4
    assert converged.std() > 0.02  # which is small beside the differences that it must show


def test_a_plan_keeps_both_marginals():
    a, b = spend(5), full(5)
    f, g = potentials(a, b, COST, epsilon=0.2, iterations=200)
    moved = plan(a, b, f, g, epsilon=0.2)
    torch.testing.assert_close(moved.sum(2), a, rtol=0, atol=1e-8)
    torch.testing.assert_close(moved.sum(1), b, rtol=0, atol=1e-8)


@pytest.mark.parametrize("measures", [spend(8), full(8)], ids=["on few leaves", "on all leaves"])
def test_equal_measures_cost_nothing_and_different_ones_cost_something(measures):
    between = divergence(measures[:, None], measures, COST, epsilon=0.2, iterations=300)
    assert between.diagonal().abs().max() < 1e-7
    assert between[~torch.eye(8, dtype=bool)].min() > 1e-2
    single = divergence(measures.float(), measures.float(), COST.float(), epsilon=0.2, iterations=10)
    assert single.abs().max() < 1e-5


def test_what_lies_nearer_in_the_tree_costs_less():
    leaf = torch.eye(LEAVES, dtype=torch.float64)
    sibling, cousin, stranger = divergence(leaf[[0]], leaf[[1, 3, 49]], COST, epsilon=0.2, iterations=50)
    assert 0 < sibling < cousin < stranger
    # between two points nothing can be blurred: the cost is the distance
    torch.testing.assert_close(torch.stack([sibling, cousin, stranger]), COST[0, [1, 3, 49]])


def test_the_gradient_is_that_of_finite_differences():
    a = torch.randn(3, 1, 7, dtype=torch.float64, requires_grad=True)
    b = torch.randn(2, 7, dtype=torch.float64, requires_grad=True)
    cost = torch.from_numpy(tree_cost(np.array([[1, 2, 3, 4, 5, 6, 7], [1, 1, 2, 2, 3, 3, 4], [1, 1, 1, 1, 2, 2, 3]])))

    def of_logits(function):
        return lambda p, q: function(torch.softmax(p, -1), torch.softmax(q, -1), cost, epsilon=0.2, iterations=300)

    assert torch.autograd.gradcheck(of_logits(entropic_cost), (a, b))
    assert torch.autograd.gradcheck(of_logits(divergence), (a, b))


def test_sums_in_the_log_domain_take_over_where_the_kernel_would_vanish():
    a, b = spend(4), full(4)
    found = entropic_cost(a.float(), b.float(), COST.float(), epsilon=0.01, iterations=1000)
    assert torch.isfinite(found).all()
    for i in range(4):
        exact = ot.emd2(a[i].numpy(), b[i].numpy(), COST.numpy())
        assert exact - 1e-4 < float(found[i]) < exact + 0.06  # epsilon times the entropy above
    above = potentials(a, b, COST, epsilon=0.025, iterations=30)
    below = potentials(a, b, COST, epsilon=0.02499999, iterations=30)
    torch.testing.assert_close(above, below, rtol=0, atol=1e-4)


def test_a_prototype_learns_the_measure_that_customers_have(chosen):
    torch.manual_seed(0)
    target = full(1, seed=9).float()
    logits = torch.zeros(1, LEAVES, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(100):
        cost = divergence(target, torch.softmax(logits, -1), COST.float(), epsilon=0.2, iterations=10).sum()
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
    assert 0.5 * (torch.softmax(logits, -1) - target).abs().sum() < 0.05


# the expert


def test_it_maps_a_batch_to_its_width_and_stays_within_its_parameters(expert, chosen):
    assert expert(batch()).shape == (ROWS, chosen.expert_dim)
    wide = replace(ROUTE, scalars=tuple(range(120)))
    parameters = OptimalTransport(wide, chosen, STRUCTURE).parameters()
    assert sum(parameter.numel() for parameter in parameters) < 40_000


def test_the_gradient_reaches_every_parameter(expert, chosen):
    (expert(batch()) * torch.randn(ROWS, chosen.expert_dim)).sum().backward()
    assert [name for name, p in expert.named_parameters() if not p.grad.abs().sum() > 0] == []


def test_each_input_changes_the_output(expert):
    given = batch()
    before = expert(given)
    spent = given.tensors[MEASURE].roll(1, 1)
    for other in (
        Routed(given.scalars + 1, given.codes, (), dict(given.tensors)),
        Routed(given.scalars, (given.codes + 1) % 4, (), dict(given.tensors)),
        with_measure(given, spent),
    ):
        assert (expert(other) - before)[1:].abs().max() > 1e-4


def test_a_row_depends_neither_on_the_others_nor_on_chance(expert):
    given = batch()
    alone = Routed(given.scalars[3:4], given.codes[3:4], (), {MEASURE: given.tensors[MEASURE][3:4]})
    torch.testing.assert_close(expert(alone)[0], expert(given)[3], rtol=1e-4, atol=1e-5)
    assert torch.equal(expert(given), expert(given))


def test_no_prototype_matters_to_a_customer_without_spend(expert):
    given = batch()
    before = expert(given)
    with torch.no_grad():
        expert.logits.copy_(expert.logits.flip(1))
    after = expert(given)
    assert torch.isfinite(before).all()
    assert torch.equal(before[0], after[0])
    assert (before[1:] - after[1:]).abs().amax(1).min() > 1e-4
    assert not torch.allclose(before[0], expert(with_measure(given, torch.full((ROWS, LEAVES), 1 / LEAVES)))[0])


def test_the_gradient_of_rows_without_spend_is_finite(expert):
    given = batch()
    measure = torch.zeros(ROWS, LEAVES, requires_grad=True)
    expert(with_measure(given, measure)).square().sum().backward()
    assert torch.isfinite(measure.grad).all()
    assert torch.isfinite(expert.logits.grad).all()


def test_the_module_can_be_exported(expert):
    given = batch()

    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.expert = expert

        def forward(self, scalars, codes, measure):
            return self.expert(Routed(scalars, codes, (), {MEASURE: measure}))

    inputs = (given.scalars, given.codes, given.tensors[MEASURE])
    rows = {0: torch.export.Dim("rows", min=2, max=4096)}
    exported = torch.export.export(Flat(), inputs, dynamic_shapes=(rows, rows, rows)).module()
    torch.testing.assert_close(exported(*inputs), expert(given), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(exported(*(x[:5] for x in inputs)), expert(given)[:5], rtol=1e-4, atol=1e-5)


def test_another_tree_than_the_measures_is_refused(chosen):
    with pytest.raises(ConfigError, match="50 leaves, the merchant tree 0"):
        OptimalTransport(ROUTE, chosen, Structure.none())
    with pytest.raises(ConfigError, match="no leaves"):
        OptimalTransport(replace(ROUTE, tensors=()), chosen, STRUCTURE)
