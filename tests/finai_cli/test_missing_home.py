"""A command that reads a home which is not there says so, makes nothing, and does not pass; every command is walked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from finai_cli.main import app
from finai_cli.options import filled_home
from finai_resources.errors import ConfigError, FinaiError
from finai_resources.lake import Lake

# These begin a home, whose folder they make.
BEGIN = {"run", "generate", "checks prove", "keys new", "ui"}
OF_THE_SOURCE = {"source check"}  # looks at a home only for what was loaded before
# What a command needs beyond a value for each parameter that it requires.
ASKED = {"sql": [["SELECT 1"], ["--tables"]], "features show": [["age"]]}
VALUES = {"expires": "2027-12-31", "check": "feature_drift_psi", "customer": "1", "month": "2015-01"}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in sorted(group.commands.items()):
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))
OF_A_HOME = {name for name, command in COMMANDS.items() if any(p.name == "home" for p in command.params)}
READING = sorted(OF_A_HOME - BEGIN - OF_THE_SOURCE)


def arguments(command: Any) -> list[str]:
    """Return a value for each parameter that a command requires."""
    found = []
    for parameter in command.params:
        if not parameter.required:
            continue
        value = VALUES.get(parameter.name, "x")
        found += [parameter.opts[0], value] if parameter.param_type_name == "option" else [value]
    return found


def ask(name: str, given: list[str]) -> Result:
    return CliRunner().invoke(app, [*name.split(), *given])


CASES = [(name, given) for name in READING for given in ASKED.get(name, [arguments(COMMANDS[name])])]


def test_the_walk_sees_the_commands_and_those_that_begin_a_home_are_commands():
    assert BEGIN <= OF_A_HOME
    assert {"sql", "recheck", "evidence verify", "bundles list", "reasons", "doctor", "features show"} <= set(READING)


@pytest.mark.parametrize(("name", "given"), CASES, ids=[" ".join([name, *given]) for name, given in CASES])
def test_a_command_that_reads_a_missing_home_says_so_makes_nothing_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, given: list[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINAI_HOME", str(tmp_path / "missing"))
    monkeypatch.setenv("FINAI_OVERRIDE_KEY", "ab" * 32)
    monkeypatch.setenv("COLUMNS", "300")
    ended = ask(name, given)
    assert ended.exit_code == 1, ended.output
    if not isinstance(ended.exception, SystemExit):  # `doctor` tells it among its findings
        assert isinstance(ended.exception, FinaiError), ended.exception
    told = ended.output + str(ended.exception)
    assert str(tmp_path / "missing") in told
    assert "finai run" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - OF_A_HOME))
def test_a_command_without_a_home_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FINAI_HOME", str(tmp_path / "missing"))
    ask(name, arguments(COMMANDS[name]))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["doctor", "features show"])
def test_what_can_be_told_without_a_home_is_told_where_none_was_named(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FINAI_HOME", raising=False)
    assert ask(name, ASKED.get(name, [[]])[0]).exit_code == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_home_is_refused_too(tmp_path: Path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(ConfigError, match="the folder holds no lake"):
        filled_home("synthetic", "demo", tmp_path)


def test_a_home_whose_lake_lies_elsewhere_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with Lake.on_disk(tmp_path / "lake").write("raw/things") as out:
        out.put("x", b"1")
    monkeypatch.setenv("FINAI_LAKE", str(tmp_path / "lake"))
    assert filled_home("synthetic", "demo", tmp_path / "home").lake_root == str(tmp_path / "lake")
    monkeypatch.setenv("FINAI_LAKE", "s3://bucket/lake")
    assert filled_home("synthetic", "demo", tmp_path / "home").lake_root == "s3://bucket/lake"


def test_an_empty_evidence_log_is_not_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FINAI_HOME", str(tmp_path))
    with Lake.on_disk(tmp_path / "lake").write("raw/things") as out:
        out.put("x", b"1")
    ended = ask("evidence verify", [])
    assert ended.exit_code == 1
    assert "the evidence log holds no entry" in str(ended.exception)
