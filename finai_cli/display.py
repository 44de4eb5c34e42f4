"""Progress of a command: bars on a terminal, plain lines where the output goes to a file or to another program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from finai_resources.printable import printable
from finai_resources.progress import watched

LINE_SECONDS = 15.0  # from one plain line of a stage to the next, at least


class StageView(Protocol):
    """The progress of one part of a command, as the user sees it."""

    def note(self, text: str) -> None:
        """Show a note beside the progress."""

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""


# A title, how many steps there are, and how many are done already -> the stage, until the block ends.
Display = Callable[[str, int, int], AbstractContextManager[StageView]]


@contextmanager
def display(console: Console) -> Iterator[Display]:
    """Open the display of a command. A stage also shows the progress that is reported while it is under way.

    On a terminal every stage is a bar. Elsewhere a stage is a line when it begins and a line when it ends, and in between at most
    one line every :data:`LINE_SECONDS`.
    """
    if not console.is_terminal:
        yield lambda title, total, done: _shown(Lines(console, title, total, done))
        return
    bars = Progress(
        SpinnerColumn(),
        TextColumn("{task.description:<26}", markup=False),
        BarColumn(bar_width=14),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
        # A note has what the others leave: a long one would squeeze bar and times out of sight.
        TextColumn(
            "{task.fields[note]}", markup=False, table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis")
        ),
        console=console,
        expand=True,
    )
    with bars:
        yield lambda title, total, done: _shown(_Bar(bars, bars.add_task(title, total=total, completed=done, note="")))


class _Endable(StageView, Protocol):
    def end(self) -> None: ...


@contextmanager
def _shown(stage: _Endable) -> Iterator[StageView]:
    with watched(lambda label, done, total: stage.note(f"{label} {done}/{total}")):
        yield stage
    stage.end()


class _Bar:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self.bars, self.task = bars, task

    def note(self, text: str) -> None:
        self.bars.update(self.task, note=text)

    def advance(self, steps: int = 1) -> None:
        self.bars.advance(self.task, steps)

    def end(self) -> None:
        """Leave the bar as it is."""


class Lines:
    """A stage as plain lines.

    Parameters
    ----------
    clock
        Gives seconds.
    """

    def __init__(
        self, console: Console, title: str, total: int, done: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.console, self.title, self.total, self.done, self.clock = console, title, total, done, clock
        self.done_before = done
        self.text, self.begun = "", clock()
        self.printed = self.begun
        self._print("begins", f"{done}/{total}")

    def note(self, text: str) -> None:
        """Show a note beside the progress."""
        self.text = text
        self._continue()

    def advance(self, steps: int = 1) -> None:
        """Count finished steps."""
        self.done += steps
        self._continue()

    def end(self) -> None:
        """Print that the stage has ended, with its seconds and its last note."""
        self._print("ends", f"{self.done}/{self.total}", f"{self.clock() - self.begun:.0f} s", self.text)

    def _continue(self) -> None:
        if self.clock() - self.printed >= LINE_SECONDS:
            self._print(f"{self.done}/{self.total}", f"{self.clock() - self.begun:.0f} s", self._rest(), self.text)

    def _rest(self) -> str:
        """Return how long the other steps will take if they are like those that have ended; empty before the first has."""
        steps = self.done - self.done_before
        if not steps or self.done >= self.total:
            return ""
        return f"about {(self.clock() - self.begun) / steps * (self.total - self.done):.0f} s left"

    def _print(self, *parts: str) -> None:
        line = f"{self.title}: {', '.join(filter(None, parts))}"
        self.console.print(printable(line), markup=False, highlight=False, soft_wrap=True)
        self.printed = self.clock()
