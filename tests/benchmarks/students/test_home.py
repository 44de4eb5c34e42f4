"""A home without a finished run, or a task that it does not have, is refused with an error that says what to do."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.students.__main__ import main
from benchmarks.students.home import chosen_tasks
from finai_resources.errors import ConfigError


def test_tasks_are_chosen_by_name(made: Any) -> None:
    assert [task.name for task in chosen_tasks(made.matrix, ("spend", "churn"))] == ["churn", "spend"]
    assert chosen_tasks(made.matrix, None) == made.matrix.tasks
    with pytest.raises(ConfigError, match="no task \\['nonsense'\\]"):
        chosen_tasks(made.matrix, ("nonsense",))


@pytest.mark.parametrize("command", ["ceiling", "ladder", "time", "budget"])
def test_a_home_without_a_run_is_refused(
    tmp_path: Path, command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["students", command, "--home", str(tmp_path)])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 1
    assert "training_matrix" in capsys.readouterr().err
