"""The commands ``finai checks``, ``recheck``, ``evidence`` and ``overrides``."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from finai_cli.options import AsJson, Dataset, HomeOption, Profile, chosen_platform, home_and_platform, parse_months
from finai_cli.output import Terminal, print_json, styled
from finai_resources.whole_file import replace_file

checks_app = typer.Typer(
    help="List the checks, prove that they can fail, and write pages about the raw tables.", no_args_is_help=True
)
evidence_app = typer.Typer(help="Read and verify the hash-chained log of all results of checks.", no_args_is_help=True)
overrides_app = typer.Typer(
    help="Sign, list and revoke overrides, which let a failed check pass until a day; the key is FINAI_OVERRIDE_KEY.",
    no_args_is_help=True,
)


@checks_app.command("list")
def checks_list(dataset: Dataset = "synthetic", profile: Profile = "demo", as_json: AsJson = False) -> None:
    """List the checks: what each asserts, on how many assets, and the articles of law that it produces evidence for."""
    platform = chosen_platform(dataset, profile)
    from finai_cli.checks import kind_rows, kind_table

    if as_json:
        print_json(kind_rows(platform))
        return
    Terminal().print(kind_table(platform))


@checks_app.command("prove")
def checks_prove(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    out: Annotated[Path | None, typer.Option(help="also write the proof to this file, for docs/checks.md")] = None,
    as_json: AsJson = False,
) -> None:
    """Prove that every check can fail: run it on inputs that it must let pass and on inputs that it must reject.

    The inputs are plain values, and spoiled copies of a small lake that the command makes. The home's assets are not read; its
    evidence log gets the results. The exit code is 1 where a check is not proved.
    """
    platform = chosen_platform(dataset, profile, home)
    from finai_cli.prove import proof_table, prove
    from finai_resources.home import Home

    console = Terminal(stderr=as_json)
    proofs = prove(platform, Home.choose(dataset, profile, home), console)
    if out is not None:
        from finai_checks.document import proofs_json

        replace_file(out, proofs_json(proofs).encode())
    if as_json:
        rows = [result.as_dict() for proof in proofs for result in proof.results]
        print_json(rows)
    else:
        console.print(proof_table(proofs))
    if not all(proof.proved for proof in proofs):
        raise typer.Exit(1)


@checks_app.command("docs")
def checks_docs(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    month: Annotated[
        list[str] | None,
        typer.Option("--month", "-m", help="a month such as 2016-05; may be repeated; default: the last stored month"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder of the pages; default: <home>/data_docs")] = None,
) -> None:
    """Write Great Expectations' pages about the raw tables of stored months; they load their styles from public networks."""
    place, platform = home_and_platform(dataset, profile, home)
    from finai_assets.asset_graph import SNAPSHOTS
    from finai_checks.contract.data_docs import write_data_docs
    from finai_cli.display import display
    from finai_cli.run import lake_of
    from finai_resources.errors import ConfigError
    from finai_resources.lake_session import LakeSession

    lake, console = lake_of(platform, place), Terminal()
    stored = lake.partitions(SNAPSHOTS)
    if not stored:
        raise ConfigError("no raw month is stored", where=str(place.root), fix="`finai run` first")
    months = parse_months(month or [max(stored)])
    with display(console) as show, show("Data docs", 1, 0) as shown:
        folder = (out or place.root / "data_docs").resolve()
        page = write_data_docs(LakeSession(lake), platform.settings, months, folder)
        shown.advance()
    console.print(styled(("done", "bold green"), f": {page}"), soft_wrap=True)


