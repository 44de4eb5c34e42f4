"""The propagation on the customer-product graph against dense matrices, its ranking, and the expert's contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from finai_assets.features.methods.lightgcn import build_graph, gram_matrix
from finai_assets.settings import load_settings
from finai_assets.teacher.network.experts.lightgcn import LightGCN, Propagation
from finai_assets.teacher.network.router import Route, Routed
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError

PRODUCTS, OTHERS, ROWS = 7, 3, 20


def structure_of(held):
    """Return the graph of holdings 0/1 [customers, products]."""
    names = tuple(f"held_{k}" for k in range(held.shape[1]))
    graph = gram_matrix(build_graph(held.astype(np.uint8)).arrays)
    return Structure(np.empty((3, 0), np.int64), names, held.sum(0).astype(np.float64), graph)


def route_of(structure, others=()):
    names = (*others, *structure.held)
    return Route(("product_holdings",), tuple(range(len(names))), (), (), (), names=names)


def holdings(seed=0, rows=ROWS):
    held = (np.random.default_rng(seed).random((rows, PRODUCTS)) < 0.4).astype(np.float32)
    held[0] = 0  # a customer without a product
    held[:, 5] = 0  # a product that nobody in train holds
    return held


STRUCTURE = structure_of(holdings())
ROUTE = route_of(STRUCTURE, others=("graph_00", "graph_01", "graph_degree"))


@pytest.fixture
def expert(small):
    torch.manual_seed(0)
    return LightGCN(ROUTE, small.teacher, STRUCTURE).eval()


def batch(seed=0):
    held = holdings(seed)
    held[2, 5] = 1  # a later row may hold what nobody held in train
    others = np.random.default_rng([seed, 1]).normal(size=(ROWS, OTHERS)).astype(np.float32)
    return routed(torch.from_numpy(np.concatenate([others, held], 1)))


def routed(scalars):
    return Routed(scalars, torch.zeros(scalars.shape[0], 0, dtype=torch.long), ())


# the method


def dense_layers(held, products, layers, *, senders):
    """Return the mean of the layers 0 .. K of customers and products by the full bipartite adjacency of He et al. (2020).

    Only the first ``senders`` customers are in the graph; the others are appended: they receive with the degrees that the
    products have without them, and send nothing.
    """
    customers, count = held.shape
    own = held * (held[:senders].sum(0) > 0)  # a product without a holder is no node
    with np.errstate(divide="ignore"):
        by_customer, by_product = own.sum(1) ** -0.5, held[:senders].sum(0) ** -0.5
    by_customer[np.isinf(by_customer)], by_product[np.isinf(by_product)] = 0, 0
    adjacency = np.zeros((customers + count, customers + count))
    weights = by_customer[:, None] * own * by_product
    adjacency[:customers, customers:] = weights
    adjacency[customers:, :senders] = weights[:senders].T
    layer = np.concatenate([np.zeros((customers, products.shape[1])), products])
    found = [layer]
    for _ in range(layers):
        found.append(adjacency @ found[-1])
    mean = np.mean(found, axis=0)
    return mean[:customers], mean[customers:]


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
def test_propagation_equals_the_dense_matrix_formula_for_customers_of_train_and_appended_ones(layers):
    torch.manual_seed(layers)
    everyone = np.concatenate([holdings(), holdings(seed=1)]).astype(np.float64)
    everyone[ROWS + 2, 5] = 1
    propagation = Propagation(STRUCTURE, width=6, layers=layers)
    customers, products = dense_layers(everyone, propagation.first.detach().numpy(), layers, senders=ROWS)
    found = propagation.customers(torch.from_numpy(everyone).float()).detach().numpy()
    np.testing.assert_allclose(found, customers, atol=1e-5)
    np.testing.assert_allclose(propagation.products().detach().numpy(), products, atol=1e-5)
    assert np.abs(customers[ROWS:]).max() > 0.01


def test_the_units_of_the_expert_do_not_depend_on_the_number_of_customers(small):
    """Ten times the same customers are the same graph, seen ten times."""
    outputs = []
    for times in (1, 10):
        torch.manual_seed(0)
        expert = LightGCN(ROUTE, small.teacher, structure_of(np.tile(holdings(), (times, 1)))).eval()
        outputs.append(expert(batch()))
    torch.testing.assert_close(*outputs, rtol=1e-4, atol=1e-4)


def planted(seed):
    """Return four blocks of customers that hold the products of theirs, and one edge of each customer held out.

    Returns
    -------
    held : float32 [customers, 24], without the edges held out
    out : int64 [customers], the products of those edges
    full : bool [customers, 24]
    """
    random = np.random.default_rng(seed)
    block, popularity = random.integers(4, size=800), random.uniform(0.5, 1.5, 24)
    chance = np.where(block[:, None] == np.arange(24) % 4, 0.5, 0.05) * popularity
    full = random.random((800, 24)) < chance
    full = full[full.sum(1) >= 2]
    out = np.array([random.choice(np.flatnonzero(row)) for row in full])
    held = full.astype(np.float32)
    held[np.arange(len(full)), out] = 0
    return held, out, full


def ranking(scores, out, full):
    """Return per customer the share of products that it does not hold with a lower score than the edge held out: the AUC."""
    own = scores[np.arange(len(out)), out][:, None]
    wins = (own > scores) + 0.5 * (own == scores)
    return (wins * ~full).sum(1) / (~full).sum(1)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_held_out_edge_ranks_above_a_random_one_after_training_on_the_graph(small, seed):
    held, out, full = planted(seed)
    train = len(held) // 2  # the other half is no part of the graph
    structure = structure_of(held[:train])
    torch.manual_seed(seed)
    expert = LightGCN(route_of(structure), small.teacher, structure)
    random, everyone = np.random.default_rng(seed), torch.from_numpy(held)
    before = ranking(expert.scores(everyone)[1].detach().numpy(), out, full)
    owner, product = np.nonzero(held[:train])
    optimiser = torch.optim.Adam(expert.propagation.parameters(), lr=0.03)
    for _ in range(60):  # Bayesian personalised ranking (Rendle et al., 2009)
        other = random.integers(24, size=len(owner))
        usable = held[owner, other] == 0
        scores = expert.scores(everyone[:train])[1]
        margin = scores[owner[usable], product[usable]] - scores[owner[usable], other[usable]]
        decay = 0.01 * expert.propagation.first.square().sum(1).mean()
        optimiser.zero_grad()
        (torch.nn.functional.softplus(-margin).mean() + decay).backward()
        optimiser.step()
    after = ranking(expert.scores(everyone)[1].detach().numpy(), out, full)
    popular = ranking(np.broadcast_to(structure.degree, held.shape), out, full)
    for half in (slice(0, train), slice(train, None)):
        assert after[half].mean() > 0.75
        assert after[half].mean() > popular[half].mean() + 0.1
        assert after[half].mean() > before[half].mean() + 0.1


# the contract of every expert


def test_maps_a_batch_to_its_width_with_finite_values(expert, small):
    output = expert(batch())
    assert output.shape == (ROWS, small.teacher.expert_dim)
    assert output.dtype == torch.float32
    assert torch.isfinite(output).all()
    torch.testing.assert_close(output.mean(1), torch.zeros(ROWS), rtol=0, atol=1e-5)


def test_the_gradient_reaches_every_parameter_and_every_product(expert, small):
    (expert(batch()) * torch.randn(ROWS, small.teacher.expert_dim)).sum().backward()
    idle = [name for name, parameter in expert.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert idle == []
    assert (expert.propagation.first.grad.abs().sum(1) > 0).all()


def test_the_output_depends_on_each_product_of_the_graph_and_each_other_scalar(expert):
    given = batch()
    for column, name in enumerate(ROUTE.names):
        changed = given.scalars.clone()
        changed[:, column] = 1 - changed[:, column]
        moved = (expert(routed(changed)) - expert(given)).abs().amax(1)
        if name == "held_5":  # nobody in train holds it: it is no node of the graph
            assert moved.max() == 0
        else:
            assert moved.min() > 1e-4, name


def test_the_held_columns_are_found_by_their_names(small):
    turned = replace(ROUTE, names=ROUTE.names[::-1])
    given, outputs = batch(), []
    for route, scalars in ((ROUTE, given.scalars), (turned, given.scalars.flip(1))):
        torch.manual_seed(0)
        expert = LightGCN(route, small.teacher, STRUCTURE).eval()
        outputs.append(expert.scores(scalars.index_select(1, expert.held_at))[1])
    torch.testing.assert_close(*outputs)


def test_a_row_does_not_depend_on_the_others_of_its_batch(expert):
    given = batch()
    torch.testing.assert_close(expert(routed(given.scalars[3:4]))[0], expert(given)[3], rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_expert_and_the_same_output(small):
    outputs = []
    for _ in range(2):
        torch.manual_seed(5)
        outputs.append(LightGCN(ROUTE, small.teacher, STRUCTURE).eval()(batch()))
    assert torch.equal(*outputs)


def test_no_product_is_at_the_origin_with_finite_gradients(expert, small):
    scalars = torch.zeros(2, len(ROUTE.names), requires_grad=True)
    assert expert.scores(scalars[:, OTHERS:])[0].abs().max() == 0
    (expert(routed(scalars)) * torch.randn(2, small.teacher.expert_dim)).sum().backward()
    for value in (scalars, *expert.parameters()):
        assert torch.isfinite(value.grad).all()
    assert scalars.grad[:, OTHERS].abs().max() > 0  # a first product moves the customer


def test_it_can_be_exported_for_batches_of_any_size(expert):
    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.expert = expert

        def forward(self, scalars):
            return self.expert(routed(scalars))

    given = batch().scalars
    exported = torch.export.export(Plain().eval(), (given,), dynamic_shapes=({0: torch.export.Dim("rows")},)).module()
    torch.testing.assert_close(exported(given[:5]), expert(routed(given[:5])), rtol=1e-5, atol=1e-5)


def test_no_part_of_it_is_bound_to_a_device(expert):
    kept = [value for module in expert.modules() for value in vars(module).values()]
    assert not any(isinstance(value, torch.Tensor) for value in kept)  # every tensor is a parameter or a buffer
    expert.to("meta")
    assert expert(routed(torch.empty(3, len(ROUTE.names), device="meta"))).device.type == "meta"
    assert all(value.device.type == "meta" for value in [*expert.parameters(), *expert.buffers()])


def test_it_has_fewer_than_60_000_parameters_in_the_demo():
    settings = load_settings("synthetic", "demo")
    structure = structure_of(np.eye(len(settings.products)))
    others = tuple(f"graph_{k}" for k in range(2 * (settings.feature_groups.graph_collaborative.width + 2)))
    expert = LightGCN(route_of(structure, others), settings.teacher, structure)
    assert sum(parameter.numel() for parameter in expert.parameters()) < 60_000


@pytest.mark.parametrize(
    ("route", "structure"),
    [
        (ROUTE, Structure.none()),
        (replace(ROUTE, names=ROUTE.names[:-1]), STRUCTURE),
        (ROUTE, structure_of(np.zeros((4, PRODUCTS)))),
        (replace(ROUTE, codes=(1,), code_sizes=(3,)), STRUCTURE),
    ],
)
def test_without_the_graph_and_the_held_columns_it_is_refused(small, route, structure):
    with pytest.raises(ConfigError, match=r"teacher\.routing\.lightgcn"):
        LightGCN(route, small.teacher, structure)
