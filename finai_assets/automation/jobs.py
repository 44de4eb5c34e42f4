"""The jobs that a person starts, in the UI or by ``finai run``.

Months are filled one a run, so that a check of a month is stored with its partition and blocks what follows in that month.
"""

from __future__ import annotations

from collections.abc import Sequence

import dagster as dg

from finai_assets.bundle.assets import BUNDLE_ASSET
from finai_assets.features.assets import snapshot_partitions, state_asset
from finai_assets.ingest.assets import CATALOGUE_ASSETS, MONTHLY_ASSETS, SOURCE_ASSET, raw_partitions
from finai_assets.labels.assets import SPLITS_ASSET
from finai_assets.platform import Platform
from finai_assets.recommend.assets import RECOMMENDATIONS_ASSET
from finai_assets.students.assets import student_asset
from finai_assets.teacher.assets import (
    EVALUATION_ASSET,
    EXPLANATIONS_ASSET,
    MATRIX_ASSET,
    PREDICTIONS_ASSET,
    TEACHER_ASSET,
)

# Steps use both cores themselves (threads of kernels, torch, LightGBM), so that a run takes one step at a time.
EXECUTOR = dg.in_process_executor


AUDIT_JOB = "audit"


def _job(
    name: str, selection: dg.AssetSelection, description: str, partitions: dg.PartitionsDefinition | None = None
) -> dg.UnresolvedAssetJobDefinition:
    return dg.define_asset_job(
        name, selection, description=description, partitions_def=partitions, executor_def=EXECUTOR
    )


def build_jobs(platform: Platform, audit: Sequence[dg.AssetCheckKey] = ()) -> list[dg.UnresolvedAssetJobDefinition]:
    """Return the jobs of a data set.

    Parameters
    ----------
    audit
        Checks that are too expensive for every run: they have a job of their own.
    """
    apart = dg.AssetSelection.checks(*audit)

    def chosen(paths: list[str]) -> dg.AssetSelection:
        found = dg.AssetSelection.assets(*(path.split("/") for path in paths))
        return found - apart if audit else found

    groups = [group.asset for group in platform.registry.available]
    states = [state_asset(group) for group in platform.registry.available]
    labels = [task.asset for task in platform.available_tasks]
    students = [student_asset(task) for task in platform.available_tasks]
    source = [SOURCE_ASSET] if platform.settings.dataset.adapter == "synthetic" else []
    months = snapshot_partitions(platform)
    teacher = [MATRIX_ASSET, TEACHER_ASSET, PREDICTIONS_ASSET, EVALUATION_ASSET, EXPLANATIONS_ASSET]
    jobs = [
        _job(
            "source",
            chosen([*source, *CATALOGUE_ASSETS]),
            "Generate the source (synthetic data only), and load the catalogue.",
        ),
        _job(
            "ingest_month",
            chosen(list(MONTHLY_ASSETS)),
            "Load and check the raw tables of one month.",
            raw_partitions(platform),
        ),
        _job(
            "fit_features", chosen([*states, SPLITS_ASSET]), "Fit the state of every feature group on the train months."
        ),
        _job("monthly_features", chosen(groups), "Compute every feature group for one month.", months),
        _job("monthly_labels", chosen(labels), "Derive the labels of one month, once its window has passed.", months),
        _job(
            "train",
            chosen([*teacher, *students, BUNDLE_ASSET]),
            "Train the teacher and the students, and build the bundle.",
        ),
        _job(
            "score_month", chosen([RECOMMENDATIONS_ASSET]), "Recommend products to every customer of one month.", months
        ),
    ]
    if audit:
        text = "Checks that are too expensive for every run: refits, and what each group really reads."
        jobs.append(_job(AUDIT_JOB, apart, text))
    return jobs
