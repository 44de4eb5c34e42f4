"""The entry of the command line: commands, their options and help texts, and how errors are printed."""

from __future__ import annotations

import os
import sys
from dataclasses import asdict
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from finai_cli.backfill_command import backfill_command
from finai_cli.checks_commands import checks_app, evidence_app, overrides_app, recheck_command
from finai_cli.features_commands import features_app
from finai_cli.global_options import CommandGroup
from finai_cli.incident_commands import incidents_app, schema_app
from finai_cli.init_command import init_command
from finai_cli.options import (
    AsJson,
    Dataset,
    HomeOption,
    Profile,
    Source,
    Workers,
    chosen_settings,
    platform_at,
    stopping,
)
from finai_cli.output import Terminal, print_error, print_json, print_notes, styled
from finai_cli.promotion_commands import (
    approve_command,
    bundles_app,
    keys_app,
    promote_command,
    rollback_command,
)
from finai_cli.reasons_command import reasons_command
from finai_cli.restore_command import restore_command
from finai_cli.score_command import score_command
from finai_cli.source_command import source_app
from finai_cli.splits_command import splits_app
from finai_cli.sql_command import sql_command
from finai_cli.ui import ui_command
from finai_resources.errors import FinaiError
from finai_resources.storage_errors import storage_error

app = typer.Typer(
    name="finai",
    cls=CommandGroup,
    help="An explainable financial-product recommender: from raw bank tables to monthly recommendations with reasons.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config_app = typer.Typer(help="Show the configuration of a data set and profile.", no_args_is_help=True)
app.add_typer(config_app, name="config")
app.add_typer(features_app, name="features")
app.add_typer(checks_app, name="checks")
app.add_typer(evidence_app, name="evidence")
app.add_typer(overrides_app, name="overrides")
app.add_typer(bundles_app, name="bundles")
app.add_typer(keys_app, name="keys")
app.add_typer(source_app, name="source")
app.add_typer(splits_app, name="splits")
app.add_typer(schema_app, name="schema")
app.add_typer(incidents_app, name="incidents")


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"finai {version('finai-assets')}\n")
        raise typer.Exit


@app.callback()
def common(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="DIR",
            envvar="FINAI_CONFIG",
            help="folder of your own configuration: DIR/datasets/NAME.yaml is a data set, every other YAML file of it is laid "
            "over the shipped one of its name; may stand anywhere on the line",
        ),
    ] = None,
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and end")
    ] = False,
) -> None:
    """Choose the configuration, for this process and for every one that it starts."""
    if config is not None:
        os.environ["FINAI_CONFIG"] = str(config.expanduser().resolve())


@app.command()
def run(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    source: Source = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the stale assets by stage, and compute nothing")
    ] = False,
    workers: Workers = 2,
    as_json: AsJson = False,
) -> None:
    """Run the main job: raw tables, features, labels, teacher, students, bundle, recommendations.

    Assets that are up to date are skipped: a stopped run goes on where it was, and a second run computes nothing.
    """
    settings = chosen_settings(dataset, profile, source)  # a wrong value is reported before the heavy imports
    from finai_resources.home import Home

    console = Terminal(stderr=as_json)
    place = Home.choose(dataset, profile, home)
    platform, notes = platform_at(settings, place, ask=True, cached=place.root.is_dir() or not dry_run)
    print_notes(notes, console)
    from finai_cli.run import run_main_job
    from finai_cli.sql import warehouse_of
    from finai_cli.summary_printed import print_summary

    with stopping(console):
        summary = run_main_job(platform, place, console, dry_run=dry_run, workers=workers)
    if dry_run:
        return
    if as_json:
        print_json(summary)
    else:
        print_summary(summary, place, warehouse_of(place), console)
    if closed := summary["checks"]["audits_closing"]:
        told = styled(("gates are closed", "bold red"), f" by audits: {', '.join(closed)}")
        console.print(told, soft_wrap=True, highlight=False)
        raise typer.Exit(1)
    if as_json:
        return
    ran = sum(stage["ran"] for stage in summary["stages"])
    did = f"{ran} runs" if ran else "everything was up to date"
    console.print(
        styled(
            ("done", "bold green"),
            f": {did} in {summary['seconds']:.0f} s, peak {summary['peak_mib']:,.0f} MiB; summary: {place.summary}",
        ),
        soft_wrap=True,
    )


