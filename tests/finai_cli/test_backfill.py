"""A range of months of some assets is filled, goes on where it was stopped, and a wrong name costs one line."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from finai_assets.asset_graph import OUTCOMES, RAW_TABLES, RECOMMENDATIONS, SNAPSHOTS, group_asset, label_asset
from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_cli.backfill import months_to_fill
from finai_cli.main import app
from finai_cli.plan import Stage
from finai_resources.errors import ConfigError
from finai_resources.months import Month

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def platform(settings: Settings) -> Platform:
    return Platform.of(settings)


def by_stage(stages: list[Stage]) -> dict[str, list[str]]:
    return {stage.name: [unit.partition or "" for unit in stage.units] for stage in stages}


def test_without_a_name_raw_tables_features_and_labels_of_the_range_are_filled(platform: Platform) -> None:
    stages = months_to_fill(platform, Month.parse("2014-12"), Month.parse("2015-02"))
    assert by_stage(stages) == {
        "ingest": ["2014-12", "2015-01", "2015-02"],
        "features": ["2015-01", "2015-02"],  # the first snapshot is that of 2015-01
        "labels": ["2015-01", "2015-02"],
    }
    assert set(stages[0].units[0].assets) == set(RAW_TABLES)
    whole = by_stage(months_to_fill(platform, None, None))
    assert (len(whole["ingest"]), len(whole["features"]), len(whole["labels"])) == (20, 7, 7)


def test_named_groups_and_assets_alone_are_filled(platform: Platform) -> None:
    stages = months_to_fill(
        platform, None, Month.parse("2015-01"), ["demographics", "hmm_states"], [label_asset("next_mcc")]
    )
    assert by_stage(stages) == {"features": ["2015-01"], "labels": ["2015-01"]}
    assert set(stages[0].units[0].assets) == {group_asset("demographics"), group_asset("hmm_states")}
    assert stages[1].units[0].assets == (label_asset("next_mcc"),)


def test_what_one_computation_writes_is_filled_together(platform: Platform) -> None:
    (ingest,) = months_to_fill(platform, None, Month.parse("2014-01"), (), [SNAPSHOTS])
    assert set(ingest.units[0].assets) == set(RAW_TABLES)
    (scores,) = months_to_fill(platform, Month.parse("2015-06"), None, (), [RECOMMENDATIONS])
    assert by_stage([scores]) == {"recommend": ["2015-06", "2015-07"]}
    (judged,) = months_to_fill(platform, None, None, (), [OUTCOMES])
    assert {unit.where for unit in judged.units} == {
        "recommendations/decisions"
    }  # a month without lists has nothing to judge


@pytest.mark.parametrize(
    ("named", "told"),
    [
        ({"groups": ["demografics"]}, "there is no feature group 'demografics'.*the nearest are demographics"),
        ({"assets": ["labels/next_mc"]}, "no asset with months 'labels/next_mc'.*labels/next_mcc"),
        ({"assets": ["teacher/ple"]}, "no asset with months 'teacher/ple'"),
        ({"first": Month.parse("2019-01")}, "no month lies in 2019-01..2015-08.*the months are 2014-01..2015-08"),
        ({"groups": ["demographics"], "last": Month.parse("2014-05")}, "the months are 2015-01..2015-07"),
    ],
)
def test_a_wrong_name_or_range_is_told_with_the_nearest_right_ones(
    platform: Platform, named: dict[str, object], told: str
) -> None:
    arguments = {"first": None, "last": None, **named}
    with pytest.raises(ConfigError) as error:
        months_to_fill(platform, **arguments)  # type: ignore[arg-type]
    assert re.search(told, str(error.value).replace("\n", " "))


def test_a_refused_command_ends_with_2_and_writes_nothing(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "lake").mkdir(parents=True)
    for wrong in (["--group", "demografics"], ["--from", "2015-13"], ["--to", "2013-01"], ["--workers", "0"]):
        ended = CliRunner().invoke(app, ["backfill", "--profile", "smoke", "--home", str(home), *wrong])
        assert ended.exit_code == 2, ended.output
        assert "Traceback" not in ended.output
    assert [path.name for path in home.rglob("*")] == ["lake"]


SOURCE = """
import sys
from pathlib import Path
from rich.console import Console
from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_cli.plan import main_job
from finai_cli.run import bring_up_to_date
from finai_resources.home import Home
from finai_resources.secrets import SecretStore
home = Home.at(Path(sys.argv[1]))
platform = Platform.of(load_settings("synthetic", "smoke"), SecretStore(home.root))
bring_up_to_date(platform, home, Console(), main_job(platform)[:1])
"""


@pytest.mark.slow
def test_a_killed_backfill_goes_on_and_computes_no_finished_month_again(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    config = yaml.safe_dump({"profiles": {"smoke": {"generator": {"customers": 200}}}})
    (tmp_path / "config" / "pipeline.yaml").write_text(config, encoding="utf-8")
    environment = {**os.environ, "FINAI_CONFIG": str(tmp_path / "config"), "COLUMNS": "200"}
    home, command = tmp_path / "home", [sys.executable, "-m", "finai_cli.main", "backfill", "--profile", "smoke"]
    subprocess.run([sys.executable, "-c", SOURCE, str(home)], check=True, env=environment, cwd=ROOT)
    words = [*command, "--home", str(home), "--to", "2014-10", "--workers", "2"]
    manifests = home / "lake" / "raw" / "snapshots"
    with subprocess.Popen(words, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 600
        while len(list(manifests.rglob("_manifest.json"))) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    done = {path: path.stat().st_mtime_ns for path in manifests.rglob("_manifest.json")}
    assert 3 <= len(done) < 10
    ended = subprocess.run(words, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "of 10 months computed" in ended.stdout
    found = {path: path.stat().st_mtime_ns for path in manifests.rglob("_manifest.json")}
    assert sorted(path.parent.name for path in found) == [f"month=2014-{number:02d}" for number in range(1, 11)]
    assert {path: found[path] for path in done} == done
    again = subprocess.run([*words, "--dry-run"], env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "Raw tables: 0 of 10 runs" in again.stdout
