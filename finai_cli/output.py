"""What a command writes: JSON for programs; for people texts as they are, whatever a user's file, path or value holds."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import IO, Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from finai_resources.errors import FinaiError
from finai_resources.json_text import plain, to_json
from finai_resources.printable import message, printable


class Terminal(Console):
    """A console that takes no text for markup or an emoji, and writes control characters as escapes.

    Every command prints by it. A style is given by :func:`styled`, never inside a text.

    Parameters
    ----------
    stderr
        Whether it writes to standard error.
    soft_wrap
        Whether lines are left to the terminal to fold.
    width
        Columns; those of the terminal by default.
    file
        Another stream to write to.
    quiet
        Whether nothing is written.
    """

    def __init__(
        self,
        *,
        stderr: bool = False,
        soft_wrap: bool = False,
        width: int | None = None,
        file: IO[str] | None = None,
        quiet: bool = False,
    ) -> None:
        super().__init__(
            stderr=stderr, soft_wrap=soft_wrap, width=width, file=file, quiet=quiet, markup=False, emoji=False
        )

    def render_str(self, text: str, **options: Any) -> Text:
        """Return a text as it stands, also as the cell of a table."""
        return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield segments, in which nothing but rich itself moves the cursor or sets a colour."""
        for segment in super().render(renderable, options):
            harmless = segment.control or segment.text.isprintable() or segment.text == "\n"
            yield segment if harmless else Segment(printable(segment.text), segment.style)


def styled(*parts: str | tuple[str, str]) -> Text:
    """Return a text of parts, each plain or with a style.

    >>> styled(("done", "bold green"), ": [red].csv").plain
    'done: [red].csv'
    """
    return Text.assemble(
        *(printable(part) if isinstance(part, str) else (printable(part[0]), part[1]) for part in parts)
    )


def print_notes(notes: Iterable[str], console: Console) -> None:
    """Print what a person should know and what stops nothing, a line each."""
    for note in notes:
        console.print(styled(("note", "yellow"), f" {note}"), soft_wrap=True)


def print_error(error: FinaiError) -> None:
    """Print an error on standard error, each very long line of it cut in its middle."""
    text = styled(("error", "bold red"), " ", message(str(error)))
    Terminal(stderr=True, soft_wrap=True).print(text, highlight=False)


def print_json(value: Any) -> None:
    """Print a value as an indented JSON document; NaN and infinity are null."""
    document = plain(value)
    try:
        text = to_json(document, indent=1)
    except UnicodeEncodeError:  # half a character, as the name of a file may have
        text = to_json(document, indent=1, ensure_ascii=True)
    sys.stdout.write(text.decode() + "\n")
