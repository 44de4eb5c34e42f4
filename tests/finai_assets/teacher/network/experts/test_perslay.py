"""The vectorisation of persistence diagrams: what it is invariant to, what it can tell, and the expert's contract."""

from __future__ import annotations

from dataclasses import replace

import gudhi
import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from torch.nn import functional

from finai_assets.teacher.network.experts.perslay import PersLay
from finai_assets.teacher.network.router import Route, Routed, TensorSlots
from finai_resources.errors import ConfigError

SCALARS, POINTS, ROWS = 32, 32, 24
NAMES = ("tda_global.diagrams", "tda_local.diagrams")
ROUTE = Route(
    groups=("tda_global", "tda_local"),
    scalars=tuple(range(SCALARS)),
    codes=(),
    code_sizes=(),
    sequences=(),
    tensors=tuple(TensorSlots(name, SCALARS + k, (2, POINTS, 2)) for k, name in enumerate(NAMES)),
    names=tuple(f"statistic_{k:02d}" for k in range(SCALARS)),
)
ONE = replace(ROUTE, groups=("tda_local",), scalars=(), names=(), tensors=ROUTE.tensors[1:])


@pytest.fixture
def expert(chosen):
    torch.manual_seed(0)
    return PersLay(ROUTE, chosen).eval()


def diagrams(random, rows):
    """Return diagrams with 0 to 31 points, those of dimension 0 born at 0."""
    birth = random.gamma(2, 0.3, (rows, 2, POINTS))
    birth[:, 0] = 0
    found = np.stack([birth, birth + random.gamma(2, 0.3, birth.shape)], -1)
    found[np.arange(POINTS) >= random.integers(0, POINTS, (rows, 2, 1))] = 0
    return torch.from_numpy(found.astype(np.float32))


def batch(seed=0, rows=ROWS):
    """Return rows with diagrams; the first has not a point in any."""
    random = np.random.default_rng(seed)
    tensors = {name: diagrams(random, rows) for name in NAMES}
    for tensor in tensors.values():
        tensor[0] = 0
    scalars = torch.from_numpy(random.normal(size=(rows, SCALARS)).astype(np.float32))
    return routed(tensors, scalars)


def routed(tensors, scalars=None):
    rows = len(next(iter(tensors.values())))
    empty = torch.zeros(rows, 0)
    return Routed(empty if scalars is None else scalars, empty.long(), (), tensors)


# the method


def test_the_order_of_points_does_not_matter(expert):
    given = batch()
    order = torch.randperm(POINTS, generator=torch.Generator().manual_seed(0))
    shuffled = {name: tensor[:, :, order] for name, tensor in given.tensors.items()}
    torch.testing.assert_close(expert(routed(shuffled, given.scalars)), expert(given), rtol=1e-5, atol=1e-5)


def test_a_place_without_a_point_changes_nothing(expert):
    given = batch()
    wider = {name: functional.pad(tensor, (0, 0, 0, 9)) for name, tensor in given.tensors.items()}
    torch.testing.assert_close(expert(routed(wider, given.scalars)), expert(given), rtol=1e-5, atol=1e-5)
    assert (expert.vectorise(torch.zeros(4, 3, POINTS, 2)) == 0).all()


def test_a_point_fades_as_it_comes_to_the_diagonal(expert):
    none = torch.zeros(4, 1, 2, 2)
    none[:, :, 0] = torch.tensor([0.2, 0.9])
    before = expert.vectorise(none)
    changes = []
    for persistence in (0.3, 0.03, 0.003, 0.0):
        none[:, :, 1] = torch.tensor([0.4, 0.4 + persistence])
        changes.append((expert.vectorise(none) - before).abs().max().item())
    assert changes == sorted(changes, reverse=True)
    assert changes[-1] == 0


