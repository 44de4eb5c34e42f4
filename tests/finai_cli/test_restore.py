"""What the UI knows of a lake is written anew from the lake: partitions, columns with statistics, results of checks."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from finai_cli.execute import dagster_instance
from finai_resources.home import Home

ROOT = Path(__file__).resolve().parent.parent.parent
STATE, GROUP = "feature_state/demographics", "features/demographics"
RUN = """
import sys
from pathlib import Path
from rich.console import Console
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_cli.plan import Stage, Unit, main_job
from finai_cli.run import bring_up_to_date
from finai_resources.home import Home
from finai_resources.months import Month
from finai_resources.secrets import SecretStore
home = Home.at(Path(sys.argv[1]))
platform = Platform.of(load_settings("synthetic", "smoke"), SecretStore(home.root))
stages = main_job(platform)[:2]
some = [Stage("fit", "States", (Unit("fit_features", ("feature_state/demographics", "labels/splits")),)),
        Stage("features", "Features", (Unit("monthly_features", ("features/demographics",), Month.parse("2015-01")),))]
bring_up_to_date(platform, home, Console(), [*stages, *some])
"""


def finai(home: Path, *words: str) -> dict[str, Any]:
    ended = subprocess.run(
        [sys.executable, "-m", "finai_cli.main", *words, "--profile", "smoke", "--home", str(home), "--json"],
        env={**os.environ, "FINAI_CONFIG": str(home.parent / "config")},
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def known(home: Path) -> dict[str, Any]:
    """Return what the instance says of a month of a group, of a column of it, and of the state."""
    with dagster_instance(Home.at(home)) as instance:
        group, column = dg.AssetKey(GROUP.split("/")), dg.AssetKey([*GROUP.split("/"), "age"])
        checks = {
            key.name: record.event.dagster_event.event_specific_data.passed  # type: ignore[union-attr]
            for key, record in instance.event_log_storage.get_latest_asset_check_execution_by_key(
                [dg.AssetCheckKey(group, "C01_no_direct_identifiers"), dg.AssetCheckKey(group, "C06_columns_vary")]
            ).items()
            if record.event is not None
        }
        return {
            "months": instance.get_materialized_partitions(group),
            "version": _tag(instance.get_latest_materialization_event(group)),
            "state": _tag(instance.get_latest_materialization_event(dg.AssetKey(STATE.split("/")))),
            "plotted": _metadata(instance.get_latest_materialization_event(column)),
            "checks": checks,
        }


def _tag(event: Any) -> str:
    return event.asset_materialization.tags["dagster/data_version"] if event else ""


def _metadata(event: Any) -> dict[str, Any]:
    return {name: value.value for name, value in event.asset_materialization.metadata.items()} if event else {}


@pytest.mark.slow
def test_a_lost_instance_knows_again_what_the_lake_holds(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    config = yaml.safe_dump({"profiles": {"smoke": {"generator": {"customers": 200}}}})
    (tmp_path / "config" / "pipeline.yaml").write_text(config, encoding="utf-8")
    home = tmp_path / "home"
    environment = {**os.environ, "FINAI_CONFIG": str(tmp_path / "config")}
    subprocess.run([sys.executable, "-c", RUN, str(home)], check=True, env=environment, cwd=ROOT)
    before = known(home)
    assert before["checks"]
    assert before["plotted"]["mean"] > 15
    shutil.rmtree(home / "dagster")
    counted = finai(home, "restore", "--dry-run")
    assert known(home)["months"] == set()
    told = finai(home, "restore")
    assert told == counted
    assert told["columns"] > 5
    assert told["checks"] > 100
    assert known(home) == before
    assert finai(home, "restore") == {"partitions": 0, "columns": 0, "checks": 0}
