"""The commands ``finai promote``, ``approve``, ``rollback``, ``bundles`` and ``keys``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, chosen_platform, filled_home
from finai_cli.output import Terminal, print_json, styled

if TYPE_CHECKING:
    from finai_assets.promotion.decide import Decision

bundles_app = typer.Typer(help="List, show and compare the bundles of the registry.", no_args_is_help=True)
keys_app = typer.Typer(help="Make and list the keys with which people sign promotions.", no_args_is_help=True)

Person = Annotated[
    str | None,
    typer.Option("--as", help="person whose key in the home signs; not needed with FINAI_PERSON_KEY, or with one key"),
]
BUNDLE_HELP = "challenger, champion, previous, an id, or the first digits of one"
BundleArgument = Annotated[str, typer.Argument(metavar="BUNDLE", help=BUNDLE_HELP)]


def promote_command(
    bundle: BundleArgument = "challenger",
    person: Person = None,
    reason: Annotated[str, typer.Option(help="why, in words; needed where no task is significantly better")] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="print the verdict, sign nothing and write nothing")
    ] = False,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Propose a bundle as champion, signed as its author, and promote it if every criterion holds.

    The first call signs and waits for `finai approve` by another person; the call after it promotes. A refusal is recorded,
    leaves the champion as it is, and ends with exit code 1. docs/promotion.md tells what each code asks for.
    """
    office = _office(dataset, profile, home)
    decision = office.dry_run(bundle) if dry_run else office.promote(bundle, person, reason)
    _tell(decision, as_json=as_json, dry_run=dry_run)


def _tell(decision: Decision, *, as_json: bool, dry_run: bool = False) -> None:
    """Print a decision, and end with exit code 1 where it is a refusal."""
    from finai_cli.promotion import decision_json, print_decision

    if as_json:
        print_json(decision_json(decision))
    else:
        print_decision(decision, Terminal(), dry_run=dry_run)
    if not decision.verdict.passed:
        raise typer.Exit(1)


