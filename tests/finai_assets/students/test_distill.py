from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from finai_assets.scoring.boosting import Sample, raw_scores
from finai_assets.settings import Settings
from finai_assets.students.distill import bin_splits, copy_target, train_model

NAMES = [f"c{i}" for i in range(6)]


def _classes(n: int = 2500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    score = np.column_stack([2 * X[:, 0], 2 * X[:, 1], X[:, 2] + X[:, 3]])
    return X, (score + rng.gumbel(size=score.shape)).argmax(axis=1).astype(float)


def _samples(X: np.ndarray, target: np.ndarray, settings: Settings) -> tuple[Sample, Sample]:
    """Learn from the first 2,000 rows, stop on the others."""
    train, validation = bin_splits(X[:2000], X[2000:], NAMES, settings)
    return Sample(train, target[:2000]), Sample(validation, target[2000:])


def test_soft_targets_are_learned_as_probabilities(chosen: Settings) -> None:
    X, _ = _classes()
    truth = softmax(np.column_stack([2 * X[:, 0], np.zeros(len(X)), X[:, 1]]), axis=1)
    trained = train_model("multiclass", "copy", *_samples(X, truth, chosen), chosen)
    found = softmax(raw_scores(trained.text, X[2000:], 1) + trained.init_score, axis=1)
    assert np.abs(found - truth[2000:]).mean() < 0.05


def test_a_copy_learns_the_logit_of_the_teacher(chosen: Settings) -> None:
    X, _ = _classes()
    logits = np.clip(3 * X[:, 0] + X[:, 1] - 4, -13, None)  # rare positives: labels of 2,000 rows would say little
    target = copy_target("binary", np.full(len(X), np.nan), expit(logits), 0.0)
    assert target == pytest.approx(logits, abs=1e-3)
    trained = train_model("binary", "copy", *_samples(X, target, chosen), chosen)
    found = raw_scores(trained.text, X[2000:], 1)
    assert np.corrcoef(found, logits[2000:])[0, 1] > 0.98


def test_with_a_share_of_labels_a_target_lies_between_label_and_teacher() -> None:
    found = expit(copy_target("binary", np.array([1.0, 0.0, np.nan]), np.array([0.5, 0.5, 0.4]), 0.3))
    assert found == pytest.approx([0.65, 0.35, 0.4])
    mixed = copy_target("multiclass", np.array([2.0]), np.array([[0.2, 0.3, 0.5]]), 0.5)
    assert mixed == pytest.approx(np.array([[0.1, 0.15, 0.75]]))
    assert copy_target("regression", np.array([2.0]), np.array([1.0]), 0.5) == pytest.approx([1.5])


def test_without_labels_a_copy_has_the_same_target() -> None:
    teacher = np.array([0.2, 0.7, 0.01])
    masked, known = np.full(3, np.nan), np.array([0.0, 1.0, 1.0])
    assert copy_target("binary", masked, teacher, 0.0).tolist() == copy_target("binary", known, teacher, 0.0).tolist()
