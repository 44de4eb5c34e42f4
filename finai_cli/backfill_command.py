"""The command ``finai backfill``: a range of months of some assets, several months at a time."""

from __future__ import annotations

from typing import Annotated

import typer

from finai_cli.options import (
    AsJson,
    Dataset,
    HomeOption,
    Profile,
    Source,
    Workers,
    chosen_settings,
    filled_home,
    parse_months,
    platform_at,
    refusing,
    stopping,
)
from finai_cli.output import Terminal, print_json, print_notes, styled


def backfill_command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    first: Annotated[
        str, typer.Option("--from", metavar="MONTH", help="first month, as 2015-01; default: the first there is")
    ] = "",
    last: Annotated[
        str, typer.Option("--to", metavar="MONTH", help="last month, as 2016-05; default: the last there is")
    ] = "",
    group: Annotated[
        list[str] | None, typer.Option("--group", "-g", help="feature group, and nothing else; may be repeated")
    ] = None,
    asset: Annotated[
        list[str] | None,
        typer.Option(
            "--asset", "-a", help="asset with months, as labels/churn_signal, and nothing else; may be repeated"
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the stale assets by stage, and compute nothing")
    ] = False,
    workers: Workers = 2,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    source: Source = None,
    as_json: AsJson = False,
) -> None:
    """Fill a range of months: raw tables, features and labels, or what --group and --asset name.

    Months that are up to date are skipped, so that a stopped backfill goes on where it was. Each month is a run of its own, with
    its checks; what it reads must be there, and must have passed. Exit code 2: a wrong argument, and nothing is written.
    """
    console = Terminal(stderr=as_json)
    with refusing():
        settings = chosen_settings(dataset, profile, source)
        begin, end = (parse_months([each])[0] if each else None for each in (first, last))
        place = filled_home(dataset, profile, home)
        platform, notes = platform_at(settings, place, ask=True, cached=not dry_run)
        from finai_cli.backfill import backfilled, months_to_fill

        stages = months_to_fill(platform, begin, end, groups=group or (), assets=asset or ())
    print_notes(notes, console)
    with stopping(console):
        found = backfilled(platform, place, console, stages, workers=workers, dry_run=dry_run)
    if as_json:
        print_json(found)
    elif found:
        ran, units = (sum(stage[name] for stage in found["stages"]) for name in ("ran", "units"))
        seconds = sum(stage["figures"]["seconds"] for stage in found["stages"])
        told = f"{ran} of {units} months computed in {seconds:.0f} s" if ran else "everything was up to date"
        console.print(styled(("done", "bold green"), f": {told}"), soft_wrap=True)
