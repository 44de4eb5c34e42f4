"""Graph convolution on the tree of merchant categories in hyperbolic space, and the place of a customer's spend in it.

Chami, Ying, Re and Leskovec: Hyperbolic graph convolutional neural networks (NeurIPS 2019). The curvature is fixed at -1: the
points are learned, so that the scale of the tree in the ball is learned with them.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.ball import distance, exp_origin, gyromidpoint, log_origin, moebius_add
from finai_assets.teacher.network.experts.task_mlp import RowNorm, mlp
from finai_assets.teacher.network.router import Route, Routed
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError

MEASURE = "merchant_hierarchy.spend_measure"


def tree_parents(tree: np.ndarray) -> np.ndarray:
    """Return the parent of each node of a tree of leaves, L2 and L1 nodes.

    Parameters
    ----------
    tree : int64 [3, leaves]
        Leaf, L2 and L1 ids, as in ``Structure.tree``.

    Returns
    -------
    int64 [1 + L1 + L2 + leaves]
        By node: the root (its own parent), the L1, then the L2 nodes by ascending id, then the leaves in their order.

    Examples
    --------
    >>> tree_parents(np.array([[5411, 5812, 5813], [7, 8, 8], [1, 1, 1]])).tolist()
    [0, 0, 1, 1, 2, 3, 3]
    """
    _, l2, l1 = tree
    tops, top = np.unique(l1, return_inverse=True)
    _, first, middle = np.unique(l2, return_index=True, return_inverse=True)
    return np.concatenate([np.zeros(1 + len(tops), np.int64), 1 + top[first], 1 + len(tops) + middle])


class HyperbolicConvolution(nn.Module):
    """One layer: a linear map in the tangent space of the origin, a Moebius translation, attention over the neighbourhood.

    The points are mapped by ``exp_0(W log_0 x) ⊕ exp_0(b)``. A node then is the exponential of the mean of its neighbours'
    logarithms, its own among them, with the weights ``softmax(-β d(x_i, x_j))`` over them: near neighbours count more, how much
    more (``β > 0``) is learned.

    Parameters
    ----------
    neighbours : int64 [nodes, most]
        Of each node, itself among them; -1 where there are no more.
    width : int

    Shapes
    ------
    Points float [nodes, width] -> points float [nodes, width].
    """

    neighbours: Tensor
    present: Tensor

    def __init__(self, neighbours: np.ndarray, width: int) -> None:
        super().__init__()
        known = torch.from_numpy(neighbours)
        self.register_buffer("neighbours", known.clamp_min(0), persistent=False)
        self.register_buffer("present", known >= 0, persistent=False)
        # orthogonal, so that the tree is first turned, and neither shrunk nor stretched
        self.weight = nn.Parameter(nn.init.orthogonal_(torch.empty(width, width)))
        self.bias = nn.Parameter(torch.zeros(width))
        self.sharpness = nn.Parameter(torch.zeros(()))  # β is its softplus

    def attention(self, points: Tensor) -> Tensor:
        """Return the weight of each neighbour, float [nodes, most]: 0 where there is none, of sum 1 for each node."""
        apart = distance(points[:, None], self._around(points))
        scores = -functional.softplus(self.sharpness) * apart
        return torch.softmax(scores.masked_fill(~self.present, -torch.inf), dim=-1)

    def forward(self, points: Tensor) -> Tensor:
        """Convolve the points."""
        moved = moebius_add(exp_origin(log_origin(points) @ self.weight.T), exp_origin(self.bias))
        weights = self.attention(moved)[:, None]  # [nodes, 1, most]
        return exp_origin((weights @ self._around(log_origin(moved)))[:, 0])

    def _around(self, values: Tensor) -> Tensor:
        """Return the values of each node's neighbours, float [nodes, most, width]."""
        return values.index_select(0, self.neighbours.view(-1)).view(*self.neighbours.shape, -1)


class TreeConvolution(nn.Module):
    """Learned points of the nodes of a tree in the Poincare ball, convolved over its edges.

    The root begins at the origin, and the other nodes where training puts them. Between two layers a node's tangent vector
    passes through SiLU; after the last it does not, so that points may lie in any direction. A layer carries a node's point one
    edge on: a leaf of two layers knows its siblings and the L1 node above it.

    Parameters
    ----------
    tree : int64 [3, leaves]
        Leaf, L2 and L1 ids, as in ``Structure.tree``.
    width : int
        Of the ball.
    layers : int
    edge_length : float
        Hyperbolic length of an edge as the training begins.

    Shapes
    ------
    ``forward`` returns points float [1 + L1 + L2 + leaves, width], in the order of :func:`tree_parents`.
    """

    def __init__(self, tree: np.ndarray, *, width: int, layers: int, edge_length: float) -> None:
        super().__init__()
        parents = tree_parents(tree)
        self.leaves = tree.shape[1]
        # tangent vectors at the origin; the root's is zero
        self.nodes = nn.Parameter(_random_walk(parents, width)[1:] * (0.5 * edge_length))
        self.layers = nn.ModuleList(HyperbolicConvolution(_neighbours(parents), width) for _ in range(layers))

    def forward(self) -> Tensor:
        """Return the convolved points of all nodes."""
        points = exp_origin(functional.pad(self.nodes, (0, 0, 1, 0)))
        for index, layer in enumerate(self.layers):
            points = layer(exp_origin(functional.silu(log_origin(points))) if index else points)
        return points


