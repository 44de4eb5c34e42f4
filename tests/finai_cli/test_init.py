"""``finai init``: writes a draft that loads, never over another file, and says what to do next."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from bank_files import two_csv_files
from typer.testing import CliRunner

from finai_assets.settings.folders import CONFIG_VARIABLE
from finai_cli.main import app
from finai_resources.errors import ConfigError


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    monkeypatch.setenv(CONFIG_VARIABLE, str(tmp_path / "own"))
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_a_draft_is_written_and_is_a_data_set_at_once(runner: CliRunner, tmp_path: Path) -> None:
    files = [str(file) for file in two_csv_files(tmp_path / "source")]
    ended = runner.invoke(app, ["init", "mybank", *files])
    assert ended.exit_code == 0, ended.output
    assert "transactions: 140 rows, read as transactions" in ended.stdout
    assert "finai source check -d mybank" in ended.stdout
    shown = runner.invoke(app, ["config", "show", "-d", "mybank", "--json"])
    assert json.loads(shown.stdout)["dataset"]["adapter"] == "tables"


def test_a_file_that_is_there_is_written_over_only_by_force(runner: CliRunner, tmp_path: Path) -> None:
    files = [str(file) for file in two_csv_files(tmp_path / "source")]
    target = tmp_path / "own" / "datasets" / "mybank.yaml"
    target.parent.mkdir(parents=True)
    target.write_text("mine\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="the file is there already"):
        runner.invoke(app, ["init", "mybank", *files], catch_exceptions=False)
    assert target.read_text(encoding="utf-8") == "mine\n"
    assert runner.invoke(app, ["init", "mybank", *files, "--force"]).exit_code == 0
    assert "adapter: tables" in target.read_text(encoding="utf-8")


def test_a_dry_run_prints_the_draft_and_writes_nothing(runner: CliRunner, tmp_path: Path) -> None:
    files = [str(file) for file in two_csv_files(tmp_path / "source")]
    ended = runner.invoke(app, ["init", "mybank", *files, "--dry-run"])
    assert ended.stdout.startswith("# mybank: a first draft")
    assert not (tmp_path / "own").exists()
    told = json.loads(runner.invoke(app, ["init", "mybank", *files, "--dry-run", "--json"]).stdout)
    assert (told["file"], told["yaml"]) == (None, ended.stdout)
    asked = [line for line in ended.stdout.splitlines() if line.lstrip().startswith("# ?")]
    assert len(told["questions"]) == len(asked)


@pytest.mark.parametrize(
    ("name", "said"), [("berka", "is a shipped data set"), ("My Bank", "is no name of a data set")]
)
def test_a_name_that_cannot_be_a_data_set_of_ones_own_is_refused(
    runner: CliRunner, tmp_path: Path, name: str, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        runner.invoke(app, ["init", name, str(tmp_path)], catch_exceptions=False)


def test_without_a_folder_of_configuration_one_is_made_where_the_command_runs(
    runner: CliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CONFIG_VARIABLE)
    files = [str(file) for file in two_csv_files(tmp_path / "source")]
    ended = runner.invoke(app, ["init", "mybank", *files])
    assert (tmp_path / "finai-config" / "datasets" / "mybank.yaml").is_file()
    assert f"--config {tmp_path / 'finai-config'}" in ended.stdout
