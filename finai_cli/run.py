"""``finai run``: the main job on one data set, with progress, resumable, and a summary at the end."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from finai_assets.ingest.source_changes import SourceChanges, source_changes
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import Declared
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.framework.ledger import Ledger
from finai_cli.display import Display, display
from finai_cli.execute import Runner, dagster_instance
from finai_cli.meter import Meter
from finai_cli.output import styled
from finai_cli.plan import Stage, Unit, made_from, main_job, outdated_checks, stale_assets
from finai_cli.repair import damaged_partitions, repairing
from finai_cli.summary import write_summary
from finai_resources.errors import PartError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.leases import leased
from finai_resources.manifest import address
from finai_resources.quarantine import Damage
from finai_resources.secrets import SecretStore
from finai_resources.warehouse import rebuild, shows


@dataclass
class StageReport:
    """How many runs a stage had, of how many units, and what they cost."""

    name: str
    units: int
    ran: int
    figures: dict[str, float]


def run_main_job(platform: Platform, home: Home, console: Console, *, dry_run: bool = False) -> dict[str, Any]:
    """Bring every asset of the main job up to date, and return the summary.

    Parameters
    ----------
    dry_run
        Print the stale assets by stage, and compute nothing.
    """
    checks = declared_checks(platform)
    stages = main_job(platform)
    lake = lake_of(platform, home)
    secrets = platform.secrets or SecretStore(home.root)
    damages = damaged_partitions(lake, platform.graph, stages, console)
    cache = home.cache if home.root.is_dir() or not dry_run else None
    changes = source_changes(platform.graph, lake, secrets, cache)
    for note in changes.notes:
        console.print(styled(("note", "yellow"), f" {note}"), soft_wrap=True)
    if dry_run:
        _print_plan(Ledger(lake, platform.secrets), platform, stages, checks, changes, damages, console)
        return {}
    with dagster_instance(home) as instance, display(console) as show:
        runner = Runner(platform, home, lake, instance)
        try:
            reports = repairing(
                lake,
                secrets,
                damages,
                lambda: [_run_stage(stage, runner, checks, show, changes.altered) for stage in stages],
                lambda: damaged_partitions(lake, platform.graph, stages, console),
            )
        finally:
            evidence_log(lake, platform.secrets).anchor()
        if unproved := len(runner.ledger.disbelieved):
            console.print(
                f"{unproved:,} records of checks were not signed by this home's key: these checks were asked again"
            )
    if lake.is_local and (any(report.ran for report in reports) or not shows(lake, home.warehouse)):
        rebuild(lake, home.warehouse)
    return write_summary(platform, home, runner.ledger, checks, [vars(report) for report in reports])


def lake_of(platform: Platform, home: Home) -> Lake:
    """Open the lake that the definitions of this platform use."""
    from finai_assets.definitions import default_resources

    resource = default_resources(platform.settings, home)["lake"]
    assert isinstance(resource, LakeResource)  # noqa: S101 - that is what the definitions put there
    return resource.open()


def _run_stage(
    stage: Stage, runner: Runner, checks: list[Declared], show: Display, altered: Collection[str] = ()
) -> StageReport:
    ran = 0
    failed: list[PartError] = []
    with show(stage.title, len(stage.units), 0) as shown:
        with Meter() as meter:
            for unit in stage.units:
                if _todo(unit, runner, checks, altered) != ([], []):
                    shown.note(unit.partition or "")
                    try:
                        ran += _bring_up_to_date(unit, runner, checks, altered)
                    except (
                        PartError
                    ) as error:  # the month's other assets are stored, and no other month waits for this one
                        failed.append(error)
                shown.advance()
        skipped = len(stage.units) - ran
        note = f"peak {meter.figures()['peak_mib']:.0f} MiB" if ran else ""
        shown.note(", ".join(filter(None, [note, f"{skipped} up to date" if skipped else ""])))
    if failed:
        raise failed[0] if len(failed) == 1 else PartError("\n".join(str(error) for error in failed))
    return StageReport(stage.name, len(stage.units), ran, meter.figures())


def _todo(
    unit: Unit, runner: Runner, checks: list[Declared], altered: Collection[str]
) -> tuple[list[Declared], list[str]]:
    """Return the checks to evaluate on what is stored, and the stale assets."""
    stale = stale_assets(runner.lake, runner.platform, unit, checks, altered)
    # What is computed anew is checked then; a check of it now might fail for what it is made from.
    kept = [check for check in checks if check.asset not in stale]
    return outdated_checks(runner.ledger, runner.platform, unit, kept, altered), stale


def _bring_up_to_date(unit: Unit, runner: Runner, checks: list[Declared], altered: Collection[str]) -> bool:
    """Evaluate what has to be evaluated and compute what is stale, alone on these partitions; return whether a job ran."""
    with leased(runner.lake, [(asset, unit.partition) for asset in unit.assets]):
        outdated, stale = _todo(unit, runner, checks, altered)  # another run may just have ended
        if outdated:
            runner.judge(unit, outdated)
            runner.raise_for_checks(unit, [check.asset for check in outdated], checks)
        if stale:
            try:
                runner.run(unit, stale, checks)
            except PartError:  # behind a failed step Dagster evaluates no check, also of what the step has stored
                runner.judge(unit, _todo(unit, runner, checks, altered)[0])
                raise
        return bool(stale)


def _print_plan(
    ledger: Ledger,
    platform: Platform,
    stages: list[Stage],
    checks: list[Declared],
    changes: SourceChanges,
    damages: list[Damage],
    console: Console,
) -> None:
    lake, altered = ledger.lake, {*changes.altered, *(damage.address for damage in damages)}
    for stage in stages:
        todo: list[tuple[Unit, list[str]]] = []
        judged = 0
        for unit in stage.units:
            if altered:
                altered |= made_from(lake, unit, altered)
            if assets := stale_assets(lake, platform, unit, checks, altered):
                todo.append((unit, assets))
            judged += len(outdated_checks(ledger, platform, unit, checks, altered))
        recheck = f", {judged} checks of stored assets" if judged else ""
        console.print(styled((stage.title, "bold"), f": {len(todo)} of {len(stage.units)} runs{recheck}"))
        for unit, assets in todo[:3]:
            named = ", ".join(assets[:4]) + (f" and {len(assets) - 4} more" if len(assets) > 4 else "")
            console.print(f"  {unit.partition or 'once':<8} {named}")
            for path in assets:
                if why := changes.altered.get(address(path, unit.partition)):
                    console.print(f"           {' '.join(filter(None, (path, unit.partition)))}: {why}", soft_wrap=True)
        if len(todo) > 3:
            console.print(f"  ... and {len(todo) - 3} more months")
