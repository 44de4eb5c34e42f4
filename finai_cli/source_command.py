"""The command ``finai source check``: reads a source as a load would and tells everything that it found; writes nothing."""

from __future__ import annotations

from typing import Annotated

import typer

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, Source, chosen_settings
from finai_cli.output import Terminal, print_error, print_json

WRONG_ARGUMENTS = 2

source_app = typer.Typer(help="Look at the source of a data set before it is loaded.", no_args_is_help=True)


@source_app.callback()
def source_commands() -> None:
    """Keep ``check`` a command of its own."""


@source_app.command("check")
def source_check(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    source: Source = None,
    sample: Annotated[
        int | None, typer.Option(min=1, help="read so many months, spread over the span; default: all")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read the source of a data set, and tell all findings at once, and what the data set can and cannot carry.

    Nothing is written. Exit code 0: it would load; 1: something would refuse the load; 2: a wrong argument or setting.
    """
    from finai_resources.errors import ConfigError

    try:
        settings = chosen_settings(dataset, profile, source)
        from finai_cli.source import check, print_report, report_json

        console = Terminal(stderr=as_json)
        found = check(settings, dataset, profile, home, sample=sample, console=console)
    except ConfigError as error:
        print_error(error)
        raise typer.Exit(WRONG_ARGUMENTS) from None
    if as_json:
        print_json(report_json(found))
    else:
        print_report(found, Terminal())
    if found.report.refused:
        raise typer.Exit(1)
