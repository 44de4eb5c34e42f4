"""Freshness by partition: after each deadline, the month that ended before it is expected to be there.

Dagster's checks for partitions of time windows ask for the one expected partition, so that an old month that is backfilled makes
nothing fresh (``tests/dagster_behaviour/test_freshness.py``). They warn, block nothing, and run in a job of their own.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import dagster as dg

from finai_assets.asset_graph import RECOMMENDATIONS
from finai_assets.automation.jobs import EXECUTOR
from finai_assets.automation.specs import key_of
from finai_assets.platform import Platform

FRESHNESS_JOB = "freshness"


def build_freshness_checks(platform: Platform) -> Sequence[dg.AssetChecksDefinition]:
    """Return the checks on feature groups and on recommendations."""
    paths = [group.asset for group in platform.registry.available]
    paths += [RECOMMENDATIONS] if RECOMMENDATIONS in platform.graph else []
    if not paths:
        return ()
    rules = platform.settings.automation
    with warnings.catch_warnings():
        # Superseded by policies on assets, which a backfill of an old month turns green (design 10).
        warnings.simplefilter("ignore", dg.SupersessionWarning)
        return dg.build_time_partition_freshness_checks(
            assets=[key_of(path) for path in paths],
            deadline_cron=rules.freshness_cron,
            timezone=rules.timezone,
            severity=dg.AssetCheckSeverity.WARN,
        )


def freshness_job(checks: Sequence[dg.AssetChecksDefinition]) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the job that evaluates them; none where there are none."""
    keys = [key for each in checks for key in each.check_keys]
    if not keys:
        return []
    text = "Is the month that ended last there, of each feature group and of the recommendations?"
    selected = dg.AssetSelection.checks(*keys)
    return [dg.define_asset_job(FRESHNESS_JOB, selected, description=text, executor_def=EXECUTOR)]
