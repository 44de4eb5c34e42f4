"""``finai run``: the main job on one data set, with progress, resumable, and a summary at the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console

from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import Declared
from finai_cli.display import Display, display
from finai_cli.execute import Runner, dagster_instance
from finai_cli.meter import Meter
from finai_cli.plan import Stage, Unit, main_job, outdated_checks, stale_assets
from finai_cli.repair import damaged_partitions, repairing
from finai_cli.summary import write_summary
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.leases import leased
from finai_resources.quarantine import Damage
from finai_resources.warehouse import rebuild


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
    damages = damaged_partitions(lake, platform.graph, stages, console)
    if dry_run:
        _print_plan(lake, platform, stages, checks, damages, console)
        return {}
    with dagster_instance(home) as instance, display(console) as show:
        runner = Runner(platform, home, lake, instance)
        reports = repairing(
            lake,
            damages,
            lambda: [_run_stage(stage, runner, checks, show) for stage in stages],
            lambda: damaged_partitions(lake, platform.graph, stages, console),
        )
    if lake.is_local and any(report.ran for report in reports):
        rebuild(lake, home.warehouse)
    return write_summary(platform, home, lake, checks, [vars(report) for report in reports])


def lake_of(platform: Platform, home: Home) -> Lake:
    """Open the lake that the definitions of this platform use."""
    from finai_assets.definitions import default_resources

    resource = default_resources(platform.settings, home)["lake"]
    assert isinstance(resource, LakeResource)  # noqa: S101 - that is what the definitions put there
    return resource.open()


def _run_stage(stage: Stage, runner: Runner, checks: list[Declared], show: Display) -> StageReport:
    ran = 0
    with show(stage.title, len(stage.units), 0) as shown:
        with Meter() as meter:
            for unit in stage.units:
                if _todo(unit, runner, checks) != ([], []):
                    shown.note(unit.partition or "")
                    ran += _bring_up_to_date(unit, runner, checks)
                shown.advance()
        skipped = len(stage.units) - ran
        note = f"peak {meter.figures()['peak_mib']:.0f} MiB" if ran else ""
        shown.note(", ".join(filter(None, [note, f"{skipped} up to date" if skipped else ""])))
    return StageReport(stage.name, len(stage.units), ran, meter.figures())


def _todo(unit: Unit, runner: Runner, checks: list[Declared]) -> tuple[list[Declared], list[str]]:
    """Return the checks to evaluate on what is stored, and the stale assets."""
    outdated = outdated_checks(runner.lake, runner.platform, unit, checks)
    return outdated, stale_assets(runner.lake, runner.platform, unit, checks)


def _bring_up_to_date(unit: Unit, runner: Runner, checks: list[Declared]) -> bool:
    """Evaluate what has to be evaluated and compute what is stale, alone on these partitions; return whether a job ran."""
    with leased(runner.lake, [(asset, unit.partition) for asset in unit.assets]):
        outdated = outdated_checks(runner.lake, runner.platform, unit, checks)  # another run may just have ended
        if outdated:
            runner.judge(unit, outdated)
        stale = stale_assets(runner.lake, runner.platform, unit, checks)
        if stale:
            runner.run(unit, stale, checks)
        return bool(stale)


def _print_plan(
    lake: Lake,
    platform: Platform,
    stages: list[Stage],
    checks: list[Declared],
    damages: list[Damage],
    console: Console,
) -> None:
    damaged = {damage.address for damage in damages}
    for stage in stages:
        stale: list[tuple[Unit, list[str]]] = [
            (unit, stale_assets(lake, platform, unit, checks, damaged)) for unit in stage.units
        ]
        todo = [(unit, assets) for unit, assets in stale if assets]
        judged = sum(len(outdated_checks(lake, platform, unit, checks)) for unit in stage.units)
        recheck = f", {judged} checks of stored assets" if judged else ""
        console.print(f"[bold]{stage.title}[/]: {len(todo)} of {len(stage.units)} runs{recheck}")
        for unit, assets in todo[:3]:
            named = ", ".join(assets[:4]) + (f" and {len(assets) - 4} more" if len(assets) > 4 else "")
            console.print(f"  {unit.partition or 'once':<8} {named}")
        if len(todo) > 3:
            console.print(f"  ... and {len(todo) - 3} more months")
