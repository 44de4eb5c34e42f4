"""Without a terminal a command says plainly where it is; on a terminal it draws bars."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console

from finai_assets.ingest.source_changes import SourceChanges
from finai_cli import run as module
from finai_cli import stages as stages_module
from finai_cli.display import LINE_SECONDS, Lines, display
from finai_cli.plan import Stage, Unit
from finai_resources.progress import report_progress


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def file_console() -> Console:
    return Console(file=io.StringIO(), force_terminal=False, width=80)


def lines_of(console: Console) -> list[str]:
    return cast(io.StringIO, console.file).getvalue().splitlines()


def test_a_stage_is_a_line_when_it_begins_and_one_when_it_ends() -> None:
    console = file_console()
    with display(console) as show:
        with show("Features", 2, 0) as shown:
            assert lines_of(console) == ["Features: begins, 0/2"]
            shown.advance(2)
            shown.note("peak 10 MiB")
        with show("Labels", 1, 0) as shown:
            shown.advance()
    assert lines_of(console) == [
        "Features: begins, 0/2",
        "Features: ends, 2/2, 0 s, peak 10 MiB",
        "Labels: begins, 0/1",
        "Labels: ends, 1/1, 0 s",
    ]


def test_in_between_there_is_a_line_at_most_every_fifteen_seconds() -> None:
    console, clock = file_console(), Clock()
    stage = Lines(console, "Teacher", 1, 0, clock)
    for second in range(1, 61):
        clock.now = second
        stage.note(f"batch {second}/60")
    stage.advance()
    stage.end()
    assert LINE_SECONDS == 15
    assert lines_of(console) == [
        "Teacher: begins, 0/1",
        "Teacher: 0/1, 15 s, batch 15/60",
        "Teacher: 0/1, 30 s, batch 30/60",
        "Teacher: 0/1, 45 s, batch 45/60",
        "Teacher: 0/1, 60 s, batch 60/60",
        "Teacher: ends, 1/1, 60 s, batch 60/60",
    ]


def test_a_line_estimates_the_rest_by_the_steps_that_have_ended() -> None:
    console, clock = file_console(), Clock()
    stage = Lines(console, "Features", 17, 2, clock)  # two of them were there before
    for second, steps in ((20, 4), (45, 1)):
        clock.now = second
        stage.advance(steps)
    clock.now = 140
    stage.advance(10)
    assert lines_of(console)[1:] == [
        "Features: 6/17, 20 s, about 55 s left",
        "Features: 7/17, 45 s, about 90 s left",
        "Features: 17/17, 140 s",
    ]


def test_what_is_reported_while_a_stage_is_under_way_is_shown_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    console = file_console()
    monkeypatch.setattr("finai_cli.display.LINE_SECONDS", 0.0)
    with display(console) as show:
        with show("Teacher", 1, 0):
            report_progress("epoch 1 of 3, best score 0.693, batch [1]", 2, 7)
        report_progress("between the stages", 1, 1)
    assert "Teacher: 0/1, 0 s, epoch 1 of 3, best score 0.693, batch [1] 2/7" in lines_of(console)
    assert not any("between" in line for line in lines_of(console))


def test_a_stage_that_fails_does_not_say_that_it_ended() -> None:
    console = file_console()
    with pytest.raises(ValueError, match="broken"), display(console) as show, show("Labels", 1, 0):
        raise ValueError("broken")
    assert lines_of(console) == ["Labels: begins, 0/1"]


def test_a_long_line_is_not_broken() -> None:
    console = file_console()
    with display(console) as show, show("Teacher", 1, 0) as shown:
        shown.note("word " * 60)
    assert len(lines_of(console)) == 2


def test_on_a_terminal_a_stage_is_a_bar() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with display(console) as show, show("Features", 4, 1) as shown:
        shown.advance()
        shown.note("month 2014-06")
    text = cast(io.StringIO, console.file).getvalue()
    assert "2/4" in text
    assert "month 2014-06" in text
    assert "begins" not in text


@pytest.mark.parametrize("width", [80, 112])
def test_a_long_note_takes_neither_bar_nor_count_nor_times_from_a_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, color_system=None)
    with display(console) as show, show("Teacher, students, bundle", 17, 3) as shown:
        shown.note(
            "5 of 14 parts; epoch 7 of 10, best score 0.254, batch 72/76; LightGBM for each product: product 11/24"
        )
    drawn = [line for line in cast(io.StringIO, console.file).getvalue().splitlines() if "5 of" in line]
    assert drawn
    for line in drawn:
        assert "━━" in line
        assert "3/17" in line
        assert "0:00:00" in line
        assert line.rstrip().endswith("…")


def test_finai_run_says_where_it_is_without_a_terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stages = [
        Stage("raw", "Raw tables", (Unit("first", ()), Unit("second", ()))),
        Stage("labels", "Labels", (Unit("third", ()),)),
    ]
    done: list[object] = []

    class FakeRunner:
        def __init__(self, *_: Any) -> None:
            self.lake = self.platform = None
            self.ledger = SimpleNamespace(disbelieved=())

        def run(self, unit: object, *_: Any) -> None:
            report_progress("customers", 5, 10)
            done.append(unit)

    monkeypatch.setattr(module, "declared_checks", lambda _platform: [])
    monkeypatch.setattr(module, "main_job", lambda _platform: stages)
    monkeypatch.setattr(module, "Runner", FakeRunner)
    monkeypatch.setattr(module, "Prepared", lambda *_: None)
    monkeypatch.setattr(module, "lake_of", lambda *_: SimpleNamespace(is_local=False))
    monkeypatch.setattr(module, "damaged_partitions", lambda *_: [])
    monkeypatch.setattr(module, "evidence_log", lambda *_: SimpleNamespace(anchor=lambda: None))
    monkeypatch.setattr(module, "source_changes", lambda *_: SourceChanges())
    monkeypatch.setattr(stages_module, "outdated_checks", lambda *_: [])
    monkeypatch.setattr(stages_module, "stale_assets", lambda *_: ["asset"] if len(done) < 2 else [])
    monkeypatch.setattr(module, "write_summary", lambda *_: {})
    monkeypatch.setattr("finai_cli.display.LINE_SECONDS", 0.0)
    console = file_console()
    home = module.Home.at(tmp_path)
    module.run_main_job(cast(Any, SimpleNamespace(graph=None, secrets=None)), home, console)
    said = lines_of(console)
    assert said[0] == "Raw tables: begins, 0/2"
    assert any(line.startswith("Raw tables: 0/2") and line.endswith("customers 5/10") for line in said)
    assert any(line.startswith("Raw tables: ends, 2/2") and "peak" in line for line in said)
    assert said[-1].startswith("Labels: ends, 1/1")
    assert said[-1].endswith("1 up to date")
