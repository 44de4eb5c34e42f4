"""The kinds of assets, each by one unit of the main job that stands for it."""

from __future__ import annotations

from dataclasses import replace

from finai_assets.platform import Platform
from finai_cli.plan import Unit, main_job
from finai_resources.errors import ConfigError
from studies.faults.trial import Case

GROUP, TASK = "demographics", "churn_signal"
# Name of the kind: job, what the paths of its assets begin with, and what of it touches no file.
_TEACHER = "finai_assets.teacher.assets"
_STUDENTS = "finai_assets.students.assets"
_KINDS: dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    "raw month": ("ingest_month", ("raw/",), ()),
    "state": ("fit_features", (f"feature_state/{GROUP}",), ()),
    "feature group": ("monthly_features", (f"features/{GROUP}",), ()),
    "label": ("monthly_labels", (f"labels/{TASK}",), ()),
    "splits": ("fit_features", ("labels/splits",), ()),
    "matrix": ("train", ("teacher/training_matrix",), ()),
    "teacher": ("train", ("teacher/ple",), (f"{_TEACHER}:train_teacher",)),
    "student": ("train", (f"students/{TASK}",), (f"{_STUDENTS}:train_student",)),
    "bundle": ("train", ("serving/bundle",), ()),
    "recommendations": ("score_month", ("recommendations/customers",), ()),
}


def cases_of(platform: Platform) -> list[Case]:
    """Return the cases of a platform; of a kind with months, the last month stands for all."""
    units = [unit for stage in main_job(platform) for unit in stage.units]
    return [_case(name, units) for name in _KINDS]


def _case(name: str, units: list[Unit]) -> Case:
    job, begins, pure = _KINDS[name]
    unit = [unit for unit in units if unit.job == job][-1]
    assets = tuple(path for path in unit.assets if path.startswith(begins))
    return Case(name, replace(unit, assets=assets), pure)


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
