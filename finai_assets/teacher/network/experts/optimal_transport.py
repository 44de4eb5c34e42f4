"""Distances of a customer's spend to learned prototypes, as the cost of moving it over the merchant tree."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.experts.columns import plain, plain_width
from finai_assets.teacher.network.experts.sinkhorn import divergence
from finai_assets.teacher.network.experts.task_mlp import RowNorm, mlp
from finai_assets.teacher.network.router import Route, Routed
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError

MEASURE = "merchant_hierarchy.spend_measure"

# Of the prototypes' logits. Measured on 50 leaves: a prototype's perplexity is then near 20 leaves, so that prototypes differ
# from each other from the start and none has a leaf that no gradient reaches.
_INITIAL_STD = 1.5


def tree_cost(tree: np.ndarray) -> np.ndarray:
    """Return the ground cost between the leaves of a merchant tree.

    Parameters
    ----------
    tree : int64 [3, leaves]
        MCC, L2 node and L1 node of each leaf.

    Returns
    -------
    float64 [leaves, leaves]
        Edges on the path through the tree (root, L1, L2, leaf), over the longest path: 0 to itself, 1 at most.

    Examples
    --------
    >>> tree_cost(np.array([[1, 2, 3], [1, 1, 2], [1, 1, 2]]))[0].round(2).tolist()
    [0.0, 0.33, 1.0]
    """
    same_l2 = tree[1][:, None] == tree[1]
    same_l1 = tree[2][:, None] == tree[2]
    edges = np.where(same_l1 & same_l2, 2.0, np.where(same_l1, 4.0, 6.0))
    np.fill_diagonal(edges, 0.0)
    return np.asarray(edges / max(float(edges.max(initial=0.0)), 1.0))


class OptimalTransport(nn.Module):
    """Sinkhorn divergences to learned prototype measures, and the plain columns, through a perceptron.

    A prototype is a measure on the leaves, the softmax of its logits. A customer's measure has mass 1, or 0 without spend;
    what is read of the divergences is multiplied by the mass, and the mass is read too, so that a customer without spend
    differs from one who spends like a prototype, and no prototype matters to them.

    Parameters
    ----------
    route : Route
        Its groups must bring the spend measure.
    settings : TeacherSettings
        ``expert.optimal_transport``: ``prototypes``; ``epsilon``, in units of the longest path; ``iterations`` of Sinkhorn;
        ``hidden`` layers of the perceptron. Also ``expert_dim``, ``dropout``.
    structure : Structure
        Its merchant tree gives the ground cost.

    Shapes
    ------
    Routed batch of n rows -> float [n, expert_dim].

    Examples
    --------
    >>> from finai_assets.teacher.network.router import TensorSlots
    >>> route = Route(("merchant_hierarchy",), (), (), (), (), (TensorSlots(MEASURE, 0, (3,)),))
    >>> tree = np.array([[1, 2, 3], [1, 1, 2], [1, 1, 2]])
    >>> expert = OptimalTransport(route, settings, Structure(tree, (), np.empty(0), np.empty((0, 0))))
    >>> batch = Routed(torch.zeros(5, 0), torch.zeros(5, 0, dtype=torch.long), (), {MEASURE: torch.full((5, 3), 1 / 3)})
    >>> expert(batch).shape
    torch.Size([5, 64])

    Raises
    ------
    ConfigError
        The spend measure is not routed here, or its leaves are not those of the tree.
    """

    cost: Tensor

    def __init__(self, route: Route, settings: TeacherSettings, structure: Structure) -> None:
        super().__init__()
        leaves = {slots.name: slots.shape[0] for slots in route.tensors}.get(MEASURE)
        if leaves is None or leaves != structure.tree.shape[1]:
            raise ConfigError(
                f"the spend measure has {leaves or 'no'} leaves, the merchant tree {structure.tree.shape[1]}",
                where="teacher.routing.optimal_transport",
                fix="route merchant_hierarchy, and build the teacher with the tree of the same catalogue",
            )
        chosen = settings.expert.optimal_transport
        self.epsilon, self.iterations = chosen.epsilon, chosen.iterations
        self.code_sizes = route.code_sizes
        self.register_buffer("cost", torch.from_numpy(tree_cost(structure.tree)).to(torch.float32))
        self.logits = nn.Parameter(torch.randn(chosen.prototypes, leaves) * _INITIAL_STD)
        width = 2 * chosen.prototypes + 1 + plain_width(route)
        self.body = mlp(width, chosen.hidden, settings.expert_dim, settings.dropout)
        self.norm = RowNorm()

    def prototypes(self) -> Tensor:
        """Return the prototype measures, float [prototypes, leaves]."""
        return torch.softmax(self.logits, -1)

    def divergences(self, batch: Routed) -> tuple[Tensor, Tensor]:
        """Return the divergence of each row to each prototype, float [n, prototypes], and the mass of the rows, float [n, 1].

        Where there is no spend, the divergences are those of spend that is spread evenly.
        """
        measure = batch.tensors[MEASURE]
        mass = measure.sum(1, keepdim=True)
        spends = mass > 0
        even = torch.full_like(measure, 1.0 / measure.shape[1])
        share = torch.where(spends, measure / torch.where(spends, mass, 1.0), even)
        with torch.autocast(measure.device.type, enabled=False):  # the kernel spans more than half precision resolves
            found = divergence(
                share[:, None].to(self.logits),
                self.prototypes(),
                self.cost,
                epsilon=self.epsilon,
                iterations=self.iterations,
            )
        return found, mass

    def forward(self, batch: Routed) -> Tensor:
        """Return the expert's view of a batch: how far each prototype is, and which of them is near."""
        found, mass = self.divergences(batch)
        near = torch.softmax(-found / self.epsilon, -1)
        result: Tensor = self.norm(
            self.body(torch.cat([mass * found, mass * near, mass, plain(batch, self.code_sizes)], 1))
        )
        return result
