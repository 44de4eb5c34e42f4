"""A planted panel whose answer only one expert can read, and settings small enough to train it many times."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # for planted.py, which is no test

from planted import planted_panel, planted_settings

from finai_assets.features.registry import build_registry
from finai_assets.teacher.ablation.study import Study


@pytest.fixture(scope="session")
def planted() -> Study:
    settings = planted_settings()
    registry = build_registry(settings)
    return Study.of(planted_panel(settings, registry), registry, settings, content="planted")
