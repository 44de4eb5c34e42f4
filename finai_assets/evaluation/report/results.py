"""What came out: the summary, the tables by task, the lift shares, and where trees win."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finai_assets.evaluation.models import ABOUT, CEILING, LEARNED_BASELINES, LIGHTGBM_ALL, LIGHTGBM_RAW, TEACHER
from finai_assets.evaluation.page import bullets, figure, paragraph, table
from finai_assets.evaluation.plots import svg
from finai_assets.evaluation.report import figures
from finai_assets.evaluation.report.wording import (
    METRICS,
    NOTHING,
    bounds,
    estimate,
    gain,
    label_counts,
    number,
    plain_value,
    share,
    signed,
)

SPLIT = "test"
LIFT_AIM = 0.7  # the goal that the teacher was designed for
_LEARNED = (TEACHER, *LEARNED_BASELINES)
_REACHED = {True: "reached", False: "not reached"}
_WORDS = {
    "better": "the teacher is better",
    "worse": "the teacher is worse",
    "unclear": "no clear difference, the interval includes zero",
}


def in_short(evaluation: Mapping[str, Any]) -> str:
    """Return the outcome in a handful of sentences."""
    summary = evaluation["summary"][SPLIT]
    lift, minus = summary["lift_share"], summary["teacher_minus_lift_share"]
    lines = []
    if TEACHER in lift:
        lines.append(
            "Lift share, the part of the way from the trivial forecast to the ceiling (1 is out of reach), mean over "
            f"{lift[TEACHER]['tasks']} tasks: "
            + "; ".join(f"{ABOUT[name].title} {share(found)}" for name, found in lift.items())
            + "."
        )
        lines += [_far_out(evaluation)] if _far_out(evaluation) else []
    lines += [
        f"Mean lift share, teacher less {ABOUT[name].title}: {signed(found)}: {_WORDS[found['verdict']]}."
        for name, found in minus.items()
    ]
    for baseline, counts in summary["teacher_against"].items():
        title = "the trivial forecast" if baseline == "trivial" else ABOUT[baseline].title
        lines.append(
            f"Task by task against {title}: better in {counts['better']}, worse in {counts['worse']}, no clear "
            f"difference in {counts['unclear']} of {sum(counts.values())}."
        )
    worse = losing_to_trees(evaluation)
    lines.append(
        f"Trees win in {len(worse)} of {len(evaluation['tasks'])} tasks: {', '.join(worse)}."
        if worse
        else "Trees win in no task."
    )
    lines += _aims(evaluation)
    return bullets(lines)


def results(evaluation: Mapping[str, Any]) -> str:
    """Return the tables by task: every model, and the teacher against each baseline."""
    models = [name for name in (*LEARNED_BASELINES, TEACHER, CEILING) if name in evaluation["models"]]
    rows = []
    for name, task in evaluation["tasks"].items():
        found = task[SPLIT]
        trivial = found["metrics"][found["trivial"]].get(task["metric"])
        rows.append(
            [
                name,
                METRICS[task["metric"]],
                f"{found['n']:,}\n{label_counts(found)}",
                f"{plain_value(trivial)}\n{ABOUT[found['trivial']].title}",
                *(
                    (plain_value if model == CEILING else estimate)(found["metrics"].get(model, {}).get(task["metric"]))
                    for model in models
                ),
            ]
        )
    body = table(
        ["task", "metric", "n", "trivial", *(ABOUT[model].title for model in models)],
        rows,
        numeric=range(2, 4 + len(models)),
        caption="Primary metric on test rows, with its interval (of log-loss, less is better). Trivial: the better of prior and "
        "persistence on validation",
    )
    baselines = ["trivial", *(name for name in LEARNED_BASELINES if name in evaluation["models"])]
    rows = [
        [name, *(gain(task[SPLIT]["teacher_minus"].get(baseline), task["lower_is_better"]) for baseline in baselines)]
        for name, task in evaluation["tasks"].items()
    ]
    titles = ["the trivial forecast", *(ABOUT[name].title for name in baselines[1:])]
    body += table(
        ["task", *(f"against {title}" for title in titles)],
        rows,
        numeric=range(1, len(baselines) + 1),
        caption="The teacher's gain on the primary metric, paired by row (positive: the teacher is better), with its interval",
    )
    return body


def lift(evaluation: Mapping[str, Any]) -> str:
    """Return the lift shares: table and bars."""
    summary = evaluation["summary"][SPLIT]
    rows = [
        [
            ABOUT[name].title,
            f"{number(found['mean'], 2)}\n{bounds(found, 2)}",
            f"{number(found['median'], 2)}\n{bounds(found, 2, 'median_')}",
            str(found["tasks"]),
            signed(summary["teacher_minus_lift_share"][name]) if name != TEACHER else NOTHING,
        ]
        for name, found in summary["lift_share"].items()
    ]
    note = "Lift share is (model − trivial) / (ceiling − trivial) on the primary metric. " + _far_out(evaluation)
    return (
        paragraph(note)
        + table(
            ["model", "mean over tasks", "median over tasks", "tasks", "teacher less model"],
            rows,
            numeric={1, 2, 3, 4},
            caption="Lift share on test, with intervals from the same resamples of customers for all tasks and models",
        )
        + figure(
            svg(
                figures.lift_shares(evaluation),
                f"Bars of the lift share of each model in each task. {_spoken(summary)}",
            ),
            "Lift share by task. A bar ends at the estimate, the thin line is its interval; where a bar leaves the "
            "plot, its value is written at the edge.",
        )
    )


def where_trees_win(evaluation: Mapping[str, Any]) -> str:
    """Return the tasks in which LightGBM is clearly better than the teacher, or say that there is none."""
    rows = []
    for name, task in evaluation["tasks"].items():
        for baseline in _beaten_by(task):
            found = task[SPLIT]
            rows.append(
                [
                    name,
                    METRICS[task["metric"]],
                    ABOUT[baseline].title,
                    estimate(found["metrics"][baseline][task["metric"]]),
                    estimate(found["metrics"][TEACHER][task["metric"]]),
                    gain(found["teacher_minus"][baseline], task["lower_is_better"]),
                ]
            )
    if not rows:
        return paragraph(
            "In no task are trees clearly better than the teacher: no interval of a difference lies below zero."
        )
    return paragraph(
        "In these tasks trees are better than the teacher beyond what resampled customers explain. A student of "
        "such a task is better trained on the labels directly (route DIRECT) than on the teacher's probabilities."
    ) + table(
        ["task", "metric", "trees", "their value", "teacher", "teacher's gain"],
        rows,
        numeric={3, 4, 5},
        caption="Tasks in which LightGBM is clearly better than the teacher",
    )


def losing_to_trees(evaluation: Mapping[str, Any]) -> list[str]:
    """Return the names of those tasks."""
    return [name for name, task in evaluation["tasks"].items() if _beaten_by(task)]


def _beaten_by(task: Mapping[str, Any]) -> list[str]:
    minus = task[SPLIT]["teacher_minus"]
    return [baseline for baseline in (LIGHTGBM_RAW, LIGHTGBM_ALL) if minus.get(baseline, {}).get("verdict") == "worse"]


def _spoken(summary: Mapping[str, Any]) -> str:
    return "Means: " + ", ".join(
        f"{ABOUT[name].title} {number(found['mean'], 2)}" for name, found in summary["lift_share"].items()
    )


def _far_out(evaluation: Mapping[str, Any]) -> str:
    """Name the tasks whose shares lie beyond what a mean can bear; empty where there is none."""
    names = [
        name
        for name, task in evaluation["tasks"].items()
        if any(found and abs(found["value"]) > 1 for key, found in task[SPLIT]["lift_share"].items() if key in _LEARNED)
    ]
    if not names:
        return ""
    return (
        f"The means hang on {', '.join(names)}, where the ceiling is little above the trivial forecast, so that shares are "
        "ratios to a small figure; the medians do not."
    )


def _aims(evaluation: Mapping[str, Any]) -> list[str]:
    """Say which aims of the teacher's design are reached."""
    summary, lines = evaluation["summary"][SPLIT], []
    behind = summary["teacher_against"].get(LIGHTGBM_ALL, {}).get("worse", 0)
    mean = summary["teacher_minus_lift_share"].get(LIGHTGBM_ALL)
    if mean:
        reached = mean["value"] >= 0 and not behind
        lines.append(
            f"Aim: at or above {ABOUT[LIGHTGBM_ALL].title} on the mean of tasks, and clearly below it in none: "
            f"{_REACHED[reached]}."
        )
    if TEACHER in summary["lift_share"]:
        reached = summary["lift_share"][TEACHER]["mean"] >= LIFT_AIM
        lines.append(f"Aim: a mean lift share of at least {LIFT_AIM}: {_REACHED[reached]}.")
    return lines
