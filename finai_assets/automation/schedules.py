"""The monthly schedules, which a person switches on in the UI: scoring, and the look at what is fresh."""

from collections.abc import Sequence

import dagster as dg

from finai_assets.asset_graph import RECOMMENDATIONS, SCORED_BY
from finai_assets.automation.freshness import FRESHNESS_JOB
from finai_assets.automation.wants import SCORE, last_month_with_features
from finai_assets.bundle.registry import scoring
from finai_assets.platform import Platform
from finai_resources.errors import FinaiError
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource

MONTHLY = "monthly_scoring"


def build_monthly_schedules(
    platform: Platform, jobs: "Sequence[dg.UnresolvedAssetJobDefinition]", *, freshness: bool
) -> list[dg.ScheduleDefinition]:
    """Return the schedules of a data set: none that has no job."""
    rules = platform.settings.automation
    found = [_scoring(platform, job) for job in jobs if job.name == SCORE]
    if freshness:
        found.append(
            dg.ScheduleDefinition(
                name="monthly_freshness",
                job_name=FRESHNESS_JOB,
                cron_schedule=rules.freshness_cron,
                execution_timezone=rules.timezone,
                description="Asks at the deadline whether the month that ended is there.",
            )
        )
    return found


def _scoring(platform: Platform, job: "dg.UnresolvedAssetJobDefinition") -> dg.ScheduleDefinition:
    rules = platform.settings.automation

    @dg.schedule(
        name=MONTHLY,
        job=job,
        cron_schedule=rules.scoring_cron,
        execution_timezone=rules.timezone,
        description="Recommends products for the last month that has all its features.",
    )
    def monthly_scoring(_context: dg.ScheduleEvaluationContext, lake: LakeResource) -> dg.RunRequest | dg.SkipReason:
        return score_last_month(platform, lake.open())

    return monthly_scoring


def score_last_month(platform: Platform, lake: Lake) -> dg.RunRequest | dg.SkipReason:
    """Return the request to score the last month that has all its features, or why there is nothing to score."""
    month = last_month_with_features(platform, lake)
    if month is None:
        return dg.SkipReason("no month has all its features: run monthly_features first")
    try:
        bundle = scoring(lake)
    except FinaiError as error:
        return dg.SkipReason(f"nothing can score: {str(error).splitlines()[0]}")
    stored = lake.find(RECOMMENDATIONS, month.key)
    if stored is not None and stored.extra.get(SCORED_BY) == bundle and platform.graph.is_current(
        lake, RECOMMENDATIONS, month.key
    ):  # fmt: skip
        return dg.SkipReason(f"{month} is scored by {bundle}, from what is stored now")
    return dg.RunRequest(partition_key=month.partition_key, tags={"finai/why": f"scheduled scoring of {month}"})
