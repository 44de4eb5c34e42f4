from __future__ import annotations

import lightgbm as lgb
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from finai_assets.settings import Settings
from finai_assets.students.distill import (
    Sample,
    blend,
    count_leaves,
    gain_shares,
    hard_target,
    raw_scores,
    soft_softmax,
    train_model,
)

NAMES = [f"c{i}" for i in range(6)]


def _classes(n: int = 2500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    score = np.column_stack([2 * X[:, 0], 2 * X[:, 1], X[:, 2] + X[:, 3]])
    return X, (score + rng.gumbel(size=score.shape)).argmax(axis=1).astype(float)


def test_gradient_and_hessian_of_the_soft_softmax_equal_finite_differences() -> None:
    rng = np.random.default_rng(1)
    raw, target = rng.normal(size=(5, 4)), rng.dirichlet(np.ones(4), 5)
    gradient, hessian = soft_softmax(raw, target)

    def loss(at: np.ndarray) -> float:
        return float(-(target * log_softmax(at, axis=1)).sum())

    step = 1e-4
    for i in range(5):
        for k in range(4):
            move = np.zeros_like(raw)
            move[i, k] = step
            up, down = loss(raw + move), loss(raw - move)
            assert gradient[i, k] == pytest.approx((up - down) / (2 * step), abs=1e-7)
            assert hessian[i, k] == pytest.approx((up - 2 * loss(raw) + down) / step**2, abs=1e-5)


def test_on_hard_labels_the_soft_objective_agrees_with_the_built_in_one(chosen: Settings) -> None:
    X, y = _classes()
    train, held_out = slice(0, 2000), slice(2000, None)
    target = hard_target(y, 3)
    ours = train_model(
        "multiclass", Sample(X[train], target[train]), Sample(X[held_out], target[held_out]), NAMES, chosen
    )
    mine = softmax(raw_scores(ours.text, X[held_out], 1) + ours.init_score, axis=1)
    parameters = {
        "objective": "multiclass",
        "num_class": 3,
        "num_leaves": chosen.students.leaves.multiclass,
        "learning_rate": chosen.students.learning_rate,
        "min_data_in_leaf": chosen.students.min_child_rows,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    built_in = lgb.train(parameters, lgb.Dataset(X[train], y[train]), ours.rounds).predict(X[held_out])
    accuracy = [(p.argmax(axis=1) == y[held_out]).mean() for p in (mine, built_in)]
    assert accuracy[0] > 0.65  # the flat gradient layout trains garbage: about a third
    assert abs(accuracy[0] - accuracy[1]) < 0.01
    assert np.abs(mine - built_in).mean() < 0.01


def test_soft_targets_are_learned_as_probabilities(chosen: Settings) -> None:
    X, _ = _classes()
    truth = softmax(np.column_stack([2 * X[:, 0], np.zeros(len(X)), X[:, 1]]), axis=1)
    trained = train_model("multiclass", Sample(X[:2000], truth[:2000]), Sample(X[2000:], truth[2000:]), NAMES, chosen)
    found = softmax(raw_scores(trained.text, X[2000:], 1) + trained.init_score, axis=1)
    assert np.abs(found - truth[2000:]).mean() < 0.05


def test_a_blend_lies_between_label_and_teacher() -> None:
    assert blend(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 0.3, 1) == pytest.approx([0.65, 0.35])
    mixed = blend(np.array([2.0]), np.array([[0.2, 0.3, 0.5]]), 0.5, 3)
    assert mixed.tolist() == [[0.1, 0.15, 0.75]]


def test_the_model_text_is_the_same_bytes_for_one_thread_and_two(chosen: Settings) -> None:
    X, y = _classes(1200)
    texts = []
    for threads in (1, 2):
        students = chosen.students.model_copy(update={"threads": threads})
        settings = chosen.model_copy(update={"students": students})
        sample = Sample(X[:900], (y[:900] == 1).astype(float))
        texts.append(train_model("binary", sample, Sample(X[900:], (y[900:] == 1).astype(float)), NAMES, settings).text)
    assert texts[0] == texts[1]
    assert "num_threads" not in texts[0]


def test_leaves_and_gain_are_read_from_the_text(chosen: Settings) -> None:
    X, y = _classes(1500)
    target = (y == 1).astype(float)
    trained = train_model("binary", Sample(X[:1000], target[:1000]), Sample(X[1000:], target[1000:]), NAMES, chosen)
    trees, leaves = count_leaves(trained.text)
    assert trees == trained.rounds
    assert trees < leaves <= trees * chosen.students.leaves.binary
    shares = gain_shares(trained.text)
    assert next(iter(shares)) == "c1"
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
