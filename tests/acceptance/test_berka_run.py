"""The main job on real bank data that nobody on this project wrote."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = [pytest.mark.slow, pytest.mark.berka]


@pytest.fixture(scope="module")
def summary(berka_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("berka")
    command = [sys.executable, "-m", "finai_cli.main", "run", "--dataset", "berka", "--profile", "smoke", "--json"]
    environment = {
        **os.environ,
        "FINAI_HOME": str(home),
        "FINAI_SOURCE": str(berka_dir),
        "FINAI_PSEUDONYM_KEY": "5a" * 32,
    }
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-3000:]
    loaded: dict[str, Any] = json.loads(ended.stdout)
    return loaded


def test_it_runs_over_the_fifteen_full_months(summary: dict[str, Any]) -> None:
    assert summary["months"]["raw"] == ["1993-01", "1994-03"]
    assert 1000 < summary["customers"] <= 1252
    assert summary["recommendations"]["rows"] == 0  # nobody's consents are known, so that nothing is served


def test_what_the_data_cannot_carry_is_declared_with_its_reason(summary: dict[str, Any]) -> None:
    assert "churn_signal" in summary["unavailable_tasks"]
    assert all(len(reason) > 20 for reason in summary["unavailable_tasks"].values())
    assert len(summary["tasks"]) + len(summary["unavailable_tasks"]) == 13
    assert summary["columns"]["unavailable"]


def test_no_stored_column_is_constant(summary: dict[str, Any]) -> None:
    assert summary["columns"]["constant"] == 0
    assert summary["checks"]["failed"] == 0
