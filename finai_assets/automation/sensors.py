"""Sensors that look at the source: late data and new months. They are off until somebody switches them on in the UI."""

from collections.abc import Callable, Sequence

import dagster as dg

from finai_assets.asset_graph import SOURCE
from finai_assets.automation.requests import Wanted, requested
from finai_assets.automation.wants import FEATURES, INGEST, SCORE, late_months, new_months
from finai_assets.governance.schema_watch import Look, look
from finai_assets.platform import Platform
from finai_resources.chained_log import ChainedLog
from finai_resources.home_resource import HomeResource
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.warehouse_views import EVIDENCE

Found = tuple[list[Wanted], str]  # what is wanted, and why nothing is


def build_source_sensors(
    platform: Platform, jobs: "Sequence[dg.UnresolvedAssetJobDefinition]"
) -> list[dg.SensorDefinition]:
    """Return the sensors of a data set that reads a source; a generated panel has none."""
    if SOURCE in platform.graph:
        return []

    def late(lake: Lake, home: HomeResource, seen: Look) -> Found:
        return late_months(platform, lake, home.secrets(), home.path / "cache", seen)

    def new(lake: Lake, home: HomeResource, seen: Look) -> Found:
        return new_months(platform, lake, home.secrets(), seen)

    return [
        _sensor(
            platform,
            "late_data",
            "Loads the stored months again whose rows the source gives otherwise, exactly these.",
            [job for job in jobs if job.name == INGEST],
            late,
        ),
        _sensor(
            platform,
            "new_month",
            "Loads the months that the source has after the last stored one, computes their features, and scores the last.",
            [job for job in jobs if job.name in {INGEST, FEATURES, SCORE}],
            new,
        ),
    ]


def _sensor(
    platform: Platform,
    name: str,
    description: str,
    jobs: "Sequence[dg.UnresolvedAssetJobDefinition]",
    find: Callable[[Lake, HomeResource, Look], Found],
) -> dg.SensorDefinition:
    @dg.sensor(
        name=name,
        jobs=list(jobs),
        description=description,
        minimum_interval_seconds=platform.settings.automation.sensor_seconds,
    )
    def tick(context: dg.SensorEvaluationContext, lake: LakeResource, home: HomeResource) -> dg.SensorResult:
        opened = lake.open()
        seen = look(platform, opened, home.secrets(), home.path / "cache")
        if seen is None:
            return dg.SensorResult(skip_reason="no raw month is stored: `finai run` loads the first ones")
        wanted, why = find(opened, home, seen)
        return answer(context, opened, wanted, why)

    return tick


def answer(context: dg.SensorEvaluationContext, lake: Lake, wanted: Sequence[Wanted], why: str = "") -> dg.SensorResult:
    """Return what a tick answers: requests for what is newly wanted, or why there are none.

    Parameters
    ----------
    why
        Why nothing is wanted, where something stands in the way.
    """
    stamp = ChainedLog(lake, EVIDENCE).head().count
    requests, cursor = requested(wanted, context.cursor, stamp)
    if requests:
        return dg.SensorResult(run_requests=requests, cursor=cursor)
    waiting = f"requested before: {', '.join(each.name for each in wanted[:3])}" if wanted else "nothing has changed"
    return dg.SensorResult(skip_reason=why or waiting, cursor=cursor)