def recheck_command(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    month: Annotated[
        list[str] | None,
        typer.Option("--month", "-m", help="a month such as 2016-05; may be repeated; default: all stored months"),
    ] = None,
    check: Annotated[
        str | None, typer.Option("--check", "-c", help="number or name of a check, such as C09; default: all")
    ] = None,
    audit: Annotated[
        bool, typer.Option("--audit", help="also evaluate the checks that are too expensive for every run")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Evaluate checks on the stored assets without computing these again; exit code 1 where a blocking check fails."""
    months = parse_months(month) if month else None
    place, platform = home_and_platform(dataset, profile, home)
    from finai_cli import checks as checks_commands

    console = Terminal(stderr=as_json)
    results = checks_commands.recheck(platform, place, console, months=months, only=check, audit=audit)
    if as_json:
        print_json([result.as_dict() for result in results])
    else:
        console.print(checks_commands.recheck_table(results))
    if any(result.check.blocking and not result.outcome.passed for result in results):
        raise typer.Exit(1)


@evidence_app.command("verify")
def evidence_verify(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    anchor: Annotated[str | None, typer.Option(help="COUNT:HASH, a head that this command printed before")] = None,
) -> None:
    """Name every entry of the logs of evidence, overrides and bundles that was edited, dropped, moved, cut off or forged.

    Heads are kept outside the lake as anchors (FINAI_ANCHORS), and compared. What could not be seen is told. A head that
    this command printed may be given as --anchor too. Exit code 1 where anything is wrong.
    """
    place, platform = home_and_platform(dataset, profile, home)
    from finai_cli.checks import verify_evidence
    from finai_cli.run import lake_of

    found = verify_evidence(lake_of(platform, place), platform.secrets, anchor)
    console = Terminal(soft_wrap=True)
    for fault in found.faults:
        console.print(styled(("fault", "bold red"), f" {fault}"), highlight=False)
    for what in found.unseen:
        console.print(styled(("not seen", "bold"), f" {what}"), highlight=False)
    head = found.head
    console.print(
        f"{head.count:,} entries, {len(found.faults)} faults; head {head.count}:{head.digest}", highlight=False
    )
    if found.faults:
        raise typer.Exit(1)


@evidence_app.command("list")
def evidence_list(
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
    last: Annotated[int, typer.Option(min=1, help="number of entries")] = 20,
    check: Annotated[str | None, typer.Option("--check", "-c", help="number or name of a check")] = None,
    as_json: AsJson = False,
) -> None:
    """List the latest entries of the evidence log, newest first."""
    place, platform = home_and_platform(dataset, profile, home)
    from finai_cli.checks import evidence_table, last_evidence
    from finai_cli.run import lake_of

    rows = last_evidence(lake_of(platform, place), last, check)
    if as_json:
        print_json(rows)
        return
    Terminal().print(evidence_table(rows))


Approver = Annotated[str, typer.Option(help="person who takes the responsibility")]
Reason = Annotated[str, typer.Option(help="reason, in words")]


@overrides_app.command("add")
def overrides_add(  # noqa: PLR0913, PLR0917 - each is an option of the command
    check: Annotated[str, typer.Option("--check", "-c", help="name of a check, such as feature_drift_psi")],
    asset: Annotated[str, typer.Option(help="path of an asset, or a shell pattern such as features/*")],
    approver: Approver,
    reason: Reason,
    expires: Annotated[str, typer.Option(help="last day on which it counts, such as 2026-12-31")],
    month: Annotated[
        list[str] | None, typer.Option("--month", "-m", help="a month such as 2016-05; may be repeated; default: all")
    ] = None,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
) -> None:
    """Sign an override: the failed check passes until the day of expiry, and its finding stays in the record.

    `finai recheck` applies the override to a stored asset.
    """
    place, platform = home_and_platform(dataset, profile, home)
    from finai_checks.catalogue import kind
    from finai_checks.framework.overrides import Grant, add_override, demand_key
    from finai_cli.run import lake_of
    from finai_resources.errors import ConfigError

    demand_key(platform.secrets)
    try:
        last = date.fromisoformat(expires)
    except ValueError as error:
        raise ConfigError(str(error), where="--expires", fix="for example 2026-12-31") from None
    months = tuple(parse_months(month or []))
    grant = Grant(kind(check).name, asset, months, approver, reason, last)
    row = add_override(lake_of(platform, place), platform.secrets, grant)
    told = styled("override ", (row.id, "bold"), f": {row.check} on {row.asset} until {row.expires}")
    Terminal().print(told, highlight=False)


@overrides_app.command("revoke")
def overrides_revoke(
    identity: Annotated[str, typer.Argument(help="id of the override, from `finai overrides list`")],
    approver: Approver,
    reason: Reason,
    dataset: Dataset = "synthetic",
    profile: Profile = "demo",
    home: HomeOption = None,
) -> None:
    """End an override before its last day."""
    place, platform = home_and_platform(dataset, profile, home)
    from finai_checks.framework.overrides import demand_key, revoke_override
    from finai_cli.run import lake_of

    demand_key(platform.secrets)
    lake = lake_of(platform, place)
    revoke_override(lake, platform.secrets, identity, approver=approver, reason=reason)
    Terminal().print(styled("override ", (identity, "bold"), " is revoked"), highlight=False)


@overrides_app.command("list")
def overrides_list(
    dataset: Dataset = "synthetic", profile: Profile = "demo", home: HomeOption = None, as_json: AsJson = False
) -> None:
    """List all overrides with their state today; without FINAI_OVERRIDE_KEY none can be verified."""
    place, platform = home_and_platform(dataset, profile, home)
    from finai_checks.framework.overrides import Overrides
    from finai_cli.run import lake_of

    found = Overrides.read(lake_of(platform, place), platform.secrets)
    if found.fault:
        fault = f" in the log of overrides; no override counts: {found.fault}"
        Terminal(stderr=True).print(styled(("fault", "bold red"), fault))
        raise typer.Exit(1)
    rows = found.rows
    if as_json:
        listed = [{"id": row.override.id, "state": row.state, **row.override.as_dict()} for row in rows]
        print_json(listed)
        return
    table = Table(title="Overrides", title_justify="left")
    for name in ("id", "state", "check", "asset", "months", "approver", "reason", "expires"):
        table.add_column(name, overflow="fold")
    for row in rows:
        told = row.override
        months = ", ".join(told.months) or "all"
        table.add_row(told.id, row.state, told.check, told.asset, months, told.approver, told.reason, str(told.expires))
    Terminal().print(table)
