"""The jobs that a person starts, in the UI or by ``finai run``: selections of the graph's groups.

Months are filled one a run, so that a check of a month is stored with its partition and blocks what follows in that month.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from finai_assets.asset_graph import JOBS, Job
from finai_assets.automation.specs import partitions_of
from finai_assets.platform import Platform

# Steps use both cores themselves (threads of kernels, torch, LightGBM), so that a run takes one step at a time.
EXECUTOR = dg.in_process_executor
AUDIT_JOB = "audit"


def build_jobs(
    platform: Platform, audit: Sequence[dg.AssetCheckKey] = (), beside: Sequence[dg.AssetChecksDefinition] = ()
) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the jobs of a data set: those that have an asset.

    Parameters
    ----------
    audit
        Checks that are too expensive for every run: they have a job of their own.
    beside
        Checks that judge the clock and not what a run computed: they have one too.
    """
    audited = dg.AssetSelection.checks(*audit)
    left_out = dg.AssetSelection.checks(*audit, *(key for each in beside for key in each.check_keys))
    jobs = [
        _job(job, platform, left_out if audit or beside else None)
        for job in JOBS
        if platform.graph.in_groups(job.groups)
    ]
    if audit:
        text = "Checks that are too expensive for every run: refits, and what each group really reads."
        jobs.append(dg.define_asset_job(AUDIT_JOB, audited, description=text, executor_def=EXECUTOR))
    return jobs


def _job(job: Job, platform: Platform, left_out: dg.AssetSelection | None) -> dg.UnresolvedAssetJobDefinition:
    selected: dg.AssetSelection = dg.AssetSelection.groups(*job.groups)
    return dg.define_asset_job(
        job.name,
        selected - left_out if left_out else selected,
        description=job.description,
        partitions_def=partitions_of(platform, platform.graph.in_groups(job.groups)[0]),
        executor_def=EXECUTOR,
    )
