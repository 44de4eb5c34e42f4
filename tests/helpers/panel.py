"""A small training matrix with the real registry's columns and planted signals, for the teacher's tests and benchmarks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from finai_assets.features.catalogue import Catalogue
from finai_assets.features.registry import Registry
from finai_assets.labels.tasks import Task, available, build_tasks
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.features import FeatureGroupSettings
from finai_assets.training.matrix import MatrixTask, TrainingMatrix
from finai_assets.training.side import SideTensor, routed_tensors, width_of

SPLITS = ("train", "validation", "test")
SMALL = {
    "teacher": {
        "experts": ["deepfm"],  # the others have tests of their own; test_seven_experts.py has all together
        "unread_groups": dict.fromkeys(FeatureGroupSettings.names(), "most tests have one or two experts"),
        "expert_dim": 16,
        "task_expert_hidden": [16],
        "deep_hidden": [16],
        "tower_hidden": [16, 8],
        "field_dim": 4,
        "batch_rows": 256,
        "epochs": 4,
        "patience": 4,
        "learning_rate": 0.02,
        "threads": 1,
        "loop": {"device": "cpu"},
    },
    "baselines": {
        "rounds": {"binary": 10, "regression": 10, "multiclass": 5},
        "threads": 1,
        "min_child_rows": 10,
    },
    "metrics": {"bootstrap_samples": 20},
}


def small_settings(**teacher: Any) -> Settings:
    """Return settings with a network and baselines small enough for a test."""
    return load_settings("synthetic", "smoke", overrides={**SMALL, "teacher": {**SMALL["teacher"], **teacher}})


def with_labels(panel: TrainingMatrix, **labels: np.ndarray) -> TrainingMatrix:
    """Return the panel with some labels replaced."""
    return replace(panel, labels={**panel.labels, **labels})


def only(panel: TrainingMatrix, *names: str) -> TrainingMatrix:
    """Return the panel with some tasks alone."""
    tasks = tuple(task for task in panel.tasks if task.name in names)
    return replace(panel, labels={name: panel.labels[name] for name in names}, tasks=tasks)


def features(registry: Registry, settings: Settings, n: int, random: np.random.Generator) -> np.ndarray:
    """Draw values that each column's kind allows; sequences end at a random step, beyond which all is NaN."""
    X = np.empty((n, len(registry.columns)), dtype=np.float32)
    for j, column in enumerate(registry.columns):
        if column.kind == "binary":
            X[:, j] = random.random(n) < 0.3
        elif column.kind == "code":
            X[:, j] = random.integers(0, 12 if column.group == "txn_lag_tensor" else 6, n)
        elif column.kind == "share":
            X[:, j] = random.random(n)
        elif column.kind == "count":
            X[:, j] = random.poisson(4, n)
        elif column.low == 0 and column.group != "txn_lag_tensor":
            X[:, j] = np.exp(random.normal(3, 1, n))
        else:
            X[:, j] = random.normal(2, 3, n)
    steps = settings.feature_groups.txn_lag_tensor.transactions
    lag = registry.positions(("txn_lag_tensor",))
    length = random.integers(0, steps + 1, n)
    for position in lag:
        X[int(registry.names[position][-3:]) >= length, position] = np.nan
    return X


def side_tensors(tensors: tuple[SideTensor, ...], n: int, random: np.random.Generator) -> np.ndarray:
    """Draw diagrams of up to 32 bars, zeros behind them, and spend measures; a tenth of the rows have neither."""
    side = np.zeros((n, width_of(tensors)), dtype=np.float32)
    first = 0
    for tensor in tensors:
        if tensor.name == "diagrams":
            birth = random.exponential(1, (n, *tensor.shape[:-1]))
            values = np.stack([birth, birth + random.exponential(1, birth.shape)], -1)
            values[np.arange(tensor.shape[1]) >= random.integers(0, tensor.shape[1] + 1, (n, 2, 1))] = 0
        else:
            values = random.dirichlet(np.full(tensor.size, 0.2), n)
        values[random.random(n) < 0.1] = 0
        side[:, first : first + tensor.size] = values.reshape(n, -1)
        first += tensor.size
    return side


def catalogue_of(settings: Settings) -> Catalogue:
    """Return the product families and the merchant tree of the settings."""
    leaves = sorted((c.mcc, c.l2, c.l1) for c in settings.merchant_categories)
    l2, l1 = (sorted({leaf[level] for leaf in leaves}) for level in (1, 2))
    return Catalogue(
        np.array([settings.families.index(product.family) for product in settings.products], np.int32),
        np.array([leaf[0] for leaf in leaves], np.int32),
        np.array([l2.index(leaf[1]) for leaf in leaves], np.int32),
        np.array([l1.index(leaf[2]) for leaf in leaves], np.int32),
    )


def make_panel(
    settings: Settings, registry: Registry, *, train: int = 2000, other: int = 400, seed: int = 0
) -> TrainingMatrix:
    """Return rows whose labels follow from planted columns (see the body for which), with the tensors that are routed."""
    random = np.random.default_rng(seed)
    n = train + 2 * other
    X = features(registry, settings, n, random)
    at = {name: position for position, name in enumerate(registry.names)}
    held = X[:, registry.positions(("product_holdings",))]
    lag_mcc = X[:, [at[f"lag_mcc_{k:03d}"] for k in range(3)]]
    split = np.repeat(SPLITS, [train, other, other])
    tasks, labels, persistence = [], {}, {}
    for task in available(build_tasks(settings)):
        classes = 8 if task.name == "next_mcc" else task.classes
        tasks.append(_task(task, classes))
        noise = random.normal(0, 1, n)
        score = 2.0 * held[:, 0] - 2.0 * held[:, 1] + 0.5 * noise
        if task.kind == "binary":
            labels[task.name] = (score > 0.8).astype(np.float32)
        elif task.kind == "regression":
            labels[task.name] = (0.3 * score).astype(np.float32)
        elif task.name == "next_mcc":
            last = np.where(np.isnan(lag_mcc[:, 0]), 0, lag_mcc[:, 0]).astype(int) % classes
            kept = random.random(n) < 0.8
            labels[task.name] = np.where(kept, last, random.integers(0, classes, n)).astype(np.float32)
            persistence[task.name] = last.astype(np.float32)
        else:
            labels[task.name] = np.clip(np.round(score + 1.5), 0, classes - 1).astype(np.float32)
        labels[task.name][random.random(n) < 0.1] = np.nan
    tensors = routed_tensors(registry, settings)
    return TrainingMatrix(
        X=X,
        customer=np.arange(n) // 2,
        month=np.repeat(["2015-01", "2015-05", "2015-07"], [train, other, other]),
        split=split,
        labels=labels,
        persistence=persistence,
        columns=registry.names,
        tasks=tuple(tasks),
        side=side_tensors(tensors, n, random) if tensors else None,
        tensors=tensors,
        catalogue=catalogue_of(settings),
    )


def _task(task: Task, classes: int) -> MatrixTask:
    labels = tuple(str(k) for k in range(classes)) if task.kind == "multiclass" else ()
    return MatrixTask(task.name, task.kind, classes, labels, task.weight, task.focal, task.group)
