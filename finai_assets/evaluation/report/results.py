"""What came out: the cells of the tables by task, where trees win, and which aims are reached."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finai_assets.evaluation.models import CEILING, LEARNED_BASELINES, LIGHTGBM_ALL, LIGHTGBM_RAW, TEACHER
from finai_assets.evaluation.report.wording import NOTHING, estimate, gain, label_counts, plain_value, title

SPLIT = "test"
LIFT_AIM = 0.7  # the goal that the teacher was designed for
_REACHED = {True: "reached", False: "not reached"}


def values(task: Mapping[str, Any], models: Sequence[str]) -> list[str]:
    """Return n, the trivial forecast's value and that of each model, as the cells of a row."""
    found, metric = task[SPLIT], task["metric"]
    trivial = found["metrics"][found["trivial"]].get(metric)
    return [
        f"{found['n']:,}\n{label_counts(found)}",
        f"{plain_value(trivial)}\n{title(found['trivial'])}",
        *(
            (plain_value if model == CEILING else estimate)(found["metrics"].get(model, {}).get(metric))
            for model in models
        ),
    ]


def gains(task: Mapping[str, Any], baselines: Sequence[str]) -> list[str]:
    """Return what the teacher gains on each baseline, as the cells of a row."""
    minus = task[SPLIT]["teacher_minus"]
    return [gain(minus.get(baseline), task["lower_is_better"]) for baseline in baselines]


def losing_to_trees(evaluation: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the tasks in which LightGBM is clearly better than the teacher, each with the models that are."""
    losing = {}
    for name, task in evaluation["tasks"].items():
        minus = task[SPLIT]["teacher_minus"]
        trees = [model for model in (LIGHTGBM_RAW, LIGHTGBM_ALL) if minus.get(model, {}).get("verdict") == "worse"]
        if trees:
            losing[name] = trees
    return losing


def far_out(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the tasks whose lift shares lie beyond what a mean can bear."""
    learned = (TEACHER, *LEARNED_BASELINES)
    return [
        name
        for name, task in evaluation["tasks"].items()
        if any(found and abs(found["value"]) > 1 for key, found in task[SPLIT]["lift_share"].items() if key in learned)
    ]


def calibration_errors(curves: Mapping[str, Any], models: Sequence[str]) -> dict[str, list[str]]:
    """Return the calibration error of each model, as the cells of a row, by task that has any."""
    rows = {}
    for name, task in curves["tasks"].items():
        errors = [task["models"].get(model, {}).get("calibration_error") for model in models]
        if any(error is not None for error in errors):
            rows[name] = [NOTHING if error is None else f"{error:.4f}" for error in errors]
    return rows


def level_with_trees(summary: Mapping[str, Any]) -> str:
    """Say whether the teacher reaches trees on all columns on the mean of tasks, and is clearly below them in none."""
    behind = summary["teacher_against"].get(LIGHTGBM_ALL, {}).get("worse", 0)
    return _REACHED[summary["teacher_minus_lift_share"][LIGHTGBM_ALL]["value"] >= 0 and not behind]


def lifted_enough(summary: Mapping[str, Any]) -> str:
    """Say whether the teacher's mean lift share reaches what it was designed for."""
    return _REACHED[summary["lift_share"][TEACHER]["mean"] >= LIFT_AIM]
