"""The plan of the main job: stages of units, each a job on assets of one partition, and the stale assets of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from finai_assets.asset_graph import JOBS, Job, Partitions
from finai_assets.partitions import is_mature
from finai_assets.platform import Platform
from finai_checks.framework.check import Declared
from finai_checks.framework.record import has_passed, read_record
from finai_resources.lake import Lake
from finai_resources.manifest import address
from finai_resources.months import Month


@dataclass(frozen=True)
class Unit:
    """Assets that one run of a job materialises, for one month or for none."""

    job: str
    assets: tuple[str, ...]
    month: Month | None = None

    @property
    def partition(self) -> str | None:
        """Return the name of the partition in the lake."""
        return self.month.key if self.month else None


@dataclass(frozen=True)
class Stage:
    """A part of the main job, as ``finai run`` names it."""

    name: str
    title: str
    units: tuple[Unit, ...]


def main_job(platform: Platform) -> list[Stage]:
    """Return all stages of the main job in order, up to date or not."""
    return [Stage(job.stage, job.title, tuple(_units(platform, job))) for job in JOBS if job.stage]


def _units(platform: Platform, job: Job) -> list[Unit]:
    paths = platform.graph.in_groups(job.groups)
    kind, dataset = platform.graph[paths[0]].partitions, platform.settings.dataset
    if kind is Partitions.NONE:
        return [Unit(job.name, paths)]
    months = list(dataset.raw_months if kind is Partitions.RAW else dataset.snapshot_months)
    if job.months == "mature":
        months = [month for month in months if is_mature(month, platform.settings)]
    return [Unit(job.name, paths, month) for month in (months[-1:] if job.months == "last" else months)]


def stale_assets(
    lake: Lake, platform: Platform, unit: Unit, checks: list[Declared], damaged: Collection[str] = ()
) -> list[str]:
    """Return the stale assets of a unit, in order.

    An asset is stale if it is missing or damaged, was made by another code version, config version or upstream content, or has
    no passed record of a blocking check; so are the assets of the unit that read it.

    Parameters
    ----------
    damaged
        Addresses of partitions that are not to be used although nothing shows it yet.
    """
    stale = [
        path
        for path in unit.assets
        if address(path, unit.partition) in damaged
        or not platform.graph.is_current(lake, path, unit.partition)
        or not all(has_passed(lake, check, unit.partition) for check in _of(checks, path, blocking=True))
    ]
    return platform.graph.downstream(stale, unit.assets)


def outdated_checks(lake: Lake, platform: Platform, unit: Unit, checks: list[Declared]) -> list[Declared]:
    """Return the checks that have no record for a current asset's content by their present thresholds and code."""
    return [
        check
        for path in unit.assets
        if platform.graph.is_current(lake, path, unit.partition)
        for check in _of(checks, path)
        if unit.month is None or unit.month in (check.months or ())
        if read_record(lake, check, unit.partition) is None
    ]


def _of(checks: list[Declared], path: str, *, blocking: bool = False) -> list[Declared]:
    """Return the checks of an asset that belong to every run."""
    return [c for c in checks if c.asset == path and not c.kind.audit and (c.blocking or not blocking)]