app.command("sql")(sql_command)
app.command("ui")(ui_command)
app.command("init")(init_command)
app.command("reasons")(reasons_command)
app.command("recheck")(recheck_command)
app.command("score")(score_command)
app.command("restore")(restore_command)
app.command("backfill")(backfill_command)
app.command("promote")(promote_command)
app.command("approve")(approve_command)
app.command("rollback")(rollback_command)
for _added in sorted(entry_points(group="finai.commands"), key=lambda entry: entry.name):
    app.command(_added.name)(_added.load())


@app.command()
def generate(
    profile: Profile = "demo",
    home: HomeOption = None,
    customers: Annotated[
        int | None, typer.Option(min=1, help="number of customers; default: that of the profile")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Generate the synthetic panel alone, and print its realism figures and ceilings."""
    from finai_assets.asset_graph import SOURCE
    from finai_assets.ingest.pseudonym import pseudonym_key
    from finai_assets.ingest.synthetic import generate as simulate
    from finai_assets.ingest.synthetic.report import render
    from finai_assets.platform import Platform
    from finai_assets.settings import load_settings
    from finai_cli.display import display
    from finai_resources.home import Home
    from finai_resources.lake import Lake
    from finai_resources.lake_session import LakeSession
    from finai_resources.secrets import SecretStore

    overrides = {"generator": {"customers": customers}} if customers else None
    settings = load_settings("synthetic", profile, overrides=overrides)
    platform = Platform.of(settings)
    place = Home.choose("synthetic", profile, home)
    place.prepare()
    console = Terminal(stderr=as_json)
    with display(console) as show, show("Generating", 1, 0) as shown:
        report = simulate(
            settings,
            pseudonym_key(settings, SecretStore(place.root)),
            LakeSession(Lake.on_disk(place.lake_root)),
            tasks=platform.available_tasks,
            workers=settings.lake.workers,
            code_version=platform.graph.code_version(SOURCE),
        )
        shown.advance()
    if as_json:
        print_json(report.figures)
        return
    for table in render(report):
        console.print(table)
    console.print(styled(("done", "bold green"), f": {place.lake_root}/source"))


@config_app.command("show")
def config_show(
    dataset: Dataset = "synthetic", profile: Profile = "demo", source: Source = None, as_json: AsJson = False
) -> None:
    """Print every setting, as merged from the files in configs/ and validated."""
    import yaml

    merged = chosen_settings(dataset, profile, source).model_dump(mode="json")
    if as_json:
        print_json(merged)
    else:
        sys.stdout.write(yaml.safe_dump(merged, sort_keys=False, allow_unicode=True, width=120))


@app.command()
def doctor(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    deep: Annotated[bool, typer.Option("--deep", help="verify every byte of the home against its hash")] = False,
    as_json: AsJson = False,
) -> None:
    """Examine packages, memory, disk, configuration, keys and lake, and name a fix for each fault; exit code 1 for a fault."""
    from finai_cli.display import display
    from finai_cli.doctor import examine

    if deep:
        with display(Terminal(stderr=True)) as show, show("Examining", 1, 0) as shown:
            findings = examine(dataset, profile, home, deep=True)
            shown.advance()
    else:
        findings = examine(dataset, profile, home)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        table = Table(show_header=False, box=None)
        for finding in findings:
            mark = styled((finding.verdict, {"ok": "green", "note": "yellow", "wrong": "red"}[finding.verdict]))
            table.add_row(
                mark,
                finding.subject,
                styled(finding.found, (f"\nfix: {finding.fix}" if finding.fix else "", "dim")),
            )
        Terminal().print(table)
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(1)


def run_cli() -> None:
    """Run the command line; an error that the user can fix is one text on stderr and exit code 1."""
    try:
        app()
    except Exception as error:
        told = error if isinstance(error, FinaiError) else storage_error(error)
        if told is None:
            raise
        print_error(told)
        sys.exit(1)


if __name__ == "__main__":
    run_cli()
