"""``finai ui``: the Dagster UI on the home of one data set, with its daemon."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from finai_cli.options import Dataset, HomeOption, Profile, Source, chosen_settings

ROOT = Path(__file__).resolve().parent.parent


def ui_command(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    source: Source = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="port of the UI")] = 3000,
    host: Annotated[str, typer.Option(help="address to listen on")] = "127.0.0.1",
) -> None:
    """Open the Dagster UI on what a run made: groups, columns with their plots over months, checks; ends with Ctrl-C."""
    settings = chosen_settings(dataset, profile, source)
    from finai_resources.event_log import BATCH_SIZE, BATCH_VARIABLE
    from finai_resources.home import Home

    place = Home.choose(dataset, profile, home)
    place.prepare()
    # The processes of Dagster build their definitions from the environment; FINAI_CONFIG is there already.
    chosen = {"FINAI_DATASET": dataset, "FINAI_PROFILE": profile, "FINAI_HOME": str(place.root)}
    if source and settings.dataset.source:
        chosen["FINAI_SOURCE"] = settings.dataset.source
    os.environ.update(chosen, DAGSTER_HOME=str(place.dagster))
    os.environ.setdefault(BATCH_VARIABLE, str(BATCH_SIZE))
    dagster = str(Path(sys.executable).with_name("dagster"))
    arguments = ["dev", "-w", str(ROOT / "workspace.yaml"), "-h", host, "-p", str(port)]
    os.execv(dagster, [dagster, *arguments])  # noqa: S606 - no shell, own arguments
