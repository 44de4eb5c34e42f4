"""The kinds of assets, each by one unit of the main job that stands for it."""

from __future__ import annotations

from dataclasses import replace

from finai_assets.asset_graph import (
    BUNDLE,
    MATRIX,
    RECOMMENDATIONS,
    SPLITS,
    TEACHER,
    group_asset,
    label_asset,
    state_asset,
    student_asset,
)
from finai_assets.platform import Platform
from finai_cli.plan import Unit, main_job
from finai_resources.errors import ConfigError
from studies.faults.trial import Case

GROUP, TASK = "demographics", "churn_signal"
# Name of the kind: job, the assets that stand for it (all of the job's where none is named), and what of it touches no file.
_KINDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "raw month": ("ingest_month", (), ()),
    "state": ("fit_features", (state_asset(GROUP),), ()),
    "feature group": ("monthly_features", (group_asset(GROUP),), ()),
    "label": ("monthly_labels", (label_asset(TASK),), ()),
    "splits": ("fit_features", (SPLITS,), ()),
    "matrix": ("train", (MATRIX,), ()),
    "teacher": ("train", (TEACHER,), ("finai_assets.teacher.assets:train_teacher",)),
    "student": ("train", (student_asset(TASK),), ("finai_assets.students.assets:train_student",)),
    "bundle": ("train", (BUNDLE,), ()),
    "recommendations": ("score_month", (RECOMMENDATIONS,), ()),
}


def cases_of(platform: Platform) -> list[Case]:
    """Return the cases of a platform; of a kind with months, the last month stands for all."""
    units = [unit for stage in main_job(platform) for unit in stage.units]
    return [_case(name, units) for name in _KINDS]


def _case(name: str, units: list[Unit]) -> Case:
    job, assets, pure = _KINDS[name]
    unit = [unit for unit in units if unit.job == job][-1]
    return Case(name, replace(unit, assets=assets or unit.assets), pure)


def chosen(cases: list[Case], names: list[str]) -> list[Case]:
    """Return the named cases.

    Raises
    ------
    ConfigError
        There is no such kind.
    """
    known = [case.name for case in cases]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"there is no kind {unknown[0]!r}", where="studies.faults", fix=f"one of {', '.join(known)}")
    return [case for case in cases if not names or case.name in names]
