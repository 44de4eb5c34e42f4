from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

from finai_assets.scoring.boosting import (
    Binning,
    Growth,
    Sample,
    Trees,
    bin_rows,
    count_leaves,
    gain_shares,
    hard_loss,
    raw_scores,
    soft_loss,
    soft_softmax,
    train_trees,
)

NAMES = [f"c{i}" for i in range(6)]
BINNING = Binning(seed=7, threads=1, min_leaf_rows=20, counted="rows")
GROWTH = Growth(rounds=60, leaves=7, learning_rate=0.1, patience=10)


def _classes(n: int = 2500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    score = np.column_stack([2 * X[:, 0], 2 * X[:, 1], X[:, 2] + X[:, 3]])
    return X, (score + rng.gumbel(size=score.shape)).argmax(axis=1).astype(float)


def _binary(binning: Binning, growth: Growth = GROWTH, rows: int = 1500) -> Trees:
    """Train on the first two thirds, stop on the rest."""
    X, y = _classes(rows)
    cut, target = rows * 2 // 3, (y == 1).astype(float)
    learned = bin_rows(X[:cut], binning, names=NAMES)
    held_out = Sample(bin_rows(X[cut:], binning, like=learned), target[cut:])
    return train_trees(soft_loss("binary", target), Sample(learned, target[:cut]), growth, stop_on=held_out)


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


def test_on_hard_labels_the_soft_loss_agrees_with_the_built_in_one() -> None:
    X, y = _classes()
    train, held_out = slice(0, 2000), slice(2000, None)
    binned = bin_rows(X[train], BINNING)
    target = np.eye(3)[y.astype(int)]
    soft = train_trees(soft_loss("multiclass", target), Sample(binned.take(np.arange(2000)), target[train]), GROWTH)
    mine = softmax(raw_scores(soft.text, X[held_out], 1) + soft.init_score, axis=1)
    built_in = train_trees(hard_loss("multiclass", 3), Sample(binned, y[train]), GROWTH)
    theirs = built_in.predict(X[held_out], threads=1)
    accuracy = [(p.argmax(axis=1) == y[held_out]).mean() for p in (mine, theirs)]
    assert accuracy[0] > 0.65  # the flat gradient layout trains garbage: about a third
    assert abs(accuracy[0] - accuracy[1]) < 0.01
    assert np.abs(mine - theirs).mean() < 0.01


def test_the_model_text_is_the_same_bytes_for_one_thread_and_two() -> None:
    one, two = (_binary(replace(BINNING, threads=threads)).text for threads in (1, 2))
    assert one == two
    assert "num_threads" not in one


def test_another_seed_draws_other_columns() -> None:
    growth = replace(GROWTH, column_share=0.5)
    one, again, other = (_binary(replace(BINNING, seed=seed), growth).text for seed in (7, 7 + 2**31, 8))
    assert one == again
    assert one != other


def test_training_stops_where_other_rows_gain_no_more_and_keeps_the_best_round() -> None:
    patient = _binary(BINNING, replace(GROWTH, rounds=400))
    assert patient.rounds < 390
    assert count_leaves(patient.text)[0] == patient.rounds


def test_masked_rows_are_not_learned() -> None:
    X, y = _classes(900)
    label = (y == 1).astype(float)
    label[600:] = np.nan
    growth = replace(GROWTH, rounds=5)
    rows = bin_rows(X, BINNING)
    masked = train_trees(hard_loss("binary"), rows.labelled(label), growth)
    chosen = train_trees(hard_loss("binary"), Sample(rows.take(np.arange(600)), label[:600]), growth)
    assert masked.text == chosen.text
    assert rows.labelled(np.zeros(900)).rows is rows


def test_a_soft_target_of_a_binary_task_is_learned_as_a_probability() -> None:
    X, _ = _classes()
    truth = expit(2 * X[:, 0] - 1)
    trees = train_trees(soft_loss("binary", truth), Sample(bin_rows(X, BINNING), truth), GROWTH)
    assert np.abs(trees.predict(X, threads=1) - truth).mean() < 0.05


def test_an_outlier_hardly_moves_the_loss_of_a_value() -> None:
    X, _ = _classes()
    target = X[:, 0].astype(float)
    spoilt = target.copy()
    spoilt[:3] = 1e3
    growth = replace(GROWTH, rounds=30)
    soft, hard = (
        train_trees(loss, Sample(bin_rows(X, BINNING), spoilt), growth).predict(X[3:], threads=1)
        for loss in (soft_loss("regression", target), hard_loss("regression"))
    )
    assert np.abs(soft - target[3:]).mean() < 0.3 < np.abs(hard - target[3:]).mean()


def test_leaves_and_gain_are_read_from_the_text() -> None:
    trees = _binary(BINNING)
    count, leaves = count_leaves(trees.text)
    assert count == trees.rounds
    assert count < leaves <= count * GROWTH.leaves
    shares = gain_shares(trees.text)
    assert next(iter(shares)) == "c1"
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
