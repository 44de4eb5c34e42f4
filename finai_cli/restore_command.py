"""The command ``finai restore``: a lost Dagster instance is written anew from the lake."""

from __future__ import annotations

from typing import Annotated

import typer

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, chosen_settings, filled_home, platform_at
from finai_cli.output import Terminal, print_json, styled


def restore_command(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="count what is missing, and write nothing")] = False,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Tell the Dagster UI again of all that the lake holds: partitions, columns with their statistics, and results of checks.

    For a machine whose instance was lost, or a lake that was copied without it. What the instance knows already is left alone.
    """
    settings = chosen_settings(dataset, profile, None)
    place = filled_home(dataset, profile, home)
    platform, _ = platform_at(settings, place, ask=False)
    from finai_cli.restore import restored

    console = Terminal(stderr=as_json)
    found = restored(platform, place, console, dry_run=dry_run)
    if as_json:
        print_json(found)
        return
    told = f"{found['partitions']:,} partitions, {found['columns']:,} columns of months, {found['checks']:,} results of checks"
    console.print(
        styled(("done", "bold green"), f": {told} {'are missing' if dry_run else 'were told again'}"), soft_wrap=True
    )
