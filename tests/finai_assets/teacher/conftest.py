"""The planted panel that the teacher's tests share, and settings small enough for a test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for panel.py, which is no test

from panel import make_panel

from finai_assets.features.matrix import TrainingMatrix
from finai_assets.features.registry import Registry, build_registry
from finai_assets.settings import Settings, load_settings
from finai_assets.teacher.data import TeacherData
from finai_assets.teacher.layout import layout_of
from finai_assets.teacher.losses import TeacherTask
from finai_assets.teacher.normalise import Normaliser


@pytest.fixture(scope="session")
def small() -> Settings:
    return load_settings(
        "synthetic",
        "smoke",
        overrides={
            "teacher": {
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
            },
            "baselines": {
                "rounds": {"binary": 10, "regression": 10, "multiclass": 5},
                "threads": 1,
                "min_child_rows": 10,
            },
            "metrics": {"bootstrap_samples": 20},
        },
    )


@pytest.fixture(scope="session")
def registry(small: Settings) -> Registry:
    return build_registry(small)


@pytest.fixture(scope="session")
def panel(small: Settings, registry: Registry) -> TrainingMatrix:
    return make_panel(small, registry)


@pytest.fixture(scope="session")
def normaliser(panel: TrainingMatrix, registry: Registry, small: Settings) -> Normaliser:
    layout = layout_of(registry, small, panel.columns)
    return Normaliser.fit(panel.X, panel.rows("train"), layout, small.teacher.normalise)


@pytest.fixture(scope="session")
def teacher_tasks(panel: TrainingMatrix, small: Settings) -> tuple[TeacherTask, ...]:
    return TeacherData.of(panel, panel.tasks, small).tasks
