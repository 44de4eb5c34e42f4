"""The commands ``finai features list``, ``show`` and ``diff``."""

from __future__ import annotations

from typing import Annotated

import typer

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, chosen_platform, chosen_settings
from finai_cli.output import Terminal, print_json

features_app = typer.Typer(
    help="Show the feature groups and their columns, and what a change would do to them.", no_args_is_help=True
)


@features_app.command("list")
def features_list(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    group: Annotated[str | None, typer.Option(help="list the columns of this group")] = None,
    as_json: AsJson = False,
) -> None:
    """List the feature groups, or the columns of one group."""
    from finai_assets.features.registry import build_registry
    from finai_cli.features import as_rows, column_table, group_table

    registry = build_registry(chosen_settings(dataset, profile, None))
    if group:
        registry.group(group)
    if as_json:
        print_json(as_rows(registry, group))
        return
    Terminal().print(column_table(registry.group(group)) if group else group_table(registry))


@features_app.command("show")
def features_show(
    column: Annotated[str, typer.Argument(help="name of a column")],
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Show the meaning and the inputs of a column, and its statistics by month where the home stores them."""
    from finai_assets.features.registry import build_registry
    from finai_cli.features import describe, description_tables

    settings = chosen_settings(dataset, profile, None)
    description = describe(build_registry(settings), column, dataset, profile, home)
    if as_json:
        print_json(description)
        return
    for table in description_tables(description):
        Terminal().print(table)


@features_app.command("diff")
def features_diff(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Tell what a change of code or configuration adds, drops and alters, and what becomes stale, before it is run.

    A column is altered where it stays and its group's own code or settings are others than those it was stored with.
    """
    platform = chosen_platform(dataset, profile, home)
    from finai_cli.feature_difference import difference, print_difference
    from finai_cli.run import lake_of
    from finai_resources.errors import ConfigError
    from finai_resources.home import Home

    place = Home.choose(dataset, profile, home)
    lake = lake_of(platform, place)
    if not lake.assets():
        raise ConfigError("nothing is stored to compare with", where=str(place.root), fix="`finai run` first")
    found = difference(platform, lake)
    if as_json:
        print_json(found.as_dict())
        return
    print_difference(found, Terminal())
