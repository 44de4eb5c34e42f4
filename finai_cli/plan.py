"""What the main job has to do: stages of units, each a job on some assets of one partition, and which of them are stale."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from finai_assets import asset_graph as doors
from finai_assets.bundle.assets import BUNDLE_ASSET
from finai_assets.features.assets import state_asset
from finai_assets.ingest.assets import CATALOGUE_ASSETS, MONTHLY_ASSETS, SOURCE_ASSET
from finai_assets.labels.assets import SPLITS_ASSET
from finai_assets.partitions import is_mature
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
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import Declared
from finai_checks.framework.record import has_passed
from finai_resources.lake import Lake
from finai_resources.months import Month


@dataclass(frozen=True)
class Unit:
    """Assets that one run of a job materialises, for one month or for none."""

    job: str
    assets: tuple[tuple[str, doors.Step], ...]
    month: Month | None = None

    @property
    def partition(self) -> str | None:
        """Return the name of the partition in the lake."""
        return self.month.key if self.month else None


@dataclass(frozen=True)
class Stage:
    """A part of the main job that a person would name."""

    name: str
    title: str
    units: tuple[Unit, ...]


def main_job(platform: Platform) -> list[Stage]:
    """Return the stages of the main job in order, whatever of them is done already."""
    settings, groups, tasks = platform.settings, platform.registry.available, platform.available_tasks
    synthetic = settings.dataset.adapter == "synthetic"
    source = [(SOURCE_ASSET, doors.SOURCE)] if synthetic else []
    catalogue = [(asset, doors.RAW) for asset in CATALOGUE_ASSETS]
    snapshots = list(settings.dataset.snapshot_months)
    mature = [month for month in snapshots if is_mature(month, settings)]
    states = [(state_asset(group), doors.FEATURE_STATE) for group in groups]
    train = [
        (MATRIX_ASSET, doors.MATRIX),
        (TEACHER_ASSET, doors.TEACHER),
        (PREDICTIONS_ASSET, doors.TEACHER),
        (EVALUATION_ASSET, doors.EVALUATION),
        (EXPLANATIONS_ASSET, doors.EXPLANATIONS),
        *((student_asset(task), doors.STUDENTS) for task in tasks),
        (BUNDLE_ASSET, doors.BUNDLE),
    ]
    return [
        Stage("source", "Source and catalogue", (Unit("source", (*source, *catalogue)),)),
        Stage("ingest", "Raw tables", _monthly("ingest_month", MONTHLY_ASSETS, doors.RAW, settings.dataset.raw_months)),
        Stage("fit", "Feature states", (Unit("fit_features", (*states, (SPLITS_ASSET, doors.SPLITS))),)),
        Stage("features", "Features", _monthly("monthly_features", [g.asset for g in groups], doors.FEATURES, snapshots)),
        Stage("labels", "Labels", _monthly("monthly_labels", [t.asset for t in tasks], doors.LABELS, mature)),
        Stage("train", "Teacher, students, bundle", (Unit("train", tuple(train)),)),
        Stage("recommend", "Recommendations",
              _monthly("score_month", [RECOMMENDATIONS_ASSET], doors.RECOMMENDATIONS, snapshots[-1:])),
    ]  # fmt: skip


def _monthly(job: str, assets: Iterable[str], step: doors.Step, months: Iterable[Month]) -> tuple[Unit, ...]:
    listed = tuple((asset, step) for asset in assets)
    return tuple(Unit(job, listed, month) for month in months)


def stale_assets(lake: Lake, platform: Platform, unit: Unit, checks: list[Declared]) -> list[str]:
    """Return the unit's assets that are missing, older than their code, config or upstream, or lack a passed blocking check."""
    stale = []
    for asset, step in unit.assets:
        gates = [check for check in checks if check.blocking and not check.kind.audit and check.asset == asset]
        current = step.is_current(lake, platform.settings, asset, unit.partition)
        if not current or not all(has_passed(lake, check.name, asset, unit.partition) for check in gates):
            stale.append(asset)
    return with_downstream(unit, stale)


def with_downstream(unit: Unit, stale: list[str]) -> list[str]:
    """Return the stale assets with those that follow them in the same unit.

    Within ``train`` each asset reads the ones before it; in every other unit the assets stand side by side. Raw tables of a
    month are written together or not at all.
    """
    names = [asset for asset, _ in unit.assets]
    if not stale:
        return []
    if unit.job in {"ingest_month", "source"}:
        return names
    if unit.job != "train":
        return stale
    chain = [MATRIX_ASSET, TEACHER_ASSET, PREDICTIONS_ASSET]
    for index, link in enumerate(chain):
        if link in stale:
            return chain[index:] + [name for name in names if name not in chain]
    students = any(name.startswith("students/") for name in stale)
    return sorted({*stale, *([BUNDLE_ASSET] if students else [])}, key=names.index)


def checks_of(platform: Platform) -> list[Declared]:
    """Return every declared check."""
    return declared_checks(platform)