def test_the_vector_equals_its_definition_point_by_point(expert):
    with torch.no_grad():
        for parameter in (expert.power, expert.leaning):
            parameter.normal_()
    found = torch.stack([batch().tensors[NAMES[0]][:, 1]] * 4)  # the same diagram for each set of parameters
    vector = expert.vectorise(found)
    gaussians = expert.centre.shape[1]
    for diagram in range(4):
        for row in range(0, ROWS, 5):
            image, landscape = torch.zeros(gaussians), torch.zeros(expert.place.shape[1])
            for birth, death in found[diagram, row]:
                if death == 0:
                    continue
                b, d = torch.log1p(birth), torch.log1p(death)
                c = expert.leaning[diagram]
                weight = (d - b) ** functional.softplus(expert.power[diagram])
                weight = weight * torch.sigmoid(c[0] + c[1] * b + c[2] * (d - b))
                away = (torch.stack([b, d - b]) - expert.centre[diagram]) / expert.log_width[diagram].exp()
                image += weight * torch.exp(-0.5 * away.square().sum(1))
                place = expert.place[diagram]
                landscape = torch.maximum(landscape, weight * torch.minimum(place - b, d - place).clamp_min(0))
            torch.testing.assert_close(vector[diagram, row], torch.cat([image, landscape]), rtol=1e-4, atol=1e-5)


def test_the_gradient_is_that_of_finite_differences(chosen):
    torch.manual_seed(0)
    expert = PersLay(ONE, chosen).double()
    points = diagrams(np.random.default_rng(0), 3).double().transpose(0, 1)[:, :, :6].clone()
    points[:, :, :3, 1] += 0.2  # each row has points that are off the diagonal
    free = (expert.centre, expert.log_width, expert.place, expert.power, expert.leaning)

    def vector(*parameters):
        held = dict(zip(("centre", "log_width", "place", "power", "leaning"), parameters, strict=True))
        return torch.func.functional_call(Vector(expert), {f"expert.{k}": v for k, v in held.items()}, (points,))

    assert torch.autograd.gradcheck(vector, tuple(p.detach().clone().requires_grad_() for p in free))


class Vector(torch.nn.Module):
    def __init__(self, expert):
        super().__init__()
        self.expert = expert

    def forward(self, points):
        return self.expert.vectorise(points)


def cloud(random, *, circle):
    """Draw a circle or a cluster of the same spread, in noise."""
    n = random.integers(22, 34)
    if circle:
        angle = random.uniform(0, 2 * np.pi, n)
        points = np.stack([np.cos(angle), np.sin(angle)], 1) + random.normal(0, 0.08, (n, 2))
    else:
        points = random.normal(0, 0.55, (n, 2))
    return np.concatenate([points, random.uniform(-1.5, 1.5, (random.integers(4, 9), 2))])


def bars(points, kept):
    """Return the diagram of the alpha complex: of each dimension so many of the longest bars."""
    tree = gudhi.AlphaComplex(points=points).create_simplex_tree()
    tree.compute_persistence()
    found = np.zeros((2, POINTS, 2), np.float32)
    for dimension in (0, 1):
        intervals = tree.persistence_intervals_in_dimension(dimension)
        intervals = np.sqrt(intervals[np.isfinite(intervals[:, 1])])
        longest = np.argsort(intervals[:, 0] - intervals[:, 1])[: kept[dimension]]
        found[dimension, : len(longest)] = intervals[longest]
    return found


def test_it_tells_a_circle_from_a_cluster_in_noise_where_the_count_of_points_does_not(chosen):
    random = np.random.default_rng(0)
    label = np.arange(400) % 2
    found = np.stack(
        [bars(cloud(random, circle=k == 1), (random.integers(15, 22), random.integers(3, 7))) for k in label]
    )
    points, target = torch.from_numpy(found), torch.from_numpy(label).float()
    count = (found[..., 1] > 0).sum(2)
    for dimension in (0, 1):
        area = roc_auc_score(label, count[:, dimension])
        assert max(area, 1 - area) < 0.65
    torch.manual_seed(0)
    model = torch.nn.Sequential(PersLay(ONE, chosen), torch.nn.Linear(chosen.expert_dim, 1))
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    train, held_out = slice(0, 250), slice(250, 400)
    for _ in range(60):
        logit = model(routed({NAMES[1]: points[train]}))[:, 0]
        optimiser.zero_grad()
        functional.binary_cross_entropy_with_logits(logit, target[train]).backward()
        optimiser.step()
    with torch.no_grad():
        score = model.eval()(routed({NAMES[1]: points[held_out]}))[:, 0]
    assert roc_auc_score(label[held_out], score.numpy()) > 0.95


