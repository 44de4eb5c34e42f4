"""What holds for every command: ``--config`` anywhere on the line, and an interrupt that ends without a traceback."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from finai_cli.output import Terminal

INTERRUPTED = 130  # 128 + SIGINT, as shells count
_CONFIG = "--config"


class CommandGroup(TyperGroup):
    """The top of the command line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, ``--config`` moved before the command."""
        return super().parse_args(ctx, config_first(args))

    def invoke(self, ctx: Any) -> Any:
        """Run a command; an interrupt ends it with one line and exit code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            Terminal(stderr=True).print("interrupted")
            raise typer.Exit(INTERRUPTED) from None


def config_first(arguments: list[str]) -> list[str]:
    """Return the arguments with ``--config DIR`` moved to the front, so that it may stand anywhere before ``--``."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    first: list[str] = []
    rest: list[str] = []
    waiting = iter(arguments[:end])
    for argument in waiting:
        if argument == _CONFIG:
            first += [argument, *([value] if (value := next(waiting, None)) is not None else [])]
        elif argument.startswith(f"{_CONFIG}="):
            first.append(argument)
        else:
            rest.append(argument)
    return first + rest + arguments[end:]