def approve_command(
    bundle: BundleArgument,
    person: Person = None,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Approve the proposal of a bundle, signed by somebody other than its author.

    The statement that is signed names the bundle, the hash of its manifest, the head of the evidence log, and the reason.
    """
    office = _office(dataset, profile, home)
    statement = office.approve(bundle, person)
    console = Terminal(stderr=as_json, soft_wrap=True)
    console.print(styled(("approved", "bold green"), f": {statement.bundle}"), highlight=False)
    if not office.platform.settings.promotion.auto_promote:
        console.print("`finai promote` decides now, and promotes it if every criterion holds", highlight=False)
        if as_json:
            print_json(asdict(statement))
        return
    decision = office.materialise(statement.bundle)
    _tell(decision, as_json=as_json)


def rollback_command(
    reason: Annotated[str, typer.Option(help="why, in words; it stays in the log")],
    person: Person = None,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Make the previous champion champion again, at once and without a rebuild; a second rollback undoes the first."""
    office = _office(dataset, profile, home)
    aliases = office.roll_back(person, reason)
    if as_json:
        print_json(aliases)
        return
    Terminal(soft_wrap=True).print(
        styled(
            ("rolled back", "bold green"), f": {aliases['champion']} is champion, {aliases['previous']} is previous"
        ),
        highlight=False,
    )


@bundles_app.command("list")
def bundles_list(
    dataset: Dataset = "synthetic", profile: Profile = "demo", home: HomeOption = None, as_json: AsJson = False
) -> None:
    """List the bundles, newest first, with their aliases and what was decided last."""
    office = _office(dataset, profile, home)
    from finai_cli.bundles import list_rows, list_table

    rows = list_rows(office.desk().session.lake)
    if as_json:
        print_json(rows)
    elif rows:
        Terminal().print(list_table(rows))
    else:
        Terminal().print("no bundle is registered yet: `finai run` builds and registers one")


@bundles_app.command("show")
def bundles_show(
    bundle: BundleArgument = "champion",
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Show a bundle: its origin, its tasks with their routes and scores, whether it is whole, and its history."""
    office = _office(dataset, profile, home)
    from finai_cli.bundles import describe, task_table

    told = describe(office.desk(), bundle)
    if as_json:
        print_json(told)
        return
    console = Terminal(soft_wrap=True)
    console.print(styled((told["bundle"], "bold"), f" {', '.join(told['aliases'])}"), highlight=False)
    for name in ("dataset", "profile", "schema_version", "versions", "columns", "files"):
        console.print(f"  {name}: {told[name]}", highlight=False)
    console.print(task_table(told["tasks"]))
    for fault in told["faults"]:
        console.print(styled(("fault", "bold red"), f" {fault}"), highlight=False)
    for entry in told["history"]:
        console.print(f"  {entry['at'][:19]}  {entry['what']}", highlight=False)


@bundles_app.command("diff")
def bundles_diff(
    new: Annotated[str, typer.Argument(help=BUNDLE_HELP)] = "challenger",
    old: Annotated[str, typer.Argument(help=BUNDLE_HELP)] = "champion",
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Compare two bundles: columns, routes, files, paired differences of primary metrics, and how far the outputs moved."""
    office = _office(dataset, profile, home)
    from finai_cli.bundles import difference, shift_table
    from finai_cli.promotion import comparison_table

    told, compared = difference(office.desk(), new, old)
    if as_json:
        print_json({**told, **(asdict(compared) if compared else {})})
        return
    console = Terminal(soft_wrap=True)
    for name, value in told.items():
        console.print(styled((name, "bold"), f": {value or 'none'}"), highlight=False)
    for fault in compared.faults if compared else ():
        console.print(styled((fault.code, "bold red"), f" {fault.what}"), highlight=False)
    if compared and compared.tasks:
        console.print(comparison_table(compared.tasks))
        console.print(shift_table(compared))


@keys_app.command("new")
def keys_new(
    name: Annotated[str, typer.Argument(help="the person, in lower-case letters")],
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    as_json: AsJson = False,
) -> None:
    """Make a person's Ed25519 key: the private half goes to the home's secrets.json (mode 0600), the public one is printed.

    On a machine that others use, move the private half to where only the person reads it, and give it as FINAI_PERSON_KEY.
    """
    office = _office(dataset, profile, home, begins=True)
    public = office.new_key(name)
    if as_json:
        print_json({"name": name, "key": public, "stored_in": str(office.secrets.path)})
        return
    console = Terminal(soft_wrap=True)
    console.print(styled(("done", "bold green"), f": private key in {office.secrets.path}"), highlight=False)
    console.print("enter the public key in the configuration, where others see the change:\n", highlight=False)
    console.print(f"promotion:\n  people:\n    {name}: {{key: {public}, roles: [author]}}", highlight=False)


@keys_app.command("list")
def keys_list(
    dataset: Dataset = "synthetic", profile: Profile = "demo", home: HomeOption = None, as_json: AsJson = False
) -> None:
    """List the people who may sign, with their public keys, and whose private key the home holds."""
    office = _office(dataset, profile, home)
    from finai_cli.promotion import people_rows

    rows = people_rows(office)
    if as_json:
        print_json(rows)
        return
    table = Table(title="People", title_justify="left")
    for column in ("name", "roles", "public key", "private key"):
        table.add_column(column, overflow="fold")
    for row in rows:
        here = "in the home" if row["private_key_in_home"] else ""
        known = row["key"] or "not in promotion.people"
        table.add_row(row["name"], ", ".join(row["roles"]), known, here)
    Terminal().print(table)


def _office(dataset: str, profile: str, home: Path | None, *, begins: bool = False) -> Any:
    """Return the promotions of a home, which need not be there where the command may begin it."""
    platform = chosen_platform(dataset, profile, home)
    from finai_cli.promotion import Office
    from finai_resources.home import Home

    return Office(platform, (Home.choose if begins else filled_home)(dataset, profile, home))
