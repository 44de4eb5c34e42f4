"""What ``finai score`` does: one snapshot month, by the job that also scores the last month, and what that month needs."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from finai_assets.asset_graph import RECOMMENDATIONS, SCORED_BY, SNAPSHOTS, Job, Partitions
from finai_assets.bundle.registry import is_approved
from finai_assets.partitions import existing_months, look_back
from finai_assets.platform import Platform
from finai_assets.recommend.named_bundle import bundle_for
from finai_cli.plan import Stage, Unit
from finai_cli.run import bring_up_to_date, lake_of
from finai_cli.summary import nothing_offered, what_ends
from finai_resources.errors import ConfigError
from finai_resources.home import Home
from finai_resources.lake import Lake
from finai_resources.months import Month

_NEAR = 2  # months that an unknown one is told with


def scored(
    platform: Platform, home: Home, month: Month, bundle: str, *, replace: bool, console: Console, dry_run: bool
) -> dict[str, Any]:
    """Score a month, as far as it is stale, and return what is stored of it then; nothing where it was a dry run.

    Raises
    ------
    ConfigError
        The data set recommends nothing, or has no such month.
    BundleError
        There is no such bundle, or it may not score the month.
    """
    lake = lake_of(platform, home)
    stages = stages_of(platform, lake, month, bundle, replace=replace)
    done = bring_up_to_date(platform, home, console, stages, dry_run=dry_run)
    if done is None:
        return {}
    made = lake.manifest(RECOMMENDATIONS, month.key)
    return {
        "month": month.key,
        "bundle": made.extra[SCORED_BY],
        "approved": is_approved(lake, made.extra[SCORED_BY]),
        "customers": lake.manifest(SNAPSHOTS, month.key).rows,
        "rows": made.rows,
        "nothing_offered": nothing_offered(lake, month.key),
        "stages": [vars(report) for report in done.reports],
    }


def stages_of(platform: Platform, lake: Lake, month: Month, bundle: str, *, replace: bool) -> list[Stage]:
    """Return the raw months that a month looks back on, its features and its scores, up to date or not.

    States, models and the bundle are taken as they are stored: `finai run` makes these.
    """
    if RECOMMENDATIONS not in platform.graph:
        raise ConfigError(
            what_ends(platform) or "the data set recommends nothing",
            where=f"data set {platform.settings.dataset.name}",
            fix="score a data set that has products",
        )
    months = existing_months(Partitions.SNAPSHOT, platform.settings)
    if month not in months:
        near = sorted(sorted(months, key=lambda each: abs(each.ordinal - month.ordinal))[:_NEAR])
        raise ConfigError(
            f"{month} is no snapshot month: they are {months[0]}..{months[-1]}",
            where="--month",
            fix=f"the nearest are {', '.join(map(str, near))}",
        )
    named = bundle_for(lake, month, bundle, replace=replace) if bundle else ""
    graph, stages = platform.graph, []
    for name, due in (
        ("ingest_month", look_back(month, platform.settings)),
        ("monthly_features", [month]),
        ("score_month", [month]),
    ):
        job: Job = graph.job(name)
        scores = RECOMMENDATIONS in (paths := graph.in_groups(job.groups))
        units = [Unit(name, paths, each, bundle=named if scores else "", replace=replace and scores) for each in due]
        stages.append(Stage(job.stage, job.title, tuple(units)))
    return stages
