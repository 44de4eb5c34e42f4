"""Propagation on the customer-product graph, with the embeddings learned by the tasks themselves.

He, Deng, Wang, Li, Zhang and Wang: LightGCN: Simplifying and powering graph convolution network for recommendation (SIGIR 2020).

With ``A[u, i] = 1 / sqrt(|N_u| |N_i|)`` where customer ``u`` holds product ``i``, a layer is ``U_k = A I_(k-1)`` and
``I_k = Aᵀ U_(k-1)``, and what a node ends with is the mean of its layers 0 .. K. Only products have learned layers 0; those of
customers are 0, so that the odd layers of products and the even ones of customers vanish, and ``I_k = (Aᵀ A) I_(k-2)`` needs no
customer. A customer, in the graph or not, is a node appended to it: the products keep their layers and degrees, and its layers
sum to ``a (I_0 + ... + I_(K-1))``, with ``a`` its own row of the normalised adjacency. For a customer of train, with its
holdings of then, that is the formula of the whole graph.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.experts.task_mlp import RowNorm, mlp
from finai_assets.teacher.network.router import Route, Routed
from finai_assets.teacher.structure import Structure
from finai_resources.errors import ConfigError


class Propagation(nn.Module):
    """Learned layers 0 of products, propagated through the graph of train.

    Parameters
    ----------
    structure : Structure
        Its ``degree`` and ``graph``.
    width : int
    layers : int
        K.

    Examples
    --------
    >>> structure = Structure(np.empty((3, 0)), ("a", "b"), degree=np.array([3.0, 1.0]), graph=np.eye(2))
    >>> graph = Propagation(structure, width=32, layers=3)
    >>> graph.customers(torch.zeros(5, 2)).shape, graph.products().shape
    (torch.Size([5, 32]), torch.Size([2, 32]))
    """

    graph: Tensor
    scale: Tensor
    known: Tensor

    def __init__(self, structure: Structure, *, width: int, layers: int) -> None:
        super().__init__()
        degree = torch.from_numpy(structure.degree)
        known = degree > 0
        scale = torch.where(known, degree.clamp_min(1).rsqrt(), 0.0)
        self.register_buffer("graph", torch.from_numpy(structure.graph).float(), persistent=False)
        self.register_buffer("scale", scale.float(), persistent=False)
        self.register_buffer("known", known.float(), persistent=False)
        self.layers = layers
        self.first = nn.Parameter(torch.randn(len(degree), width))

    def _even_layers(self) -> list[Tensor]:
        """Return the layers of products that do not vanish, ``I_0, I_2, ...`` up to K, each float [products, width]."""
        found: list[Tensor] = [self.first]
        for _ in range(self.layers // 2):
            found.append(self.graph @ found[-1])
        return found

    def products(self) -> Tensor:
        """Return the mean of the layers 0 .. K of products, float [products, width]."""
        return torch.stack(self._even_layers()).sum(0) / (self.layers + 1)

    def customers(self, held: Tensor) -> Tensor:
        """Return the mean of the layers 0 .. K of customers, float [n, width].

        Parameters
        ----------
        held : float [n, products]
            0 or 1. Products that nobody in train holds are no nodes of the graph, and count in no degree.
        """
        sent = torch.stack(self._even_layers()[: (self.layers + 1) // 2]).sum(0)  # I_0 + ... + I_(K-1)
        degree = (held @ self.known).clamp_min(1)[:, None]  # a customer without products is at the origin
        return (held * self.scale) @ sent * degree.rsqrt() / (self.layers + 1)


class LightGCN(nn.Module):
    """The customer's propagated embedding, and its inner product with each product's, which is what the method ranks by.

    Both pass, with the other routed scalars, through a small perceptron. The held columns are read in the graph alone.

    Parameters
    ----------
    route : Route
        Scalars, among them the columns of ``structure.held``.
    settings : TeacherSettings
        ``expert.lightgcn``, ``expert_dim``, ``dropout``.
    structure : Structure
        Its ``held``, ``degree`` and ``graph``.

    Shapes
    ------
    Routed batch of n rows -> float [n, expert_dim].

    Raises
    ------
    ConfigError
        Held-product columns are not routed to it or nobody in train holds one, or codes, sequences or tensors are routed to it.

    Examples
    --------
    >>> held = ("held_deposit", "held_loan")
    >>> structure = Structure(np.empty((3, 0)), held, degree=np.array([3.0, 1.0]), graph=np.eye(2))
    >>> route = Route(("product_holdings",), (0, 1), (), (), (), (), held)
    >>> batch = Routed(torch.tensor([[1.0, 0.0]]), torch.zeros(1, 0, dtype=torch.long), ())
    >>> LightGCN(route, settings, structure)(batch).shape
    torch.Size([1, 64])
    """

    held_at: Tensor
    others_at: Tensor
    unit: Tensor

    def __init__(self, route: Route, settings: TeacherSettings, structure: Structure) -> None:
        super().__init__()
        _demand(route, structure)
        chosen = settings.expert.lightgcn
        held = [route.names.index(name) for name in structure.held]
        others = [position for position in range(len(route.names)) if position not in set(held)]
        self.register_buffer("held_at", torch.tensor(held, dtype=torch.long), persistent=False)
        self.register_buffer("others_at", torch.tensor(others, dtype=torch.long), persistent=False)
        # A product sends to each of its customers the less the more they are: in units of the mean product's share the
        # embeddings are of order one, whatever the number of customers.
        degree = structure.degree[structure.degree > 0]
        self.register_buffer("unit", torch.tensor(float(degree.mean() ** 0.5)), persistent=False)
        self.propagation = Propagation(structure, width=chosen.width, layers=chosen.layers)
        before = chosen.width + len(held) + len(others)
        self.head = mlp(before, chosen.hidden, settings.expert_dim, settings.dropout)
        self.norm = RowNorm()

    def scores(self, held: Tensor) -> tuple[Tensor, Tensor]:
        """Return the embeddings, float [n, width], of customers with holdings float [n, products], and each product's score.

        The scores, float [n, products], are inner products with the products' embeddings. Both are in units of the expert.
        """
        customers = self.unit * self.propagation.customers(held)
        return customers, customers @ self.propagation.products().T

    def forward(self, batch: Routed) -> Tensor:
        """Return the expert's view of a batch."""
        customers, scores = self.scores(batch.scalars.index_select(1, self.held_at))
        others = batch.scalars.index_select(1, self.others_at)
        result: Tensor = self.norm(self.head(torch.cat([customers, scores, others], 1)))
        return result


def _demand(route: Route, structure: Structure) -> None:
    absent = sorted(set(structure.held) - set(route.names))
    if absent or not structure.degree.any():
        raise ConfigError(
            f"held-product columns that are not routed: {absent or 'none'}; edges of the graph: {structure.degree.sum():.0f}",
            where="teacher.routing.lightgcn",
            fix="route product_holdings to it, or take lightgcn out of teacher.experts where no product is held",
        )
    if route.codes or route.sequences or route.tensors:
        raise ConfigError(
            f"the groups {list(route.groups)} hold codes, sequences or tensors, which it does not read",
            where="teacher.routing.lightgcn",
            fix="route groups of numbers to it",
        )
