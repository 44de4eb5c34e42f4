"""A small matrix of two train months, with a side tensor, whose teacher reads other columns than its labels depend on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.special import expit, softmax

from finai_assets.settings import Settings, load_settings
from finai_assets.training.matrix import MatrixTask, TrainingMatrix
from finai_assets.training.side import SideTensor

SPLITS = (
    ("train", "2015-01", 400),
    ("train", "2015-02", 400),
    ("validation", "2015-05", 300),
    ("test", "2015-07", 300),
)
COLUMNS = tuple(f"column_{i}" for i in range(12))
TASKS = (
    MatrixTask("churn", "binary", 1, (), 1.0, None, "g"),
    MatrixTask("family", "multiclass", 3, ("none", "loan", "card"), 1.0, None, "g"),
    MatrixTask("spend", "regression", 1, (), 1.0, None, "g"),
)
TENSORS = (SideTensor("tda_local", "diagrams", (2, 2)), SideTensor("product_holdings", "kept", (3,)))


@dataclass(frozen=True)
class Small:
    matrix: TrainingMatrix
    predictions: dict[str, np.ndarray]

    @staticmethod
    def answer(X: np.ndarray, _: np.ndarray | None = None) -> dict[str, np.ndarray]:
        """Predict as the teacher does: by the first five columns."""
        return {
            "churn": expit(1.5 * X[:, 0] + X[:, 1] - 1).astype(np.float32),
            "family": softmax(np.column_stack([0 * X[:, 2], 2 * X[:, 2], 2 * X[:, 3]]), axis=1).astype(np.float32),
            "spend": (X[:, 4] + X[:, 0]).astype(np.float32),
        }


@pytest.fixture(scope="session")
def made() -> Small:
    rng = np.random.default_rng(1)
    n = sum(size for _, _, size in SPLITS)
    X = rng.normal(size=(n, len(COLUMNS))).astype(np.float32)
    told = X[:, 11]
    labels = {
        "churn": (rng.random(n) < expit(3 * told)).astype(np.float32),
        "family": np.digitize(told, [-0.5, 0.5]).astype(np.float32),
        "spend": told + rng.normal(0, 0.1, n).astype(np.float32),
    }
    for label in labels.values():
        label[rng.random(n) < 0.1] = np.nan
    sizes = [size for _, _, size in SPLITS]
    matrix = TrainingMatrix(
        X=X,
        customer=np.concatenate([np.arange(size) for size in sizes]),
        month=np.repeat([month for _, month, _ in SPLITS], sizes),
        split=np.repeat([split for split, _, _ in SPLITS], sizes),
        labels=labels,
        persistence={},
        columns=COLUMNS,
        tasks=TASKS,
        side=rng.normal(size=(n, 7)).astype(np.float32),
        tensors=TENSORS,
    )
    return Small(matrix, Small.answer(X))


@pytest.fixture(scope="session")
def chosen() -> Settings:
    return load_settings(
        "synthetic",
        "smoke",
        overrides={
            "metrics": {"bootstrap_samples": 20},
            "students": {
                "threads": 1,
                "rounds": {"binary": 40, "regression": 40, "multiclass": 15},
                "leaves": {"binary": 7, "regression": 7, "multiclass": 5},
                "probe": {"rounds": 10},
                "column_share": 1.0,
                "min_child_rows": 10,
                "max_columns": {"copy": 6, "direct": 6},
                "min_columns": 2,
            },
        },
    )
