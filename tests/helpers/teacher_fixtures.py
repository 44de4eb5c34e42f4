"""The planted panel that the teacher's tests share, and settings small enough for a test."""

from __future__ import annotations

import pytest
from panel import make_panel, small_settings

from finai_assets.features.registry import Registry, build_registry
from finai_assets.settings import Settings
from finai_assets.teacher.data import TeacherData
from finai_assets.teacher.fitting.losses import TeacherTask
from finai_assets.teacher.layout import layout_of
from finai_assets.teacher.normalise import Normaliser
from finai_assets.training.matrix import TrainingMatrix


@pytest.fixture(scope="session")
def small() -> Settings:
    return small_settings()


@pytest.fixture(scope="session")
def registry(small: Settings) -> Registry:
    return build_registry(small)


@pytest.fixture(scope="session")
def panel(small: Settings, registry: Registry) -> TrainingMatrix:
    return make_panel(small, registry)


@pytest.fixture(scope="session")
def normaliser(panel: TrainingMatrix, registry: Registry, small: Settings) -> Normaliser:
    layout = layout_of(registry, small, panel.columns, panel.tensors)
    return Normaliser.fit(panel.X, panel.rows("train"), layout, small.teacher.normalise, panel.side)


@pytest.fixture(scope="session")
def teacher_tasks(panel: TrainingMatrix, small: Settings) -> tuple[TeacherTask, ...]:
    return TeacherData.of(panel, panel.tasks, small).tasks
