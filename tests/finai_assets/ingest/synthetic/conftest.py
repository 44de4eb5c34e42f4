"""One small panel that the synthetic generator's tests share: written once, only read."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from finai_assets.ingest.synthetic import GeneratorReport, generate
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import Settings, load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

KEY = b"a key of the tests, 32 bytes long"


@dataclass(frozen=True)
class Panel:
    settings: Settings
    lake: Lake
    report: GeneratorReport


def small(customers: int, **generator: int) -> Settings:
    return load_settings("synthetic", "smoke", overrides={"generator": {"customers": customers, **generator}})


@pytest.fixture(scope="session")
def panel(tmp_path_factory: pytest.TempPathFactory) -> Panel:
    settings = small(1400, block_customers=500, truth_draws=200)
    lake = Lake.on_disk(tmp_path_factory.mktemp("panel"))
    report = generate(settings, KEY, LakeSession(lake), tasks=build_tasks(settings), workers=2, code_version="test")
    return Panel(settings, lake, report)
