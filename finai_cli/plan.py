"""The plan of the main job: stages of units, each a job on assets of one partition, and the stale assets of each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from finai_assets.asset_graph import JOBS, PERMITTED, RECOMMENDATIONS, SCORED_BY, Job, Partitions
from finai_assets.bundle.registry import scoring
from finai_assets.partitions import existing_months
from finai_assets.platform import Platform
from finai_assets.recommend.score import CONSENT_CHECK
from finai_checks.framework.check import Declared
from finai_checks.framework.ledger import Ledger
from finai_checks.gates import permission_of
from finai_resources.lake import Lake
from finai_resources.manifest import address
from finai_resources.months import Month

Inputs = Callable[[str, str | None], dict[str, str]]  # what gives today's inputs of a partition


@dataclass(frozen=True)
class Unit:
    """Assets that one run of a job materialises, for one month or for none."""

    job: str
    assets: tuple[str, ...]
    month: Month | None = None
    where: str = ""  # the asset whose month must be stored; else there is nothing to do
    bundle: str = ""  # the bundle that scores, by id; empty for that of today
    replace: bool = False  # whether it may replace what another bundle made of the month

    @property
    def partition(self) -> str | None:
        """Return the name of the partition in the lake."""
        return self.month.key if self.month else None

    @property
    def made(self) -> str:
        """Return what errors call it: its first asset, or else its job, with the month, and how many more assets it has."""
        first, *more = self.assets or (self.job,)
        return address(first, self.partition) + (f" and {len(more)} more" if more else "")


@dataclass(frozen=True)
class Stage:
    """A part of the main job, as ``finai run`` names it."""

    name: str
    title: str
    units: tuple[Unit, ...]


def main_job(platform: Platform) -> list[Stage]:
    """Return all stages of the main job that have an asset in order, up to date or not."""
    jobs = [job for job in JOBS if job.stage and platform.graph.in_groups(job.groups)]
    return [Stage(job.stage, job.title, tuple(_units(platform, job))) for job in jobs]


def _units(platform: Platform, job: Job) -> list[Unit]:
    paths = platform.graph.in_groups(job.groups)
    kind = platform.graph[paths[0]].partitions
    if kind is Partitions.NONE:
        return [Unit(job.name, paths)]
    months = existing_months(kind, platform.settings)
    return [Unit(job.name, paths, month, job.where) for month in (months[-1:] if job.months == "last" else months)]


def parts_of(platform: Platform, unit: Unit, stale: Sequence[str], number: int) -> list[Unit]:
    """Return the stale assets of a unit in parts, each for a run of its own, those that most others wait for first.

    Assets that one operation computes stay together, but where their job lets them be apart: there they are dealt to ``number``
    parts. Where each part would wait for the one before, the unit stays whole.
    """
    graph, apart = platform.graph, platform.graph.job(unit.job).apart
    dealt: dict[tuple[str, int], list[str]] = {}
    beside: Counter[str] = Counter()
    for path in stale:
        operation = graph[path].op
        dealt.setdefault((operation, beside[operation] % number if apart else 0), []).append(path)
        beside[operation] += 1
    parts = [replace(unit, assets=tuple(paths)) for paths in dealt.values()]
    waits = waits_of(platform, parts)
    if all(place - 1 in waits[place] for place in range(1, len(parts))):
        return [replace(unit, assets=tuple(stale))]
    behind: list[set[int]] = [set() for _ in parts]
    for place in reversed(range(len(parts))):  # what is waited for stands before what waits
        for other in waits[place]:
            behind[other] |= {place} | behind[place]
    return sorted(parts, key=lambda part: -len(behind[parts.index(part)]))


def waits_of(platform: Platform, parts: Sequence[Unit]) -> list[set[int]]:
    """Return for each part of a unit the numbers of those that compute something it reads, or whose checks it asks."""
    made_by = {path: number for number, part in enumerate(parts) for path in part.assets}
    return [
        {made_by[read] for path in part.assets for read, _ in platform.graph.reads(path) if read in made_by} - {number}
        for number, part in enumerate(parts)
    ]


def inputs_today(lake: Lake, platform: Platform, checks: list[Declared], bundle: str = "") -> Inputs:
    """Return what gives today's inputs of recommendations: the bundle that scores, and who permits unknown consents how long.

    Parameters
    ----------
    bundle
        The id of a bundle that scores in the place of today's.
    """

    def found(path: str, partition: str | None) -> dict[str, str]:
        consent = [check for check in checks if check.name == CONSENT_CHECK and check.asset == RECOMMENDATIONS]
        permitted = [permission_of(lake, platform.secrets, check, partition) for check in consent]
        return {SCORED_BY: bundle or scoring(lake), PERMITTED: permitted[0] if permitted else ""}

    return found


def stale_assets(
    lake: Lake, platform: Platform, unit: Unit, checks: list[Declared], altered: Collection[str] = ()
) -> list[str]:
    """Return the stale assets of a unit, in order.

    An asset is stale if it is missing, or was made by another code version, config version or upstream content; so are the assets
    of the unit that read it. A check that failed does not make it stale: made again, it would be the same.

    Parameters
    ----------
    altered
        Addresses of partitions that are damaged, or that the source no longer agrees with, or that read one of these: stale too.
    """
    if unit.where and lake.find(unit.where, unit.partition) is None:
        return []
    inputs = inputs_today(lake, platform, checks, unit.bundle)
    stale = [path for path in unit.assets if not _is_current(lake, platform, path, unit.partition, inputs, altered)]
    return platform.graph.downstream(stale, unit.assets)


def _is_current(
    lake: Lake, platform: Platform, path: str, partition: str | None, inputs: Inputs, altered: Collection[str]
) -> bool:
    return address(path, partition) not in altered and platform.graph.is_current(lake, path, partition, inputs)


def made_from(lake: Lake, unit: Unit, altered: Collection[str]) -> set[str]:
    """Return the addresses of a unit's stored partitions that were made from altered ones, through others of the unit too."""
    found: set[str] = set()
    for path in unit.assets:
        manifest = lake.find(path, unit.partition)
        if manifest is not None and any(name in altered or name in found for name in manifest.upstream):
            found.add(address(path, unit.partition))
    return found


def outdated_checks(
    ledger: Ledger, platform: Platform, unit: Unit, checks: list[Declared], altered: Collection[str] = ()
) -> list[Declared]:
    """Return the checks to be asked again of current assets, which stay as they are.

    They are those without a record that counts (it is of other content, code or thresholds, not signed, not in the evidence log),
    and blocking ones that have failed, or whose override has ended: what they looked at beside the asset may be mended.
    """
    ledger.refresh()
    inputs = inputs_today(ledger.lake, platform, checks, unit.bundle)
    return [
        check
        for path in unit.assets
        if _is_current(ledger.lake, platform, path, unit.partition, inputs, altered)
        for check in checks
        if check.asset == path and not check.kind.audit and unit.partition in check.month_keys
        if not (found := ledger.standing(check, unit.partition)).has_passed
        if check.blocking or found.state != "failed"
    ]
