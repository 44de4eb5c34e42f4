"""The command ``finai ablate``: its options, and how it ends."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, Source, chosen_settings
from finai_cli.output import Terminal, styled


def ablate_command(  # noqa: PLR0913, PLR0917 - each is an option of the command
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    source: Source = None,
    variants: Annotated[
        str | None,
        typer.Option(help="names or themes of variants, separated by commas; default: all (--dry-run lists them)"),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, max=100, help="number of seeds; default: ablation.seeds of the configuration")
    ] = None,
    customers: Annotated[
        int | None,
        typer.Option(
            min=1, help="size of a seeded sample of customers to train on; default: all. Validation and test keep all"
        ),
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="epochs of each run; default: teacher.epochs of the configuration")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="runs at the same time; default: ablation.workers; the figures do not depend on it"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list the runs and train nothing")] = False,
    document: Annotated[
        bool,
        typer.Option(
            "--document", help="write docs/ablations.md from docs/data/teacher_ablation.json, and train nothing"
        ),
    ] = False,
    out: Annotated[Path | None, typer.Option(help="also write the comparison to this file")] = None,
    as_json: AsJson = False,
) -> None:
    """Train the teacher with one part changed at a time, over several seeds, and report what each part is worth.

    It reads the home's training matrix, which `finai run` stores. Finished runs are kept in HOME/ablation and are skipped; a
    stopped run goes on from its last checkpoint.
    """
    if document:
        from studies.teacher import ablation_page as page

        page.write_page()
        Terminal().print(styled(("done", "bold green"), f": {page.TARGET}"), soft_wrap=True)
        return
    settings = chosen_settings(dataset, profile, source)  # a wrong value is reported before the heavy imports
    from finai_assets.platform import Platform
    from finai_resources.home import Home
    from finai_resources.secrets import SecretStore
    from studies.teacher.ablate import SUMMARY, Order, ablate, as_text, folder_of, result_table, write_out

    place, console = Home.choose(dataset, profile, home), Terminal(stderr=as_json)
    named = [name.strip() for name in variants.split(",")] if variants is not None else None
    order = Order(named, seeds, customers, epochs, workers)
    try:
        summary = ablate(Platform.of(settings, SecretStore(place.root)), place, console, order, dry_run=dry_run)
    except KeyboardInterrupt:
        console.print("stopped; finished runs are kept, and the same command goes on from there")
        raise typer.Exit(130) from None
    if dry_run:
        return
    if out is not None:
        write_out(summary, out)
    if as_json:
        sys.stdout.write(as_text(summary))
        return
    console.print(result_table(summary))
    console.print(styled(("done", "bold green"), f": {folder_of(place) / SUMMARY}"), soft_wrap=True)
