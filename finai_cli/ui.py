"""``finai ui``: the Dagster UI on the home of one data set, with its daemon."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from finai_cli.options import Dataset, HomeOption, Profile, Source, chosen_settings

_IN_PROGRESS = ("STARTING", "STARTED", "CANCELING", "SUSPENDED")


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
    if _has_runs_in_progress(place.dagster):
        from finai_cli.execute import dagster_instance

        with dagster_instance(
            place
        ):  # opening it fails the runs that a killed process has left, which would fill the queue
            pass
    os.execv(sys.executable, [sys.executable, "-m", "finai_cli.ui_processes", host, str(port)])  # noqa: S606 - no shell


def _has_runs_in_progress(folder: Path) -> bool:
    """Return whether the runs' database of an instance holds one in progress: a look that does not load Dagster."""
    database = folder / "history" / "runs.db"
    if not database.exists():
        return False
    with closing(sqlite3.connect(database)) as connection:
        try:
            found = connection.execute(f"SELECT 1 FROM runs WHERE status IN {_IN_PROGRESS} LIMIT 1")  # noqa: S608
        except sqlite3.OperationalError:  # another process makes the tables just now: there is no run yet
            return False
        return found.fetchone() is not None
