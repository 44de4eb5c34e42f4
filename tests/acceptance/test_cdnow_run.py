"""The main job on orders of a shop, mapped by YAML alone: no products, and categories that are derived."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SOURCE = ROOT.parent / "shared" / "data" / "cdnow"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SOURCE / "cdnow_master.txt").is_file(), reason="CDNOW is not part of the repository"),
]


@pytest.fixture(scope="module")
def summary(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [sys.executable, "-m", "finai_cli.main", "run", "--dataset", "cdnow", "--profile", "smoke", "--json"]
    environment = {
        **os.environ,
        "FINAI_HOME": str(tmp_path_factory.mktemp("cdnow")),
        "FINAI_SOURCE": str(SOURCE),
        "FINAI_PSEUDONYM_KEY": "5a" * 32,
    }
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    loaded: dict[str, Any] = json.loads(ended.stdout)
    return loaded


def test_it_ends_after_the_students_and_says_so(summary: dict[str, Any]) -> None:
    assert summary["ends"].startswith("The run ends after the students, as there is nothing to recommend")
    assert summary["bundle"] is summary["recommendations"] is summary["lists"] is None
    assert [stage["name"] for stage in summary["stages"]][-1] == "train"
    assert summary["checks"]["failed"] == summary["checks"]["missing"] == summary["columns"]["constant"] == 0


def test_the_tasks_that_are_left_stand_beside_trivial_forecasts_and_trees(summary: dict[str, Any]) -> None:
    assert set(summary["tasks"]) == {"next_mcc", "mcc_diversity_trend", "top_mcc_shift"}
    for task in summary["tasks"].values():
        metrics = task["evaluation"]["test"]["metrics"]
        assert {"prior", "lightgbm_raw", "lightgbm_all", "shared_bottom", "teacher"} <= set(metrics)


def test_what_it_cannot_carry_and_what_is_derived_is_told(summary: dict[str, Any]) -> None:
    assert len(summary["tasks"]) + len(summary["unavailable_tasks"]) == 13
    assert "size" in summary["derived"]["categories"]
    assert {"products", "protected_attributes", "consents"} <= set(summary["unavailable_tables"])
