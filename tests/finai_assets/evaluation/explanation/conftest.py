"""A teacher that learned one planted column through one expert, and networks whose attributions are known in closed form."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from panel import only, small_settings, with_labels

from finai_assets.features.registry import Registry
from finai_assets.settings import Settings
from finai_assets.settings.explanation import ExplanationSettings
from finai_assets.teacher.result import TeacherResult
from finai_assets.teacher.train import predict, train_teacher
from finai_assets.training.matrix import TrainingMatrix

PLANTED = "age"
TASK = "will_acquire_deposits"
OTHER = "cross_sell_count"


@pytest.fixture(scope="session")
def chosen(small: Settings) -> Settings:
    """Two experts and a task's own, none of which reads what another reads."""
    routing = {
        **small.teacher.routing,
        "deepfm": ("demographics",),
        "causal": ("txn_rolling_stats", "mcc_top30_multihot"),
        "task_mlp": ("derived_temporal",),
    }
    settings = small_settings(experts=("deepfm", "causal"), routing=routing, epochs=6, patience=6, transfers=())
    explanations = ExplanationSettings(
        rows=200, ablation_rows=300, train_rows=400, steps=16, shares=(0.02, 0.1, 0.3), random_orders=2, tolerance=0.05,
        top=5, batch_rows=64,
    )  # fmt: skip
    return settings.model_copy(update={"explanations": explanations})


@pytest.fixture(scope="session")
def planted(panel: TrainingMatrix, registry: Registry) -> TrainingMatrix:
    """The label is whether the planted column is above its median, and nothing else."""
    values = panel.X[:, registry.names.index(PLANTED)]
    high = (values > np.median(values)).astype(np.float32)
    return only(with_labels(panel, **{TASK: high, OTHER: high + 0.0}), TASK, OTHER)


@pytest.fixture(scope="session")
def teacher(planted: TrainingMatrix, registry: Registry, chosen: Settings) -> TeacherResult:
    return train_teacher(planted, registry, planted.tasks, chosen)


@pytest.fixture(scope="session")
def stored(teacher: TeacherResult, planted: TrainingMatrix) -> dict[str, np.ndarray]:
    values, _ = predict(teacher, planted.X, 512, planted.side)
    return values


@pytest.fixture
def constant(teacher: TeacherResult) -> TeacherResult:
    """The same teacher with towers that say one number, whatever they read."""
    model = type(teacher.model)(
        teacher.normaliser, teacher.model.tasks, teacher.settings, structure=teacher.structure
    ).eval()
    with torch.no_grad():
        for tower in model.towers.values():
            for name, parameter in tower.named_parameters():
                if not name.endswith("bias"):
                    parameter.zero_()
    return replace(teacher, model=model)
