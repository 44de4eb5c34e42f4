"""``finai run``: the main job on one data set, with progress, resumable, and a summary at the end."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from finai_assets.ingest.source_changes import SourceChanges, source_changes
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import Declared
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.framework.ledger import Ledger
from finai_cli.display import display
from finai_cli.execute import Prepared, Runner, dagster_instance
from finai_cli.output import print_notes, styled
from finai_cli.plan import Stage, Unit, made_from, main_job, outdated_checks, stale_assets
from finai_cli.repair import damaged_partitions, repairing
from finai_cli.stages import StageReport, run_stage, unit_worker
from finai_cli.summary import write_summary
from finai_cli.workers import Workers, working
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.manifest import address
from finai_resources.quarantine import Damage
from finai_resources.secrets import SecretStore
from finai_resources.warehouse import rebuild, shows


class Done(NamedTuple):
    """What was done in each stage, and the verdicts on what is stored then."""

    reports: list[StageReport]
    ledger: Ledger
    checks: list[Declared]


def run_main_job(
    platform: Platform, home: Home, console: Console, *, dry_run: bool = False, workers: int = 1
) -> dict[str, Any]:
    """Bring every asset of the main job up to date, and return the summary.

    Parameters
    ----------
    dry_run
        Print the stale assets by stage, and compute nothing.
    workers
        Processes that compute side by side what does not wait for each other; their number alters no byte.
    """
    done = bring_up_to_date(platform, home, console, main_job(platform), dry_run=dry_run, workers=workers)
    if done is None:
        return {}
    return write_summary(platform, home, done.ledger, done.checks, [vars(report) for report in done.reports])


def bring_up_to_date(
    platform: Platform, home: Home, console: Console, stages: list[Stage], *, dry_run: bool = False, workers: int = 1
) -> Done | None:
    """Compute what is stale of some stages; None where that was only printed.

    Parameters
    ----------
    dry_run
        Print the stale assets by stage, and compute nothing.
    workers
        Processes that compute side by side what does not wait for each other.
    """
    checks = declared_checks(platform)
    if dry_run:
        lake = lake_of(platform, home)
        damages = damaged_partitions(lake, platform.graph, stages, console)
        changes = _source_changes(platform, home, lake, home.cache if home.root.is_dir() else None, console)
        _print_plan(Ledger(lake, platform.secrets), platform, stages, checks, changes, damages, console)
        return None
    prepared = Prepared(platform, home)
    worker = partial(unit_worker, platform, home, partial(lake_of, platform, home), prepared, checks)
    with working(workers if _is_closed(platform, home) else 1, worker) as pool:
        return _run_stages(platform, home, prepared, stages, checks, console, pool)


def _is_closed(platform: Platform, home: Home) -> bool:
    """Return whether no connection to S3 is open, which a fork would break: where months go on, one was asked for them."""
    return not (home.lake_root.startswith("s3://") and platform.settings.dataset.raw_months.goes_on)


def _source_changes(platform: Platform, home: Home, lake: Lake, cache: Path | None, console: Console) -> SourceChanges:
    changes = source_changes(platform.graph, lake, platform.secrets or SecretStore(home.root), cache)
    print_notes(changes.notes, console)
    return changes


def _run_stages(
    platform: Platform,
    home: Home,
    prepared: Prepared,
    stages: list[Stage],
    checks: list[Declared],
    console: Console,
    pool: Workers,
) -> Done:
    lake = lake_of(platform, home)
    damages = damaged_partitions(lake, platform.graph, stages, console)
    altered = _source_changes(platform, home, lake, home.cache, console).altered
    with dagster_instance(home) as instance, display(console) as show:
        runner = Runner(platform, home, lake, instance, prepared)
        try:
            reports = repairing(
                lake,
                platform.secrets or SecretStore(home.root),
                damages,
                lambda: [run_stage(stage, runner, checks, show, pool, altered) for stage in stages],
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
    return Done(reports, runner.ledger, checks)


def lake_of(platform: Platform, home: Home) -> Lake:
    """Open the lake that the definitions of this platform use."""
    from finai_assets.definitions import default_resources

    resource = default_resources(platform.settings, home)["lake"]
    assert isinstance(resource, LakeResource)  # noqa: S101 - that is what the definitions put there
    return resource.open()


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
