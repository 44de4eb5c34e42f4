"""LightGCN on the graph of customers and products: propagation, training by Bayesian personalised ranking, new customers.

He, Deng, Wang, Li, Zhang, Wang: LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation (2020), with
the loss of Rendle, Freudenthaler, Gantner, Schmidt-Thieme: BPR: Bayesian Personalized Ranking from Implicit Feedback (2009).

With ``R[u, i] = 1 / sqrt(|N_u| |N_i|)`` where customer ``u`` holds product ``i``, a layer is ``U_k = R I_(k-1)`` and
``I_k = R' U_(k-1)``, and what a node ends with is the mean of its layers 0 .. K. Customers are many and products few, so most of
it happens among products: ``I_k = (R' R) I_(k-2)`` from the second layer on, and a customer's layers 1 .. K sum to
``R (I_0 + ... + I_(K-1))``. All of it is linear in the layers 0, so that the gradient is a propagation back, written out by hand.

Every sum has a fixed order (no BLAS call), so that a run gives the same bytes whatever the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from finai_assets.settings.features import GraphCollaborativeSettings

Triples = tuple[np.ndarray, np.ndarray, np.ndarray]  # customer, a product that it holds, one that it does not

_INITIAL_STD = 0.1  # of the layers 0, as in the paper
_MEAN_DECAY, _SQUARE_DECAY, _TINY = 0.9, 0.999, 1e-8  # Kingma, Ba: Adam, A Method for Stochastic Optimization (2015)
_SHOWN = 10  # steps from one sign of progress to the next


@dataclass(frozen=True, slots=True)
class Graph:
    """The bipartite graph of holdings.

    Parameters
    ----------
    start : int64 [customers + 1]
        Customer ``u`` holds ``product[start[u]:start[u + 1]]``, ascending.
    product : int64 [edges]
    customer_scale, product_scale : float64 [customers], [products]
        ``1 / sqrt(degree)``; 0 where the degree is 0.
    """

    start: np.ndarray
    product: np.ndarray
    customer_scale: np.ndarray
    product_scale: np.ndarray

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the four arrays, as kernels take them."""
        return self.start, self.product, self.customer_scale, self.product_scale


@dataclass(frozen=True, slots=True)
class Model:
    """A graph with the layers 0 of its nodes, and the layers that propagation gives.

    Parameters
    ----------
    customers : float [customers, width]
        ``U_0``.
    products : float64 [K + 1, products, width]
        ``I_0 .. I_K``.
    """

    graph: Graph
    customers: np.ndarray
    products: np.ndarray

    @property
    def layers(self) -> int:
        """Return K."""
        return len(self.products) - 1

    @property
    def sent(self) -> np.ndarray:
        """Return ``I_0 + ... + I_(K-1)``, float64 [products, width]: what products send to customers in all layers."""
        return np.asarray(self.products[:-1].sum(axis=0))

    @property
    def product_embedding(self) -> np.ndarray:
        """Return the mean of the layers 0 .. K of products, float64 [products, width]."""
        return np.asarray(self.products.sum(axis=0) / len(self.products))

    @property
    def inductive_table(self) -> np.ndarray:
        """Return float64 [products, width]: a held product's part in a customer's inductive embedding, times ``sqrt(|N_u|)``.

        The inductive embedding of a customer, in the graph or not, is the mean of the layers 1 .. K of a node appended to the
        graph with its holdings, while the products keep their layers and degrees.
        """
        return self.sent * self.graph.product_scale[:, None] / self.layers


def build_graph(held: np.ndarray) -> Graph:
    """Return the graph of holdings, 0/1 [customers, products]."""
    customer, product = np.nonzero(held)
    degree = np.bincount(customer, minlength=held.shape[0])
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(degree)])
    return Graph(start, product, _scale(degree), _scale(np.bincount(product, minlength=held.shape[1])))


def _scale(degree: np.ndarray) -> np.ndarray:
    return np.where(degree > 0, 1 / np.sqrt(np.maximum(degree, 1)), 0.0)


def propagate(graph: Graph, customers: np.ndarray, products: np.ndarray, layers: int, gram: np.ndarray) -> Model:
    """Propagate the layers 0 of both sides, [nodes, width], over the graph.

    Parameters
    ----------
    gram : float64 [products, products]
        ``R' R``, as :func:`gram_matrix` gives it.
    """
    found = np.zeros((layers + 1, *products.shape))
    found[0] = products
    add_from_customers(graph.arrays, customers, found[1])
    for k in range(2, layers + 1):
        found[k] = small_product(gram, found[k - 2])
    return Model(graph, customers, found)