class HGCN(nn.Module):
    """The customer is the gyromidpoint of the leaves of the convolved tree, weighted by its spend.

    Its logarithm at the origin and the routed scalars pass through a small perceptron. A customer without spend is at the
    origin.

    Parameters
    ----------
    route : Route
        Scalars, and the spend measure of the group ``merchant_hierarchy``.
    settings : TeacherSettings
        ``expert.hgcn``, ``expert_dim``, ``dropout``.
    structure : Structure
        Its ``tree``.

    Shapes
    ------
    Routed batch of n rows -> float [n, expert_dim].

    Raises
    ------
    ConfigError
        The spend measure is not routed to it or has other leaves than the tree, or codes or sequences are.

    Examples
    --------
    >>> from finai_assets.teacher.network.router import TensorSlots
    >>> tree = np.stack([np.arange(1, 51), np.arange(50) // 3, np.arange(50) // 10])
    >>> structure = Structure(tree, (), np.empty(0), np.empty((0, 0)))
    >>> route = Route(("merchant_hierarchy",), (0,), (), (), (), (TensorSlots(MEASURE, 1, (50,)),), ("dispersion",))
    >>> batch = Routed(torch.zeros(5, 1), torch.zeros(5, 0, dtype=torch.long), (), {MEASURE: torch.zeros(5, 50)})
    >>> HGCN(route, settings, structure)(batch).shape
    torch.Size([5, 64])
    """

    def __init__(self, route: Route, settings: TeacherSettings, structure: Structure) -> None:
        super().__init__()
        _demand(route, structure)
        chosen = settings.expert.hgcn
        self.tree = TreeConvolution(
            structure.tree, width=chosen.width, layers=chosen.layers, edge_length=chosen.edge_length
        )
        self.head = mlp(chosen.width + len(route.scalars), chosen.hidden, settings.expert_dim, settings.dropout)
        self.norm = RowNorm()

    def customers(self, measure: Tensor) -> Tensor:
        """Return the points in the ball of customers with a spend measure float [n, leaves], float [n, width]."""
        return gyromidpoint(self.tree()[-self.tree.leaves :], measure)

    def forward(self, batch: Routed) -> Tensor:
        """Return the expert's view of a batch."""
        measure = batch.tensors[MEASURE]
        # half precision has no digits for points near the rim
        with torch.autocast(measure.device.type, enabled=False):
            tangent = log_origin(self.customers(measure.float()))
        result: Tensor = self.norm(self.head(torch.cat([tangent, batch.scalars], 1)))
        return result


def _demand(route: Route, structure: Structure) -> None:
    shapes = {slots.name: slots.shape for slots in route.tensors}
    leaves = structure.tree.shape[1]
    if not leaves or shapes.get(MEASURE) != (leaves,):
        raise ConfigError(
            f"the merchant tree has {leaves} leaves, the routed spend measure {shapes.get(MEASURE, 'is absent')}",
            where="teacher.routing.hgcn",
            fix="route merchant_hierarchy to it, or take hgcn out of teacher.experts where there are no categories",
        )
    if route.codes or route.sequences:
        raise ConfigError(
            f"the groups {list(route.groups)} hold codes or sequences, which it does not read",
            where="teacher.routing.hgcn",
            fix="route groups of numbers to it",
        )


def _neighbours(parents: np.ndarray) -> np.ndarray:
    """Return each node itself, its parent and its children, int64 [nodes, most], filled up with -1."""
    around: list[list[int]] = [[node] for node in range(len(parents))]
    for child, parent in enumerate(parents.tolist()):
        if child != parent:
            around[child].append(parent)
            around[parent].append(child)
    most = max(map(len, around))
    return np.array([nodes + [-1] * (most - len(nodes)) for nodes in around], dtype=np.int64)


def _random_walk(parents: np.ndarray, width: int) -> Tensor:
    """Return float [nodes, width]: each node one random step of expected squared length 1 from its parent, the root at 0.

    Nodes then start the farther apart the longer the way between them.
    """
    steps = torch.randn(len(parents), width) * width**-0.5
    walked = torch.zeros(len(parents), width)
    for node in range(1, len(parents)):  # parents come before their children
        walked[node] = walked[parents[node]] + steps[node]
    return walked
