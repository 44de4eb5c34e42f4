"""The command ``finai splits propose``: the next splits beside those in use; it writes nothing."""

from __future__ import annotations

import sys

import typer
from rich.table import Table

from finai_cli.options import (
    AsJson,
    Dataset,
    HomeOption,
    Profile,
    Source,
    chosen_settings,
    filled_home,
    platform_at,
    refusing,
)
from finai_cli.output import Terminal, print_json, print_notes

splits_app = typer.Typer(help="Look at the months of train, validation and test.", no_args_is_help=True)


@splits_app.callback()
def splits_commands() -> None:
    """Keep ``propose`` a command of its own."""


@splits_app.command("propose")
def splits_propose(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    source: Source = None,
    as_json: AsJson = False,
) -> None:
    """Propose the next splits: test ends with the last month whose labels are known, with the gaps that the splits have to keep.

    Printed are months and customer-months beside those in use, and the splits as YAML for the data set's file. Nothing is
    written: new splits make states and models stale, so that the next `finai run` trains again. Exit code 2: a wrong argument.
    """
    with refusing():
        settings = chosen_settings(dataset, profile, source)
        place = filled_home(dataset, profile, home)
        platform, notes = platform_at(settings, place, ask=True)
        from finai_cli.run import lake_of
        from finai_cli.splits import proposal

        found = proposal(platform.settings, lake_of(platform, place))
    if as_json:
        print_json(found)
        return
    console = Terminal()
    print_notes(notes, console)
    table = Table(title=f"Splits of {dataset}", title_justify="left")
    for name in ("", "in use", "months", "rows", "next", "months", "rows"):
        table.add_column(name, justify="right" if name in {"months", "rows"} else "left", no_wrap=True)
    for name, now in found["now"].items():
        cells = [cell for each in (now, found["next"][name]) for cell in _cells(each)]
        table.add_row(name, *cells)
    console.print(table)
    if not found["changed"]:
        console.print("no later month has labels: the splits in use are the next ones")
        return
    console.print("in the data set's file, once a retrain is wanted:")
    sys.stdout.write(found["yaml"])


def _cells(split: dict[str, object]) -> tuple[str, str, str]:
    rows = split["rows"]
    return f"{split['first']}..{split['last']}", str(split["months"]), "not stored" if rows is None else f"{rows:,}"