def ranking_gradient(
    model: Model, triples: Triples, regularisation: float, gram: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the loss of some triples (u, i, j) and its gradient by the layers 0 of customers and of products.

    The loss is the mean over triples of ``-log sigmoid(e_u . (e_i - e_j))`` plus half of ``regularisation`` times the squared
    norms of the layers 0 of ``u``, ``i`` and ``j``; ``e`` are the final embeddings.
    """
    shape = model.products.shape[1:]
    of_customers, of_products = np.zeros_like(model.customers), np.zeros(shape)
    of_sent, of_final = np.zeros(shape), np.zeros(shape)
    loss = _rank(
        model.graph.arrays,
        triples,
        (model.customers, model.products[0], model.sent, model.product_embedding),
        model.layers + 1,
        regularisation,
        (of_customers, of_products, of_sent, of_final),
    )
    by_layer = [of_final / (model.layers + 1) + of_sent for _ in range(model.layers)]
    by_layer.append(of_final / (model.layers + 1))  # the last layer of products reaches no customer
    for k in range(model.layers, 1, -1):  # I_k = (R' R) I_(k-2), and R' R is symmetric
        by_layer[k - 2] += small_product(gram, by_layer[k])
    add_from_products(model.graph.arrays, by_layer[1].astype(of_customers.dtype), of_customers)  # I_1 = R' U_0
    return loss, of_customers, of_products + by_layer[0]


def train(held: np.ndarray, options: GraphCollaborativeSettings, seed: int) -> tuple[Model, np.ndarray]:
    """Train the layers 0 by Adam on batches of edges, each with a product drawn evenly among those not held.

    Parameters
    ----------
    held : 0/1 [customers, products]

    Returns
    -------
    model : Model
        Untrained where there is no edge, or nobody lacks a product.
    losses : float64 [steps]
    """
    graph, rng = build_graph(held), np.random.default_rng([seed, 11])
    gram = gram_matrix(graph.arrays)
    customers = rng.standard_normal((held.shape[0], options.width), np.float32) * np.float32(_INITIAL_STD)
    products = rng.standard_normal((held.shape[1], options.width)) * _INITIAL_STD
    moments = [(np.zeros_like(layer), np.zeros_like(layer)) for layer in (customers, products)]
    losses = []
    for step, triples in enumerate(_batches(graph, held.shape[1], options, rng), start=1):
        model = propagate(graph, customers, products, options.layers, gram)
        loss, of_customers, of_products = ranking_gradient(model, triples, options.regularisation, gram)
        _descend(customers, of_customers, moments[0], options.learning_rate, step)
        _descend(products, of_products, moments[1], options.learning_rate, step)
        losses.append(loss)
        if step % _SHOWN == 0 or step == options.steps:
            report_progress("steps", step, options.steps)
    return propagate(graph, customers, products, options.layers, gram), np.array(losses)


def _batches(
    graph: Graph, products: int, options: GraphCollaborativeSettings, rng: np.random.Generator
) -> Iterator[Triples]:
    """Yield ``options.steps`` batches; each pass over the edges takes them in a new random order."""
    degree = np.diff(graph.start)
    customer = np.repeat(np.arange(len(degree)), degree)
    edges = np.flatnonzero(degree[customer] < products)  # who holds everything prefers nothing
    done = 0
    while done < options.steps and len(edges):
        order = rng.permutation(edges)
        uniform = rng.random(len(edges))
        for low in range(0, len(edges), options.batch_edges)[: options.steps - done]:
            batch = order[low : low + options.batch_edges]
            owner = customer[batch]
            missing = draw_missing(graph.arrays, owner, uniform[low : low + len(batch)], products)
            yield owner, graph.product[batch], missing
            done += 1


def _descend(
    layer: np.ndarray, gradient: np.ndarray, moments: tuple[np.ndarray, np.ndarray], rate: float, step: int
) -> None:
    """Take a step of Adam in place."""
    decays = _MEAN_DECAY, 1 - _MEAN_DECAY, _SQUARE_DECAY, 1 - _SQUARE_DECAY
    corrections = rate / (1 - _MEAN_DECAY**step), 1 / (1 - _SQUARE_DECAY**step), _TINY
    numbers = np.array([*decays, *corrections], layer.dtype)
    mean, square = moments
    _adam(layer.reshape(-1), gradient.reshape(-1), mean.reshape(-1), square.reshape(-1), numbers)


@numba.njit(cache=True, nogil=True)
def _adam(layer: Any, gradient: Any, mean: Any, square: Any, numbers: Any) -> None:
    keep, take, keep_square, take_square, rate, correction, tiny = numbers
    for k in range(len(layer)):
        mean[k] = keep * mean[k] + take * gradient[k]
        square[k] = keep_square * square[k] + take_square * gradient[k] * gradient[k]
        layer[k] -= rate * mean[k] / (np.sqrt(correction * square[k]) + tiny)


@numba.njit(cache=True, nogil=True)
def gram_matrix(graph: Any) -> Any:
    """Return ``R' R``, float64 [products, products], from the arrays of a graph."""
    start, product, customer_scale, product_scale = graph
    out = np.zeros((len(product_scale), len(product_scale)))
    for u in range(len(start) - 1):
        weight = customer_scale[u] ** 2
        for e in range(start[u], start[u + 1]):
            for f in range(start[u], start[u + 1]):
                out[product[e], product[f]] += weight
    for i in range(len(product_scale)):
        for j in range(len(product_scale)):
            out[i, j] *= product_scale[i] * product_scale[j]
    return out


@numba.njit(cache=True, nogil=True)
def small_product(left: Any, right: Any) -> Any:
    """Return the product of two float64 matrices, summed in order."""
    out = np.zeros((left.shape[0], right.shape[1]))
    for i in range(left.shape[0]):
        for j in range(left.shape[1]):
            for c in range(right.shape[1]):
                out[i, c] += left[i, j] * right[j, c]
    return out


@numba.njit(cache=True, nogil=True)
def add_from_customers(graph: Any, customers: Any, out: Any) -> None:
    """Add ``R' customers`` to ``out`` [products, width]."""
    start, product, customer_scale, product_scale = graph
    for u in range(len(start) - 1):
        for e in range(start[u], start[u + 1]):
            i = product[e]
            weight = customer_scale[u] * product_scale[i]
            for c in range(out.shape[1]):
                out[i, c] += weight * customers[u, c]


@numba.njit(cache=True, nogil=True)
def add_from_products(graph: Any, products: Any, out: Any) -> None:
    """Add ``R products`` to ``out`` [customers, width]; both of one type."""
    start, product, customer_scale, product_scale = graph
    for u in range(len(start) - 1):
        for e in range(start[u], start[u + 1]):
            i = product[e]
            weight = out.dtype.type(customer_scale[u] * product_scale[i])
            for c in range(out.shape[1]):
                out[u, c] += weight * products[i, c]


@numba.njit(cache=True, nogil=True)
def draw_missing(graph: Any, customer: Any, uniform: Any, products: int) -> Any:
    """Return for each customer a product that it does not hold: the one at the share ``uniform`` [0, 1) among them."""
    start, product, _, _ = graph
    out = np.empty(len(customer), np.int64)
    for b in range(len(customer)):
        u = customer[b]
        found = int(uniform[b] * (products - (start[u + 1] - start[u])))
        for e in range(start[u], start[u + 1]):  # ascending: each held product at or below it moves it up by one
            found += product[e] <= found
        out[b] = found
    return out


@numba.njit(cache=True, nogil=True)
def _rank(graph: Any, triples: Any, values: Any, nodes: int, regularisation: float, gradients: Any) -> float:
    """Return the loss; add its gradient by ``U_0`` and ``I_0`` as they enter directly, by what products send, and by their mean.

    ``nodes`` is K + 1, the number of layers in the mean.
    """
    start, product, customer_scale, product_scale = graph
    customers, products, sent, final = values
    of_customers, of_products, of_sent, of_final = gradients
    width, count = products.shape[1], len(triples[0])
    own = np.empty(width)
    total = 0.0
    for b in range(count):
        u, i, j = triples[0][b], triples[1][b], triples[2][b]
        for c in range(width):
            own[c] = customers[u, c]
        for e in range(start[u], start[u + 1]):
            weight = customer_scale[u] * product_scale[product[e]]
            for c in range(width):
                own[c] += weight * sent[product[e], c]
        margin, squares = 0.0, 0.0
        for c in range(width):
            own[c] /= nodes
            margin += own[c] * (final[i, c] - final[j, c])
            squares += customers[u, c] ** 2 + products[i, c] ** 2 + products[j, c] ** 2
        total += max(-margin, 0.0) + np.log1p(np.exp(-abs(margin))) + 0.5 * regularisation * squares
        slope = -1 / (1 + np.exp(margin)) / count
        decay = regularisation / count
        for c in range(width):
            of_final[i, c] += slope * own[c]
            of_final[j, c] -= slope * own[c]
            own[c] = slope * (final[i, c] - final[j, c]) / nodes  # from here on the gradient by the sum of u's layers
            of_customers[u, c] += own[c] + decay * customers[u, c]
            of_products[i, c] += decay * products[i, c]
            of_products[j, c] += decay * products[j, c]
        for e in range(start[u], start[u + 1]):
            weight = customer_scale[u] * product_scale[product[e]]
            for c in range(width):
                of_sent[product[e], c] += weight * own[c]
    return total / count
