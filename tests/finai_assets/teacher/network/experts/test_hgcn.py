"""The convolution on the merchant tree: its layer against the definition, its geometry, and the expert's contract."""

from __future__ import annotations

from dataclasses import replace

import geoopt
import numpy as np
import pytest
import torch

from finai_assets.features.methods.tree_embedding import graph_distances
from finai_assets.settings import load_settings
from finai_assets.teacher.network.ball import distance, exp_origin, log_origin
from finai_assets.teacher.network.experts.hgcn import (
    HGCN,
    MEASURE,
    HyperbolicConvolution,
    TreeConvolution,
    tree_parents,
)
from finai_assets.teacher.network.router import Route, Routed, TensorSlots
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError

SCALARS, LEAVES, ROWS = 6, 12, 16
L2 = np.arange(LEAVES) // 2 + 40
TREE = np.stack([np.arange(LEAVES) * 100, L2, L2 // 2])
STRUCTURE = replace(Structure.none(), tree=TREE)
ROUTE = Route(
    groups=("merchant_hierarchy", "product_hierarchy"),
    scalars=tuple(range(SCALARS)),
    codes=(),
    code_sizes=(),
    sequences=(),
    tensors=(TensorSlots(MEASURE, SCALARS, (LEAVES,)),),
    names=tuple(f"merchant_ball_{k:02d}" for k in range(SCALARS)),
)


@pytest.fixture
def expert(small):
    torch.manual_seed(0)
    return HGCN(ROUTE, small.teacher, STRUCTURE).eval()


def batch(seed=0, rows=ROWS):
    """Return rows with spend on a few leaves each; the first has none."""
    random = np.random.default_rng(seed)
    measure = random.dirichlet(np.full(LEAVES, 0.3), rows).astype(np.float32)
    measure[0] = 0
    scalars = torch.from_numpy(random.normal(size=(rows, SCALARS)).astype(np.float32))
    return routed(scalars, torch.from_numpy(measure))


def routed(scalars, measure):
    return Routed(scalars, torch.zeros(scalars.shape[0], 0, dtype=torch.long), (), {MEASURE: measure})


def only_rows(given, rows):
    return routed(given.scalars[rows], given.tensors[MEASURE][rows])


# the method


def test_the_parents_are_those_of_the_catalogue():
    parents = tree_parents(TREE)
    levels = [0] + [1] * 3 + [2] * 6 + [3] * 12
    assert len(parents) == len(levels)
    for node, parent in enumerate(parents[1:], start=1):
        assert levels[parent] == levels[node] - 1
    top_of_leaf = parents[parents[-LEAVES:]] - 1
    assert (np.unique(TREE[2])[top_of_leaf] == TREE[2]).all()
    assert (np.unique(TREE[1])[parents[-LEAVES:] - 4] == TREE[1]).all()


def test_a_layer_equals_its_definition_written_out_with_geoopt():
    torch.manual_seed(1)
    ball, width = geoopt.PoincareBall(c=1.0), 4
    neighbours = [[0, 1, 2], [1, 0, -1], [2, 0, 3], [3, 2, -1]]
    layer = HyperbolicConvolution(np.array(neighbours), width).double()
    torch.nn.init.normal_(layer.bias, std=0.3)
    torch.nn.init.normal_(layer.weight, std=0.5)
    torch.nn.init.constant_(layer.sharpness, 1.3)
    points = exp_origin(torch.randn(4, width, dtype=torch.float64))
    moved = ball.mobius_add(ball.mobius_matvec(layer.weight, points), ball.expmap0(layer.bias))
    expected = []
    for node, around in enumerate(neighbours):
        near = moved[[other for other in around if other >= 0]]
        weights = torch.softmax(-np.log1p(np.exp(1.3)) * ball.dist(moved[node], near), 0)
        expected.append(ball.expmap0((weights[:, None] * ball.logmap0(near)).sum(0)))
    torch.testing.assert_close(layer(points), torch.stack(expected), rtol=1e-5, atol=1e-5)


def test_a_neighbour_counts_the_more_the_nearer_it_is_and_strangers_do_not_count():
    layer = HyperbolicConvolution(np.array([[0, 1, 2], [1, 0, -1], [2, 0, -1], [3, -1, -1]]), 2)
    points = exp_origin(torch.tensor([[0.1, 0.0], [0.3, 0.0], [-0.9, 0.0], [0.1, 0.01]]))
    weights = layer.attention(points)
    assert weights[0, 0] > weights[0, 1] > weights[0, 2] > 0  # itself, the near one, the far one
    assert weights[1, 2] == weights[3, 1] == 0
    torch.testing.assert_close(weights.sum(1), torch.ones(4))
    layer.sharpness.data += 3
    assert layer.attention(points)[0, 0] > weights[0, 0]


def test_information_travels_one_edge_a_layer():
    torch.manual_seed(0)
    tree = TreeConvolution(TREE, width=4, layers=2, edge_length=1.5)
    before = tree()
    leaf = len(before) - 1
    with torch.no_grad():
        tree.nodes[-1] += 0.5
    moved = ((tree() - before).abs().amax(1) > 1e-7).nonzero()[:, 0].tolist()
    parents = tree_parents(TREE)
    parent = parents[leaf]
    siblings = [node for node in range(1, len(parents)) if parents[node] == parent]
    assert moved == sorted({parents[parent], parent, *siblings})


def test_the_tree_begins_with_far_nodes_far_apart():
    torch.manual_seed(0)
    tree = TreeConvolution(TREE, width=16, layers=2, edge_length=1.5)
    points = exp_origin(torch.cat([torch.zeros(1, 16), tree.nodes]))
    found, steps = distance(points[:, None], points[None]), way_lengths(TREE)
    means = [found[steps == length].mean().item() for length in (1, 2, 4, 6)]
    assert means == sorted(means)
    assert means[0] == pytest.approx(1.5, abs=0.6)


def way_lengths(tree):
    parents = tree_parents(tree)
    edges = [(node, int(parents[node]), 1.0) for node in range(1, len(parents))]
    return torch.from_numpy(graph_distances(len(parents), edges)).float()


def distortion(points_of, parameters, between, steps=300):
    """Fit the distances of points to those of the tree; return the mean relative error over pairs of nodes."""
    target = way_lengths(WIDE)
    a, b = torch.tril_indices(*target.shape, offset=-1)
    optimiser = torch.optim.Adam(parameters, lr=0.03)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for _ in range(steps):
        points = points_of()
        error = between(points.index_select(0, a), points.index_select(0, b)) / target[a, b] - 1
        optimiser.zero_grad()
        error.square().mean().backward()
        optimiser.step()
        schedule.step()
    return error.detach().abs().mean().item()


WIDE = np.stack([np.arange(40), np.arange(40) // 2, np.arange(40) // 8])  # 66 nodes


def euclidean(x, y):
    return (x - y).square().sum(-1).clamp_min(1e-12).sqrt()


def start_of_scaling(width):
    """Classical multidimensional scaling, the best linear start that Euclidean points can have."""
    squares = way_lengths(WIDE).square()
    centred = squares - squares.mean(0) - squares.mean(1)[:, None] + squares.mean()
    values, vectors = torch.linalg.eigh(-0.5 * centred)
    return vectors[:, -width:] * values[-width:].clamp_min(0).sqrt()


@pytest.mark.parametrize("width", [3, 8])
def test_the_tree_is_embedded_with_less_distortion_than_in_euclidean_space_of_the_same_size(width):
    """The convolved points must beat free Euclidean points, which are the best that any network of that width could give."""
    torch.manual_seed(0)
    tree = TreeConvolution(WIDE, width=width, layers=2, edge_length=1.5)
    hyperbolic = distortion(tree, tree.parameters(), distance)
    starts = [torch.randn(66, width), start_of_scaling(width)]
    flat = []
    for start in starts:
        points = torch.nn.Parameter(start)
        flat.append(distortion(lambda points=points: points, [points], euclidean))
    assert hyperbolic < 0.7 * min(flat)


def test_a_customer_lies_at_the_weighted_midpoint_of_its_leaves(expert):
    given = batch()
    measure = given.tensors[MEASURE][1:]
    leaves = expert.tree()[-LEAVES:]
    found = expert.customers(measure)
    ball = geoopt.PoincareBall(c=1.0)
    for row, weights in zip(found, measure, strict=True):
        expected = ball.weighted_midpoint(leaves.double(), weights=weights.double(), reducedim=[0], dim=-1)
        torch.testing.assert_close(row.double(), expected, rtol=1e-5, atol=1e-5)
    alone = torch.eye(LEAVES)
    torch.testing.assert_close(expert.customers(alone), leaves, rtol=1e-4, atol=1e-5)


def test_an_empty_measure_is_at_the_origin_with_finite_gradients(expert):
    scalars = torch.zeros(2, SCALARS, requires_grad=True)
    measure = torch.zeros(2, LEAVES, requires_grad=True)
    assert expert.customers(measure).abs().max() == 0
    (expert(routed(scalars, measure)) * torch.randn(2, 16)).sum().backward()
    for value in (scalars, measure, *expert.parameters()):
        assert torch.isfinite(value.grad).all()
    assert measure.grad.abs().max() > 0  # a first purchase moves the customer


# the contract of every expert


def test_maps_a_batch_to_its_width_with_finite_values(expert, small):
    output = expert(batch())
    assert output.shape == (ROWS, small.teacher.expert_dim)
    assert output.dtype == torch.float32
    assert torch.isfinite(output).all()
    torch.testing.assert_close(output.mean(1), torch.zeros(ROWS), rtol=0, atol=1e-5)


def test_the_gradient_reaches_every_parameter(expert, small):
    (expert(batch()) * torch.randn(ROWS, small.teacher.expert_dim)).sum().backward()
    idle = [name for name, parameter in expert.named_parameters() if not parameter.grad.abs().sum() > 0]
    assert idle == []
    assert (expert.tree.nodes.grad.abs().sum(1) > 0).all()


@pytest.mark.parametrize("column", range(SCALARS))
def test_the_output_depends_on_each_scalar(expert, column):
    given = batch()
    changed = given.scalars.clone()
    changed[:, column] += 1
    assert (expert(replace(given, scalars=changed)) - expert(given)).abs().amax(1).min() > 1e-4


def test_the_output_depends_on_the_spend_at_each_leaf(expert):
    given = batch()
    for leaf in range(LEAVES):
        changed = given.tensors[MEASURE] * 0.5
        changed[:, leaf] += 0.5
        other = expert(replace(given, tensors={MEASURE: changed}))
        assert (other - expert(given)).abs().amax(1).min() > 1e-4, leaf


def test_a_row_does_not_depend_on_the_others_of_its_batch(expert):
    given = batch()
    torch.testing.assert_close(expert(only_rows(given, slice(3, 4)))[0], expert(given)[3], rtol=1e-4, atol=1e-5)


def test_the_same_seed_gives_the_same_expert_and_the_same_output(small):
    outputs = []
    for _ in range(2):
        torch.manual_seed(5)
        outputs.append(HGCN(ROUTE, small.teacher, STRUCTURE).eval()(batch()))
    assert torch.equal(*outputs)


def test_rows_at_the_edge_of_the_data_are_finite(expert):
    measure = torch.zeros(3, LEAVES)
    measure[1, 0] = 1
    measure[2] = 1 / LEAVES
    scalars = torch.tensor([0.0, 10.0, -10.0])[:, None].expand(3, SCALARS)
    with torch.no_grad():
        expert.tree.nodes.mul_(100)  # every node at the rim
    assert torch.isfinite(expert(routed(scalars, measure))).all()


def test_it_can_be_exported_for_batches_of_any_size(expert):
    class Plain(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.expert = expert

        def forward(self, scalars, measure):
            return self.expert(routed(scalars, measure))

    given, rows = batch(), torch.export.Dim("rows")
    arguments = (given.scalars, given.tensors[MEASURE])
    exported = torch.export.export(Plain().eval(), arguments, dynamic_shapes=({0: rows}, {0: rows})).module()
    few = only_rows(given, slice(0, 5))
    torch.testing.assert_close(exported(few.scalars, few.tensors[MEASURE]), expert(few), rtol=1e-5, atol=1e-5)


def test_mixed_precision_leaves_the_geometry_in_single_precision(expert, small):
    given, seen = batch(), []
    expert.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    expert(given)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        expert(given)
    width = small.teacher.expert.hgcn.width
    assert seen[0][1:, :width].abs().min() > 0
    assert torch.equal(seen[0][:, :width], seen[1][:, :width])


def test_no_part_of_it_is_bound_to_a_device(expert):
    kept = [value for module in expert.modules() for value in vars(module).values()]
    assert not any(isinstance(value, torch.Tensor) for value in kept)  # every tensor is a parameter or a buffer
    expert.to("meta")
    place = log_origin(expert.customers(torch.empty(3, LEAVES, device="meta")))
    assert place.device.type == "meta"
    assert all(value.device.type == "meta" for value in [*expert.parameters(), *expert.buffers()])


def test_it_has_fewer_than_60_000_parameters_in_the_demo():
    settings = load_settings("synthetic", "demo")
    merchants, products = settings.feature_groups.merchant_hierarchy, settings.feature_groups.product_hierarchy
    width = merchants.width + merchants.l1_categories + 1 + products.width + 2
    leaves = merchants.leaves
    tree = np.stack([np.arange(leaves), np.arange(leaves) // 2, np.arange(leaves) // 5])
    # twice the columns: as if each had a log copy
    route = replace(ROUTE, scalars=tuple(range(2 * width)), tensors=(TensorSlots(MEASURE, 2 * width, (leaves,)),))
    expert = HGCN(route, settings.teacher, replace(Structure.none(), tree=tree))
    assert sum(parameter.numel() for parameter in expert.parameters()) < 60_000


@pytest.mark.parametrize(
    ("route", "structure"),
    [
        (ROUTE, Structure.none()),
        (replace(ROUTE, tensors=()), STRUCTURE),
        (replace(ROUTE, tensors=(TensorSlots(MEASURE, 0, (LEAVES + 1,)),)), STRUCTURE),
        (replace(ROUTE, codes=(1,), code_sizes=(3,)), STRUCTURE),
    ],
)
def test_without_the_tree_and_its_measure_it_is_refused(small, route, structure):
    with pytest.raises(ConfigError, match=r"teacher\.routing\.hgcn"):
        HGCN(route, small.teacher, structure)
