"""``finai run``: the main job on one data set, with progress, resumable, and a summary at the end."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from finai_assets.ingest.source_changes import SourceChanges, source_changes
from finai_assets.platform import Platform
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import Declared
from finai_checks.framework.evidence_log import evidence_log
from finai_checks.framework.ledger import Ledger
from finai_cli.display import Display, StageView, display
from finai_cli.execute import Prepared, Runner, dagster_instance
from finai_cli.meter import Meter
from finai_cli.output import styled
from finai_cli.plan import Stage, Unit, made_from, main_job, outdated_checks, parts_of, stale_assets, waits_of
from finai_cli.repair import damaged_partitions, repairing
from finai_cli.summary import write_summary
from finai_cli.workers import Work, Workers, working
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


def run_main_job(
    platform: Platform, home: Home, console: Console, *, dry_run: bool = False, workers: int = 1
) -> dict[str, Any]:
    """Bring every asset of the main job up to date, and return the summary.

    Parameters
    ----------
    dry_run
        Print the stale assets by stage, and compute nothing.
    workers
        Processes that compute months, and what does not wait for each other, side by side; their number alters no byte.
    """
    checks, stages = declared_checks(platform), main_job(platform)
    if dry_run:
        _plan_main_job(platform, home, stages, checks, console)
        return {}
    prepared = Prepared(platform, home)
    with working(workers, lambda: _worker(platform, home, prepared, checks)) as pool:
        return _run_stages(platform, home, prepared, stages, checks, console, pool)


def _plan_main_job(
    platform: Platform, home: Home, stages: list[Stage], checks: list[Declared], console: Console
) -> None:
    lake = lake_of(platform, home)
    damages = damaged_partitions(lake, platform.graph, stages, console)
    changes = _changes(platform, home, lake, home.cache if home.root.is_dir() else None, console)
    _print_plan(Ledger(lake, platform.secrets), platform, stages, checks, changes, damages, console)


def _changes(platform: Platform, home: Home, lake: Lake, cache: Path | None, console: Console) -> SourceChanges:
    secrets = platform.secrets or SecretStore(home.root)
    changes = source_changes(platform.graph, lake, secrets, cache)
    for note in changes.notes:
        console.print(styled(("note", "yellow"), f" {note}"), soft_wrap=True)
    return changes


def _run_stages(
    platform: Platform,
    home: Home,
    prepared: Prepared,
    stages: list[Stage],
    checks: list[Declared],
    console: Console,
    pool: Workers,
) -> dict[str, Any]:
    lake = lake_of(platform, home)
    damages = damaged_partitions(lake, platform.graph, stages, console)
    altered = _changes(platform, home, lake, home.cache, console).altered
    with dagster_instance(home) as instance, display(console) as show:
        runner = Runner(platform, home, lake, instance, prepared)
        try:
            reports = repairing(
                lake,
                platform.secrets or SecretStore(home.root),
                damages,
                lambda: [_run_stage(stage, runner, checks, show, pool, altered) for stage in stages],
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


@contextmanager
def _worker(platform: Platform, home: Home, prepared: Prepared, checks: list[Declared]) -> Iterator[Work]:
    """Open the home in a worker, and yield what brings a unit up to date there, but for checks that look at other months."""
    alone = [check for check in checks if not check.kind.compares_months]
    lake = lake_of(platform, home)
    with dagster_instance(home) as instance:
        runner = Runner(platform, home, lake, instance, prepared)
        yield lambda task: _bring_up_to_date(task[0], runner, alone, task[1])


def _run_stage(
    stage: Stage, runner: Runner, checks: list[Declared], show: Display, pool: Workers, altered: Collection[str] = ()
) -> StageReport:
    with show(stage.title, len(stage.units), 0) as shown:
        with Meter() as meter:
            counted = _side_by_side(stage, runner, checks, shown, pool, altered) if len(pool) else set()
            ran = set(counted)
            for unit in stage.units:
                still_altered = () if unit in ran else altered
                if _todo(unit, runner, checks, still_altered) != ([], []):
                    shown.note(unit.partition or "")
                    if _bring_up_to_date(unit, runner, checks, still_altered):
                        ran.add(unit)
                if unit not in counted:
                    shown.advance()
        skipped = len(stage.units) - len(ran)
        note = f"peak {meter.figures()['peak_mib']:.0f} MiB" if ran else ""
        shown.note(", ".join(filter(None, [note, f"{skipped} up to date" if skipped else ""])))
    return StageReport(stage.name, len(stage.units), len(ran), meter.figures())


def _side_by_side(
    stage: Stage,
    runner: Runner,
    checks: list[Declared],
    shown: StageView,
    pool: Workers,
    altered: Collection[str],
) -> set[Unit]:
    """Let workers compute what is stale, months beside each other or parts of one unit; return these units, counted as done.

    Nothing is done where there is only one thing to do. Checks that look at other months are left: they are asked when all months
    are there, so that what they see does not depend on which worker was faster.
    """
    alone = [check for check in checks if not check.kind.compares_months]
    stale = {unit: paths for unit in stage.units if (paths := _todo(unit, runner, alone, altered)[1])}
    tasks, waits = list(stale), [set[int]() for _ in stale]
    if len(stale) == 1:
        ((unit, paths),) = stale.items()
        tasks = parts_of(runner.platform, unit, paths, len(pool))
        waits = waits_of(runner.platform, tasks)
    if len(tasks) < 2:
        return set()
    if len(stale) == 1:  # a part asks the checks of what is not stale too
        with leased(runner.lake, [(asset, unit.partition) for asset in unit.assets]):
            _judge(unit, runner, alone, _todo(unit, runner, alone, altered)[0])
    under_way: dict[int, str] = {}

    def note(number: int, text: str) -> None:
        under_way[number] = text
        shown.note("; ".join(under_way.values()))

    def done(number: int, _: object) -> None:
        under_way.pop(number, None)
        shown.note(tasks[number].partition or "")
        if len(stale) > 1:
            shown.advance()

    pool.run([(task, frozenset(altered)) for task in tasks], after=lambda number: waits[number], done=done, note=note)
    if len(stale) == 1:
        shown.advance()
    return set(stale)


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
        _judge(unit, runner, checks, outdated)
        if stale:
            runner.run(unit, stale, checks)
        return bool(stale)


def _judge(unit: Unit, runner: Runner, checks: list[Declared], outdated: list[Declared]) -> None:
    if outdated:
        runner.judge(unit, outdated)
        runner.raise_for_checks(unit, [check.asset for check in outdated], checks)


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
