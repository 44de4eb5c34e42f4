"""Options that the commands share, and the settings, platform and months that they choose."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from finai_resources.errors import FinaiError

Dataset = Annotated[
    str,
    typer.Option(
        "--dataset",
        "-d",
        envvar="FINAI_DATASET",
        help="data set: NAME of datasets/NAME.yaml, shipped or in --config DIR",
    ),
]
Profile = Annotated[
    str, typer.Option("--profile", "-p", envvar="FINAI_PROFILE", help="size of the run: smoke, demo, bench or full")
]
HomeOption = Annotated[
    Path | None,
    typer.Option(
        "--home",
        envvar="FINAI_HOME",
        help="folder of the lake, the keys and all results; default: .finai/DATASET-PROFILE",
    ),
]
Source = Annotated[
    str | None, typer.Option("--source", envvar="FINAI_SOURCE", help="folder of the source tables (not for synthetic)")
]
WRONG_ARGUMENTS = 2  # exit code

Workers = Annotated[
    int,
    typer.Option(
        "--workers",
        min=1,
        help="processes that compute side by side what does not wait for each other; each needs memory of its own",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON instead of a table")]


def chosen_settings(dataset: str, profile: str, source: str | None) -> Any:
    """Return the settings, merged and validated.

    Raises
    ------
    ConfigError
        A setting is wrong, or a source is named for the generated panel, which reads none.
    """
    from finai_assets.settings import load_settings
    from finai_resources.errors import ConfigError

    overrides = {"dataset": {"source": str(Path(source).expanduser().resolve())}} if source else None
    settings = load_settings(dataset, profile, overrides=overrides)
    if source and settings.dataset.adapter == "synthetic":
        raise ConfigError(
            f"{source} would not be read: data set {dataset!r} is generated; name the data set, --dataset NAME",
            where="--source or FINAI_SOURCE",
        )
    return settings


def named_home(home: Path | None) -> bool:
    """Return whether somebody named a home: then it has to be there, also for a command that can do without one."""
    return home is not None or bool(os.environ.get("FINAI_HOME"))


@contextmanager
def refusing(*more: type[FinaiError]) -> Iterator[None]:
    """Print a wrong argument as one error, and end with exit code 2; a home that is not there ends with 1 as everywhere.

    Parameters
    ----------
    more
        Errors that a wrong argument shows itself by, beside those of the configuration.
    """
    from finai_cli.output import print_error
    from finai_resources.errors import ConfigError, HomeError

    wrong: tuple[type[FinaiError], ...] = (ConfigError, *more)
    try:
        yield
    except HomeError:
        raise
    except wrong as error:
        print_error(error)
        raise typer.Exit(WRONG_ARGUMENTS) from None


@contextmanager
def stopping(console: Console) -> Iterator[None]:
    """Tell an interrupt in one line, and end with exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        console.print("stopped; finished assets are kept, and the same command goes on from there")
        raise typer.Exit(130) from None


def filled_home(dataset: str, profile: str, home: Path | None = None) -> Any:
    """Return the home that a command reads.

    Raises
    ------
    HomeError
        Nothing is stored there. Only `finai run` and the few commands that begin a home make one.
    """
    from finai_resources.errors import HomeError
    from finai_resources.home import Home

    place = Home.choose(dataset, profile, home)
    if not place.is_filled:
        raise HomeError(
            "the folder holds no lake" if place.root.is_dir() else "there is no home in this folder",
            where=str(place.root),
            fix="name the home with --home or FINAI_HOME, or fill this one with `finai run`",
        )
    return place


def home_and_platform(dataset: str, profile: str, home: Path | None) -> tuple[Any, Any]:
    """Return the home that a command reads, and its platform.

    Raises
    ------
    ConfigError
        A setting is wrong, or nothing is stored in the home.
    """
    platform = chosen_platform(dataset, profile, home)
    return filled_home(dataset, profile, home), platform


def chosen_platform(dataset: str, profile: str, home: Path | None = None) -> Any:
    """Return the platform, with the keys of the home for checks that verify signatures and pseudonyms."""
    settings = chosen_settings(dataset, profile, None)  # a wrong value is reported before the heavy imports
    from finai_resources.home import Home

    return platform_at(settings, Home.choose(dataset, profile, home), ask=False)[0]


def platform_at(settings: Any, place: Any, *, ask: bool, cached: bool = True) -> tuple[Any, tuple[str, ...]]:
    """Return the platform of some settings in a home, and what a person should know of its source's last rows.

    Parameters
    ----------
    ask
        Whether the source is asked for its last month, where months go on; else the home tells it.
    cached
        Whether the home's cache may be written.

    Raises
    ------
    ConfigError, ContractError
        The source is asked, and cannot be read.
    """
    from finai_assets.platform import Platform
    from finai_resources.secrets import SecretStore

    notes: tuple[str, ...] = ()
    if settings.dataset.raw_months.goes_on:
        from finai_assets.ingest.last_month import with_last_month
        from finai_resources.lake_resource import lake_of_home

        cache = place.cache if cached else None
        settings, notes = with_last_month(settings, lake_of_home(place).open(), cache, ask=ask)
    return Platform.of(settings, SecretStore(place.root)), notes


def parse_months(keys: list[str]) -> list[Any]:
    """Return the months named on the command line.

    Raises
    ------
    ConfigError
        A text is not a month.
    """
    from finai_resources.errors import ConfigError
    from finai_resources.months import Month

    try:
        return [Month.parse(key) for key in keys]
    except ValueError as error:
        raise ConfigError(str(error), where="--month", fix="for example --month 2016-05") from None
