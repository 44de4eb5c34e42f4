"""A small matrix with a teacher that knows a signal, for every kind of task."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, softmax

from finai_assets.settings import Settings, load_settings
from finai_assets.training.matrix import MatrixTask, TrainingMatrix

SIZES = {"train": 3000, "validation": 1500, "test": 1500}
COLUMNS = tuple(f"column_{i}" for i in range(20))
TASKS = {
    "churn": MatrixTask("churn", "binary", 1, (), 1.0, None, "g"),
    "family": MatrixTask("family", "multiclass", 3, ("none", "loan", "card"), 1.0, None, "g"),
    "spend": MatrixTask("spend", "regression", 1, (), 1.0, None, "g"),
}
OVERRIDES = {
    "metrics": {"bootstrap_samples": 60},
    "students": {
        "threads": 1,
        "rounds": {"binary": 120, "regression": 120, "multiclass": 60},
        "leaves": {"binary": 7, "regression": 7, "multiclass": 7},
        "probe": {"rounds": 15},
        "column_share": 1.0,
        "max_columns": {"copy": 10, "direct": 10},
        "cumulative_gain": {"copy": 0.98, "direct": 0.98},
        "min_columns": 3,
    },
}


@dataclass(frozen=True)
class Toy:
    matrix: TrainingMatrix
    teacher: dict[str, np.ndarray]
    registry: Any


def make_toy(seed: int = 0) -> Toy:
    rng = np.random.default_rng(seed)
    n = sum(SIZES.values())
    X = rng.normal(size=(n, len(COLUMNS))).astype(np.float32)
    X[rng.random(X.shape) < 0.05] = np.nan
    known = np.nan_to_num(X)
    score = 1.5 * known[:, 0] + known[:, 1] - 1.5
    scores = np.column_stack([np.zeros(n), 3 * known[:, 2], 3 * known[:, 3]])
    mean = known[:, 4] + 0.5 * known[:, 5] * (known[:, 6] > 0)
    shares = softmax(scores, axis=1)
    labels = {
        "churn": (rng.random(n) < expit(score)).astype(np.float32),
        "family": (shares.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1).astype(np.float32),
        "spend": (mean + rng.normal(0, 1, n)).astype(np.float32),
    }
    for label in labels.values():
        label[rng.random(n) < 0.1] = np.nan
    teacher = {
        "churn": expit(score).astype(np.float32),
        "family": shares.astype(np.float32),
        "spend": mean.astype(np.float32),
    }
    customer = np.concatenate([np.repeat(np.arange(size // 2), 2) for size in SIZES.values()])
    matrix = TrainingMatrix(
        X=X,
        customer=customer,
        month=np.full(n, "2015-01"),
        split=np.repeat(list(SIZES), list(SIZES.values())),
        labels=labels,
        persistence={},
        columns=COLUMNS,
        tasks=tuple(TASKS.values()),
    )
    return Toy(matrix, teacher, SimpleNamespace(names=COLUMNS))


@pytest.fixture(scope="session")
def toy() -> Toy:
    return make_toy()


@pytest.fixture(scope="session")
def chosen() -> Settings:
    return load_settings("synthetic", "smoke", overrides=OVERRIDES)
