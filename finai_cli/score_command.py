"""The command ``finai score``: recommendations of any snapshot month, by today's bundle or by a named one."""

from __future__ import annotations

from typing import Annotated

import typer

from finai_cli.options import (
    AsJson,
    Dataset,
    HomeOption,
    Profile,
    Source,
    chosen_settings,
    filled_home,
    parse_months,
    platform_at,
    refusing,
    stopping,
)
from finai_cli.output import Terminal, print_json, print_notes, styled


def score_command(  # noqa: PLR0913, PLR0917 - one parameter for each option
    month: Annotated[str, typer.Option("--month", "-m", help="snapshot month such as 2016-05")],
    bundle: Annotated[
        str,
        typer.Option(
            help="champion, challenger, previous, an id or its first digits; default: the bundle that scores in `finai run`"
        ),
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="let the named bundle replace what another one made of the month")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print what would be computed, and compute nothing")
    ] = False,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    source: Source = None,
    as_json: AsJson = False,
) -> None:
    """Recommend products to every customer of a snapshot month, by the job and with the checks of `finai run`.

    Raw tables and features that the month lacks are computed first; states, models and the bundle stay as they are. A month has
    one table, which records the bundle that made it. A bundle named by --bundle makes a table where there is none; it replaces
    that of another bundle only with --replace. Without --bundle the champion (while there is none, the challenger) scores, and
    takes a month back; so does `finai run` with the last month. Exit code 2: a wrong argument, and nothing is written.
    """
    from finai_resources.errors import BundleError

    console = Terminal(stderr=as_json)
    with refusing(BundleError), stopping(console):
        settings = chosen_settings(dataset, profile, source)
        (wanted,) = parse_months([month])
        place = filled_home(dataset, profile, home)
        platform, notes = platform_at(settings, place, ask=True, cached=not dry_run)
        from finai_cli.score import scored

        print_notes(notes, console)
        found = scored(platform, place, wanted, bundle, replace=replace, console=console, dry_run=dry_run)
    if as_json:
        print_json(found)
    elif found:
        ran = sum(stage["ran"] for stage in found["stages"])
        told = f"{found['rows']:,} recommendations for {found['customers']:,} customers of {found['month']}"
        by = f"bundle {found['bundle']}{'' if found['approved'] else ', which nobody approved'}"
        console.print(
            styled(
                ("done", "bold green"), f": {told}, by {by}; {f'{ran} runs' if ran else 'everything was up to date'}"
            ),
            soft_wrap=True,
        )
