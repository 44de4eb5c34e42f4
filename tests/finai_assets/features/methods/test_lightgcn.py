"""LightGCN against the dense formulas of the paper, finite differences, and torch's Adam."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from finai_assets.features.methods.lightgcn import (
    Model,
    _batches,
    _descend,
    build_graph,
    draw_missing,
    gram_matrix,
    propagate,
    ranking_gradient,
    train,
)
from finai_assets.settings.features import GraphCollaborativeSettings
from finai_resources.progress import watched

WIDTH = 5
OPTIONS = GraphCollaborativeSettings(
    width=WIDTH, layers=3, steps=30, batch_edges=64, learning_rate=0.02, regularisation=1e-4
)


def random_held(seed: int, customers: int = 23, products: int = 9, share: float = 0.3) -> np.ndarray:
    return (np.random.default_rng(seed).random((customers, products)) < share).astype(np.uint8)


def random_model(held: np.ndarray, layers: int, seed: int = 0) -> Model:
    rng, graph = np.random.default_rng(seed), build_graph(held)
    customers, products = rng.normal(size=(held.shape[0], WIDTH)), rng.normal(size=(held.shape[1], WIDTH))
    return propagate(graph, customers, products, layers, gram_matrix(graph.arrays))


def dense_layers(held: np.ndarray, customers: np.ndarray, products: np.ndarray, layers: int) -> np.ndarray:
    """Return ``(D^-1/2 A D^-1/2)^k E_0`` for k = 0 .. layers over all nodes, customers first."""
    n, m = held.shape
    adjacency = np.zeros((n + m, n + m))
    adjacency[:n, n:], adjacency[n:, :n] = held, held.T
    degree = adjacency.sum(axis=1)
    root = np.diag([1 / np.sqrt(d) if d else 0.0 for d in degree])
    step = root @ adjacency @ root
    return np.stack([np.linalg.matrix_power(step, k) @ np.vstack([customers, products]) for k in range(layers + 1)])


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(0.0, 1.0))
def test_propagation_equals_the_dense_matrix_formula(seed: int, layers: int, share: float) -> None:
    held = random_held(seed, share=share)
    model = random_model(held, layers, seed)
    expected = dense_layers(held, model.customers, model.products[0], layers)
    n = len(held)
    np.testing.assert_allclose(model.products, expected[:, n:], atol=1e-10)
    np.testing.assert_allclose(model.customer_embedding, expected[:, :n].mean(axis=0), atol=1e-10)
    np.testing.assert_allclose(model.product_embedding, expected[:, n:].mean(axis=0), atol=1e-10)


def test_single_precision_propagates_to_the_same_six_digits() -> None:
    held = random_held(3)
    exact = random_model(held, 3)
    single = propagate(
        exact.graph, exact.customers.astype(np.float32), exact.products[0], 3, gram_matrix(exact.graph.arrays)
    )
    np.testing.assert_allclose(single.customer_embedding, exact.customer_embedding, atol=1e-6)
    np.testing.assert_allclose(single.products, exact.products, atol=1e-6)


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_the_inductive_embedding_is_that_of_a_node_appended_while_products_stay(seed: int, layers: int) -> None:
    held = random_held(seed)
    model = random_model(held, layers, seed)
    newcomer = random_held(seed + 1, customers=1, share=0.5)[0]
    newcomer[held.sum(axis=0) == 0] = 0
    degree = held.sum(axis=0)
    row = np.array([1 / np.sqrt(newcomer.sum() * d) if own else 0.0 for own, d in zip(newcomer, degree, strict=True)])
    frozen = dense_layers(held, model.customers, model.products[0], layers)[:, len(held) :]
    expected = np.mean([row @ frozen[k - 1] for k in range(1, layers + 1)], axis=0)
    found = newcomer @ model.inductive_table / np.sqrt(max(newcomer.sum(), 1))
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_what_the_inductive_embedding_leaves_out_is_layer_0() -> None:
    held = random_held(7)
    model = random_model(held, 3)
    inductive = held @ model.inductive_table / np.sqrt(np.maximum(held.sum(axis=1), 1))[:, None]
    np.testing.assert_allclose(4 * model.customer_embedding - model.customers, 3 * inductive, atol=1e-10)


def dense_loss(
    held: np.ndarray, customers: np.ndarray, products: np.ndarray, layers: int, triples: np.ndarray, penalty: float
) -> float:
    """Return the loss as the papers write it."""
    final = dense_layers(held, customers, products, layers).mean(axis=0)
    left, right = final[: len(held)], final[len(held) :]
    total = 0.0
    for u, i, j in triples.T:
        total -= np.log(1 / (1 + np.exp(-left[u] @ (right[i] - right[j]))))
        total += penalty / 2 * sum(float(e @ e) for e in (customers[u], products[i], products[j]))
    return total / triples.shape[1]


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_the_ranking_gradient_equals_finite_differences(layers: int) -> None:
    held = random_held(5, customers=7, products=6, share=0.5)
    rng, penalty = np.random.default_rng(1), 0.3
    customer, product = np.nonzero(held)
    missing = np.array([rng.choice(np.flatnonzero(held[u] == 0)) for u in customer])
    triples = np.stack([customer, product, missing])[:, rng.integers(0, len(customer), 15)]  # some more than once
    model = random_model(held, layers)
    loss, *gradient = ranking_gradient(model, tuple(triples), penalty, gram_matrix(model.graph.arrays))
    point = [model.customers, model.products[0]]
    assert loss == pytest.approx(dense_loss(held, *point, layers, triples, penalty))
    step = 1e-6
    for side in (0, 1):
        for at in np.ndindex(point[side].shape):
            ends = []
            for sign in (1, -1):
                moved = [layer.copy() for layer in point]
                moved[side][at] += sign * step
                ends.append(dense_loss(held, *moved, layers, triples, penalty))
            assert gradient[side][at] == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=1e-8), (side, at)


def test_the_descent_is_that_of_adam_in_torch() -> None:
    rng = np.random.default_rng(2)
    layer = rng.normal(size=(6, WIDTH))
    theirs = torch.nn.Parameter(torch.tensor(layer.copy()))
    optimiser = torch.optim.Adam([theirs], lr=0.03)
    moments = np.zeros_like(layer), np.zeros_like(layer)
    for step in range(1, 6):
        gradient = rng.normal(size=layer.shape)
        theirs.grad = torch.tensor(gradient)
        optimiser.step()
        _descend(layer, gradient, moments, 0.03, step)
    np.testing.assert_allclose(layer, theirs.detach().numpy(), rtol=1e-12)


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 10**6), st.floats(0.0, 0.9))
def test_negatives_are_even_over_the_products_that_are_not_held(seed: int, share: float) -> None:
    held = random_held(seed, customers=4, share=share)
    graph = build_graph(held)
    for u, row in enumerate(held):
        free = np.flatnonzero(row == 0)
        if len(free):
            uniform = (np.arange(3 * len(free)) + 0.5) / (3 * len(free))
            found = draw_missing(graph.arrays, np.full(len(uniform), u), uniform, held.shape[1])
            assert found.tolist() == np.repeat(free, 3).tolist()


def test_every_edge_has_its_turn_before_any_comes_again() -> None:
    held = random_held(8, customers=40)
    held[0] = 1  # holds everything: no product can be ranked below
    held[1] = 0
    graph = build_graph(held)
    edges = {(u, i) for u, i in zip(*np.nonzero(held), strict=True) if u}
    epochs, size = 3, 10
    steps = epochs * -(-len(edges) // size)
    options = OPTIONS.model_copy(update={"steps": steps, "batch_edges": size})
    batches = list(_batches(graph, held.shape[1], options, np.random.default_rng(0)))
    assert len(batches) == steps
    assert sum(len(u) for u, _, _ in batches) == epochs * len(edges)
    per = steps // epochs
    for epoch in range(epochs):
        seen = [(u, i) for batch in batches[epoch * per : (epoch + 1) * per] for u, i in zip(*batch[:2], strict=True)]
        assert set(seen) == edges
        assert len(seen) == len(edges)
    assert all(held[u, j] == 0 for batch in batches for u, j in zip(batch[0], batch[2], strict=True))
    cut = OPTIONS.model_copy(update={"steps": per + 1, "batch_edges": size})
    assert len(list(_batches(graph, held.shape[1], cut, np.random.default_rng(0)))) == per + 1


def test_training_lowers_the_loss_and_is_the_same_in_a_second_run() -> None:
    held = random_held(9, customers=200)
    seen: list[tuple[int, int]] = []
    with watched(lambda _label, done, count: seen.append((done, count))):
        model, losses = train(held, OPTIONS, 4)
    again, _ = train(held, OPTIONS, 4)
    other, _ = train(held, OPTIONS, 5)
    assert len(losses) == OPTIONS.steps
    assert losses[0] == pytest.approx(np.log(2), abs=0.01)
    assert losses[-5:].mean() < 0.9 * losses[0]
    assert seen == [(10, 30), (20, 30), (30, 30)]
    assert model.products.tobytes() == again.products.tobytes()
    assert model.customers.tobytes() == again.customers.tobytes()
    assert model.products.tobytes() != other.products.tobytes()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_graph_without_a_preference_is_left_untrained(share: float) -> None:
    model, losses = train(np.full((6, 4), share, np.uint8), OPTIONS, 1)
    assert len(losses) == 0
    assert np.isfinite(model.inductive_table).all()
    assert (model.inductive_table == 0).all() == (share == 0)