# the expert


def test_it_maps_a_batch_to_its_width_and_stays_within_its_parameters(expert, chosen):
    assert expert(batch()).shape == (ROWS, chosen.expert_dim)
    wide = replace(ROUTE, scalars=tuple(range(2 * SCALARS)))  # a log copy of each
    assert sum(parameter.numel() for parameter in PersLay(wide, chosen).parameters()) < 40_000


def test_the_gradient_reaches_every_parameter_and_each_diagrams_own(expert, chosen):
    given = batch(rows=256)
    (expert(given) * torch.randn(256, chosen.expert_dim)).sum().backward()
    assert [name for name, p in expert.named_parameters() if not p.grad.abs().sum() > 0] == []
    for parameter in (expert.centre, expert.log_width, expert.place, expert.power, expert.leaning):
        assert (parameter.grad.flatten(1).abs().sum(1) > 0).all() if parameter.ndim > 1 else (parameter.grad != 0).all()


def test_each_input_changes_the_output(expert):
    given = batch()
    before = expert(given)
    assert (expert(routed(given.tensors, given.scalars + 1)) - before).abs().max() > 1e-4
    for name in NAMES:
        for dimension in (0, 1):
            tensor = given.tensors[name].clone()
            tensor[:, dimension] *= 1.5
            changed = expert(routed({**given.tensors, name: tensor}, given.scalars))
            assert (changed - before)[1:].abs().max() > 1e-4, (name, dimension)


def test_a_row_depends_neither_on_the_others_nor_on_chance(expert):
    given = batch()
    alone = routed({name: tensor[3:4] for name, tensor in given.tensors.items()}, given.scalars[3:4])
    torch.testing.assert_close(expert(alone)[0], expert(given)[3], rtol=1e-4, atol=1e-5)
    assert torch.equal(expert(given), expert(given))


def test_rows_without_points_and_rows_with_huge_ones_are_finite_and_so_are_their_gradients(expert):
    for value in (0.0, 1e6):
        tensors = {name: torch.zeros(ROWS, 2, POINTS, 2) for name in NAMES}
        for tensor in tensors.values():
            tensor[..., 1] = value
            tensor.requires_grad_()
        expert.zero_grad()
        result = expert(routed(tensors, torch.zeros(ROWS, SCALARS)))
        result.square().sum().backward()
        assert torch.isfinite(result).all()
        assert all(torch.isfinite(tensor.grad).all() for tensor in tensors.values())
        assert all(torch.isfinite(parameter.grad).all() for parameter in expert.parameters())


def test_the_module_can_be_exported(expert):
    given = batch()

    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.expert = expert

        def forward(self, scalars, first, second):
            return self.expert(
                Routed(scalars, scalars[:, :0].long(), (), dict(zip(NAMES, (first, second), strict=True)))
            )

    inputs = (given.scalars, *given.tensors.values())
    rows = {0: torch.export.Dim("rows", min=2, max=4096)}
    exported = torch.export.export(Flat(), inputs, dynamic_shapes=(rows, rows, rows)).module()
    torch.testing.assert_close(exported(*inputs), expert(given), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(exported(*(x[:5] for x in inputs)), expert(given)[:5], rtol=1e-4, atol=1e-5)


def test_a_route_without_diagrams_is_refused(chosen):
    with pytest.raises(ConfigError, match="no diagrams"):
        PersLay(replace(ROUTE, tensors=()), chosen)
