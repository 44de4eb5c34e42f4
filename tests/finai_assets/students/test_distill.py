from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from finai_assets.scoring.boosting import raw_scores
from finai_assets.settings import Settings
from finai_assets.students.distill import Examples, blend, train_model

NAMES = [f"c{i}" for i in range(6)]


def _classes(n: int = 2500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, len(NAMES))).astype(np.float32)
    score = np.column_stack([2 * X[:, 0], 2 * X[:, 1], X[:, 2] + X[:, 3]])
    return X, (score + rng.gumbel(size=score.shape)).argmax(axis=1).astype(float)


def test_soft_targets_are_learned_as_probabilities(chosen: Settings) -> None:
    X, _ = _classes()
    truth = softmax(np.column_stack([2 * X[:, 0], np.zeros(len(X)), X[:, 1]]), axis=1)
    trained = train_model(
        "multiclass", Examples(X[:2000], truth[:2000]), Examples(X[2000:], truth[2000:]), NAMES, chosen
    )
    found = softmax(raw_scores(trained.text, X[2000:], 1) + trained.init_score, axis=1)
    assert np.abs(found - truth[2000:]).mean() < 0.05


def test_a_blend_lies_between_label_and_teacher() -> None:
    assert blend(np.array([1.0, 0.0]), np.array([0.5, 0.5]), 0.3, 1) == pytest.approx([0.65, 0.35])
    mixed = blend(np.array([2.0]), np.array([[0.2, 0.3, 0.5]]), 0.5, 3)
    assert mixed.tolist() == [[0.1, 0.15, 0.75]]
