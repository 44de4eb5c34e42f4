"""What ``finai backfill`` does: months of the assets that have months, side by side, and only what is stale of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from rich.console import Console

from finai_assets.asset_graph import JOBS, Job, Partitions, group_asset
from finai_assets.partitions import existing_months
from finai_assets.platform import Platform
from finai_cli.plan import Stage, Unit
from finai_cli.run import bring_up_to_date
from finai_resources.errors import ConfigError
from finai_resources.home import Home
from finai_resources.months import Month

USUAL = ("ingest", "features", "labels")  # the stages that are filled where nothing is named


def backfilled(
    platform: Platform,
    home: Home,
    console: Console,
    stages: Sequence[Stage],
    *,
    workers: int,
    dry_run: bool,
) -> dict[str, Any]:
    """Compute what is stale of some stages, and return what each had to do; nothing where it was a dry run."""
    done = bring_up_to_date(platform, home, console, list(stages), workers=workers, dry_run=dry_run)
    return {} if done is None else {"stages": [vars(report) for report in done.reports]}


def months_to_fill(
    platform: Platform,
    first: Month | None,
    last: Month | None,
    groups: Iterable[str] = (),
    assets: Iterable[str] = (),
) -> list[Stage]:
    """Return the stages whose months lie in a range, with the named assets alone where any are named.

    Parameters
    ----------
    first, last
        Ends of the range, both included; None: as far as the months reach.
    groups
        Feature groups.
    assets
        Paths of assets that have months.

    Raises
    ------
    ConfigError
        A name is unknown or has no months, or no month of them lies in the range.
    """
    paths = set(_known(platform, groups, assets))
    stages = []
    for job in JOBS:
        there = platform.graph.in_groups(job.groups)
        chosen = tuple(path for path in there if path in paths) if paths else there
        if not chosen or not _has_months(platform, chosen[0]) or (not paths and job.stage not in USUAL):
            continue
        months = [month for month in _months(platform, chosen[0]) if _lies_in(month, first, last)]
        # What one computation writes is written together, whichever of it was named.
        whole = there if platform.graph[chosen[0]].together else chosen
        stages.append(Stage(job.stage or job.name, job.title, _units(job, whole, months)))
    if not any(stage.units for stage in stages):
        everything = sorted({month for path in paths or _with_months(platform) for month in _months(platform, path)})
        raise ConfigError(
            f"no month lies in {first or everything[0]}..{last or everything[-1]}",
            where="--from, --to",
            fix=f"the months are {everything[0]}..{everything[-1]}",
        )
    return [stage for stage in stages if stage.units]


def _units(job: Job, paths: tuple[str, ...], months: Iterable[Month]) -> tuple[Unit, ...]:
    return tuple(Unit(job.name, paths, month, job.where) for month in months)


def _known(platform: Platform, groups: Iterable[str], assets: Iterable[str]) -> list[str]:
    """Return the paths of what is named; groups first."""
    features = {group.name: group_asset(group.name) for group in platform.registry.available}
    filled = _with_months(platform)
    return [
        *(features[_one_of(name, features, "feature group", "--group")] for name in groups),
        *(_one_of(path, filled, "asset with months", "--asset") for path in assets),
    ]


def _one_of(name: str, known: Iterable[str], what: str, where: str) -> str:
    names = sorted(known)
    if name in names:
        return name
    near = get_close_matches(name, names, 3, 0.5) or names[:3]
    raise ConfigError(f"there is no {what} {name!r}", where=where, fix=f"the nearest are {', '.join(near)}")


def _with_months(platform: Platform) -> list[str]:
    return [path for path in platform.graph.paths if _has_months(platform, path)]


def _has_months(platform: Platform, path: str) -> bool:
    return platform.graph[path].partitions is not Partitions.NONE


def _months(platform: Platform, path: str) -> list[Month]:
    return existing_months(platform.graph[path].partitions, platform.settings)


def _lies_in(month: Month, first: Month | None, last: Month | None) -> bool:
    return (first is None or month >= first) and (last is None or month <= last)
