"""How the command line behaves at a terminal: its version, its folder of configuration, an interrupt, 80 columns."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from finai_assets.features.registry import build_registry
from finai_assets.settings import CONFIG_FOLDER, load_settings
from finai_assets.settings.folders import CONFIG_VARIABLE, lay_over
from finai_cli import doctor
from finai_cli.features import column_table, description_tables, group_table
from finai_cli.global_options import config_first
from finai_cli.main import app

ROOT = Path(__file__).resolve().parents[2]
WIDE = 80


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.setenv("FINAI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", str(WIDE))
    monkeypatch.setenv(CONFIG_VARIABLE, "")  # so that what a command puts there is taken back
    return CliRunner()


@pytest.fixture
def own(tmp_path: Path) -> Path:
    shipped = yaml.safe_load((CONFIG_FOLDER / "datasets" / "berka.yaml").read_text(encoding="utf-8"))
    folder = tmp_path / "own"
    (folder / "datasets").mkdir(parents=True)
    content = lay_over(shipped, {"dataset": {"name": "mybank", "currency": "EUR"}})
    (folder / "datasets" / "mybank.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return folder


def test_the_version_is_printed(runner: CliRunner) -> None:
    ended = runner.invoke(app, ["--version"])
    assert (ended.exit_code, ended.stdout.split()[0]) == (0, "finai")


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_folder_of_configuration_may_be_named_before_or_behind_the_command(
    runner: CliRunner, own: Path, place: str
) -> None:
    command, option = ["config", "show", "-d", "mybank", "-p", "smoke", "--json"], ["--config", str(own)]
    ended = runner.invoke(app, option + command if place == "first" else command + option)
    assert ended.exit_code == 0, ended.output
    assert json.loads(ended.stdout)["dataset"]["currency"] == "EUR"


def test_what_stands_behind_two_dashes_is_left_where_it_is() -> None:
    assert config_first(["sql", "--config=a", "--", "--config", "b"]) == ["--config=a", "sql", "--", "--config", "b"]
    assert config_first(["run", "--config"]) == ["--config", "run"]


def test_a_process_that_is_started_reads_the_same_folder(own: Path, tmp_path: Path) -> None:
    code = "from finai_assets.settings import load_settings; print(load_settings('mybank', 'smoke').dataset.currency)"
    environment = {**os.environ, CONFIG_VARIABLE: str(own)}
    started = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert started.stdout.strip() == "EUR"


def test_the_ui_is_started_with_the_choice_in_its_environment(
    runner: CliRunner, own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("FINAI_DATASET", "FINAI_PROFILE", "FINAI_SOURCE", "DAGSTER_HOME", "FINAI_EVENT_BATCH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    seen: dict[str, str] = {}
    monkeypatch.setattr(os, "execv", lambda _program, arguments: seen.update(os.environ, line=" ".join(arguments)))
    arguments = ["ui", "--config", str(own), "-d", "mybank", "-p", "smoke", "--source", str(tmp_path), "--port", "3999"]
    ended = runner.invoke(app, arguments)
    assert ended.exit_code == 0, ended.output
    assert seen[CONFIG_VARIABLE] == str(own.resolve())
    assert (seen["FINAI_DATASET"], seen["FINAI_SOURCE"]) == ("mybank", str(tmp_path.resolve()))
    assert seen["line"].endswith("-m finai_cli.ui_processes 127.0.0.1 3999")


def test_a_source_without_a_data_set_is_refused_in_one_line(tmp_path: Path) -> None:
    ended = finai("run", "--source", str(tmp_path), home=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "name the data set, --dataset NAME" in ended.stderr


def test_an_interrupt_ends_any_command_with_one_line_and_130(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(doctor, "examine", interrupted)
    ended = runner.invoke(app, ["doctor"])
    assert (ended.exit_code, ended.output) == (130, "interrupted\n")


def test_a_signal_in_the_middle_of_a_command_leaves_no_traceback(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from finai_cli import doctor, main\n"
        "def wait(*_):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
        "doctor.examine = wait\n"
        "sys.argv = ['finai', 'doctor']\n"
        "main.run_cli()\n"
    )
    started = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "begun\n"
    started.send_signal(signal.SIGINT)
    _, told = started.communicate(timeout=30)
    assert (started.returncode, told) == (130, "interrupted\n")


def test_what_a_users_text_holds_is_printed_whole(tmp_path: Path) -> None:
    ended = finai("config", "show", "--dataset", "[bold]x[/nope]", home=tmp_path)
    assert ended.returncode == 1
    assert "'[bold]x[/nope]'" in ended.stderr


def test_the_tables_of_features_fit_80_columns(runner: CliRunner) -> None:
    from rich.console import Console

    registry = build_registry(load_settings("synthetic", "smoke"))
    statistics = {
        "rows": 123_456,
        "null_rate": 0.123,
        "mean": 1234.5678,
        "std": 0.0001234,
        "minimum": -1e9,
        "maximum": 1e9,
    }
    described = {"name": "age", "inputs": "raw/snapshots.age", "2015-01": {**statistics, "psi": 6.5e-05}}
    console = Console(width=WIDE)
    with console.capture() as captured:
        for table in (
            group_table(registry),
            column_table(registry.group("demographics")),
            *description_tables(described),
        ):
            console.print(table)
    text = captured.get()
    assert max(map(len, text.splitlines())) <= WIDE
    assert "…" not in text
    assert "12.3%" in text


def finai(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "FINAI_HOME": str(home), "COLUMNS": str(WIDE)}
    command = [sys.executable, "-m", "finai_cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
