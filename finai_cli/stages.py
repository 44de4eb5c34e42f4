"""Brings the units of a stage up to date: one after the other, or side by side where there are workers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from finai_assets.platform import Platform
from finai_checks.framework.check import Declared
from finai_cli.display import Display, StageView
from finai_cli.execute import Prepared, Runner, dagster_instance
from finai_cli.meter import Meter
from finai_cli.plan import Stage, Unit, outdated_checks, parts_of, stale_assets, waits_of
from finai_cli.workers import Work, Workers
from finai_resources.errors import PartError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.leases import leased
from finai_resources.storage_errors import told_with


@dataclass
class StageReport:
    """How many runs a stage had, of how many units, and what they cost."""

    name: str
    units: int
    ran: int
    figures: dict[str, float]


@contextmanager
def unit_worker(
    platform: Platform, home: Home, lake_of: Callable[[], Lake], prepared: Prepared, checks: list[Declared]
) -> Iterator[Work]:
    """Open the home in a worker, and yield what brings a unit up to date there, but for checks that look at other months."""
    alone = [check for check in checks if not check.kind.compares_months]
    lake = lake_of()
    with dagster_instance(home) as instance:
        runner = Runner(platform, home, lake, instance, prepared)
        yield lambda task: _attempt(task[0], runner, alone, task[1])


def run_stage(
    stage: Stage, runner: Runner, checks: list[Declared], show: Display, pool: Workers, altered: Collection[str] = ()
) -> StageReport:
    """Compute what is stale of a stage, ask what has to be asked, and return what it took."""
    with show(stage.title, len(stage.units), 0) as shown:
        with Meter() as meter:
            counted, failed = _side_by_side(stage, runner, checks, shown, pool, altered) if len(pool) else (set(), {})
            ran = set(counted)
            for unit in stage.units:
                still_altered = () if unit in ran else altered
                if unit not in failed and _todo(unit, runner, checks, still_altered) != ([], []):
                    shown.note(unit.partition or "")
                    done = _attempt(unit, runner, checks, still_altered)
                    if isinstance(done, PartError):
                        failed[unit] = done
                    elif done:
                        ran.add(unit)
                if unit not in counted:
                    shown.advance()
        skipped = len(stage.units) - len(ran)
        note = f"peak {meter.figures()['peak_mib']:.0f} MiB" if ran else ""
        shown.note(", ".join(filter(None, [note, f"{skipped} up to date" if skipped else ""])))
    if failed:
        errors = [failed[unit] for unit in stage.units if unit in failed]
        raise errors[0] if len(errors) == 1 else PartError("\n".join(map(str, errors)))
    return StageReport(stage.name, len(stage.units), len(ran), meter.figures())


def _side_by_side(
    stage: Stage,
    runner: Runner,
    checks: list[Declared],
    shown: StageView,
    pool: Workers,
    altered: Collection[str],
) -> tuple[set[Unit], dict[Unit, PartError]]:
    """Let workers compute what is stale, months beside each other or parts of one unit.

    Return these units, which are counted as done, and what failed in some of them.

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
        return set(), {}
    if len(stale) == 1:  # a part asks the checks of what is not stale too
        with leased(runner.lake, [(asset, unit.partition) for asset in unit.assets]):
            _judge(unit, runner, alone, _todo(unit, runner, alone, altered)[0])
    under_way: dict[int, str] = {}
    finished: set[int] = set()
    failed: dict[Unit, PartError] = {}

    def ended() -> list[str]:
        return [f"{len(finished)} of {len(tasks)} parts"] if len(stale) == 1 else []

    def note(number: int, text: str) -> None:
        under_way[number] = text
        shown.note("; ".join([*ended(), *under_way.values()]))

    def done(number: int, result: bool | PartError) -> None:
        under_way.pop(number, None)
        if isinstance(result, PartError):
            failed[next(unit for unit in stale if unit.month == tasks[number].month)] = result
        if len(stale) > 1:
            shown.advance()
        finished.add(number)
        shown.note("; ".join(filter(None, [*ended(), tasks[number].partition])))

    pool.run([(task, frozenset(altered)) for task in tasks], after=lambda number: waits[number], done=done, note=note)
    if len(stale) == 1:
        shown.advance()
    return set(stale), failed


def _todo(
    unit: Unit, runner: Runner, checks: list[Declared], altered: Collection[str]
) -> tuple[list[Declared], list[str]]:
    """Return the checks to evaluate on what is stored, and the stale assets."""
    with told_with(unit.made):
        stale = stale_assets(runner.lake, runner.platform, unit, checks, altered)
        # What is computed anew is checked then; a check of it now might fail for what it is made from.
        kept = [check for check in checks if check.asset not in stale]
        return outdated_checks(runner.ledger, runner.platform, unit, kept, altered), stale


def _attempt(unit: Unit, runner: Runner, checks: list[Declared], altered: Collection[str]) -> bool | PartError:
    """Bring a unit up to date; return the error where a part of it alone failed, as no other month waits for that."""
    try:
        with told_with(unit.made):
            return _bring_up_to_date(unit, runner, checks, altered)
    except PartError as error:
        return error


def _bring_up_to_date(unit: Unit, runner: Runner, checks: list[Declared], altered: Collection[str]) -> bool:
    """Evaluate what has to be evaluated and compute what is stale, alone on these partitions; return whether a job ran."""
    with leased(runner.lake, [(asset, unit.partition) for asset in unit.assets]):
        outdated, stale = _todo(unit, runner, checks, altered)  # another run may just have ended
        _judge(unit, runner, checks, outdated)
        if stale:
            try:
                runner.run(unit, stale, checks)
            except PartError:  # behind a failed step Dagster evaluates no check, also of what the step has stored
                runner.judge(unit, _todo(unit, runner, checks, altered)[0])
                raise
        return bool(stale)


def _judge(unit: Unit, runner: Runner, checks: list[Declared], outdated: list[Declared]) -> None:
    if outdated:
        runner.judge(unit, outdated)
        runner.raise_for_checks(unit, [check.asset for check in outdated], checks)
