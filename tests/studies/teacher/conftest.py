"""A planted panel whose answer only one expert can read, and settings small enough to train it many times."""

from __future__ import annotations

import pytest
from planted import planted_panel, planted_settings
from teacher_fixtures import normaliser, panel, registry, small, teacher_tasks  # noqa: F401

from finai_assets.features.registry import build_registry
from studies.teacher.study import Study


@pytest.fixture(scope="session")
def planted() -> Study:
    settings = planted_settings()
    columns = build_registry(settings)
    return Study.of(planted_panel(settings, columns), columns, settings, content="planted")
