"""Lift share: how far a model gets from the trivial forecast to the ceiling, per task and on the mean of tasks.

``lift share = (model − trivial) / (ceiling − trivial)`` on the primary metric. The three figures of a resample of customers make
its share, so the interval knows that trivial and ceiling are estimates too, and that models err on the same customers. Where the
ceiling is hardly above the trivial forecast, shares are large and uncertain; the median over tasks is not moved by one of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from finai_assets.evaluation.models import CEILING, TEACHER
from finai_assets.scoring.metrics import LOWER_IS_BETTER, PRIMARY, Estimate, resampled, verdict
from finai_assets.scoring.resampling import Interval
from finai_resources.json_text import number

if TYPE_CHECKING:
    from finai_assets.settings.method import MetricSettings
    from finai_assets.training.matrix import MatrixTask

Samples = dict[str, np.ndarray]


def lift_samples(
    task: MatrixTask,
    label: np.ndarray,
    predictions: Mapping[str, np.ndarray],
    customer: np.ndarray,
    *,
    trivial: str,
    settings: MetricSettings,
    seed: int,
) -> Samples:
    """Return the lift share of each model but the trivial and the ceiling, on all rows and on each resample.

    Parameters
    ----------
    label : float [n]
        NaN where masked.
    predictions : model -> float [n] or [n, classes]
        With a ceiling, which may be NaN in some rows: they take no part.
    customer : int64 [n]
        Of every row of the split, so that all tasks draw the same customers.

    Returns
    -------
    model -> float64 [1 + resamples]
        First the value on all rows; NaN where the ceiling is not above the trivial forecast.
    """
    truth = predictions[CEILING]
    known = np.isfinite(truth) if truth.ndim == 1 else np.isfinite(truth).all(1)
    masked, among = np.where(known, label, np.nan), np.unique(customer)
    found = {
        name: resampled(
            task.kind,
            masked,
            np.where(known if value.ndim == 1 else known[:, None], value, 0.0),
            customer,
            among=among,
            classes=task.classes,
            settings=settings,
            seed=seed,
        )
        for name, value in predictions.items()
    }
    floor, room = found[trivial], found[CEILING] - found[trivial]
    above = (-room if PRIMARY[task.kind] in LOWER_IS_BETTER else room) > 0
    return {
        name: np.divide(value - floor, room, out=np.full(len(room), np.nan), where=above)
        for name, value in found.items()
        if name not in (CEILING, trivial)
    }


def interval(samples: np.ndarray, n: int, settings: MetricSettings) -> Estimate:
    """Return the estimate of a figure and its resamples; without interval where most resamples have no value."""
    found = Interval.of(samples, settings.confidence)
    if not math.isfinite(found.value):
        return Estimate(math.nan, math.nan, math.nan, n, "the ceiling is not above the trivial forecast")
    too_few = "too few resamples in which the ceiling is above the trivial forecast"
    return Estimate(found.value, found.low, found.high, n, "" if math.isfinite(found.low) else too_few)


def over_tasks(shares: Mapping[str, Samples], models: Sequence[str], settings: MetricSettings) -> dict[str, Any]:
    """Summarise lift shares over the tasks in which the teacher has one.

    Parameters
    ----------
    shares : task -> model -> float64 [1 + resamples]
        From :func:`lift_samples`, each with the same customers and seed.
    models : sequence of str
        The models to summarise; one that lacks a share in one of the tasks is left out, since its mean would be one of other
        tasks.

    Returns
    -------
    dict
        ``lift_share.<model>``: mean over tasks and median, with their intervals, and number of tasks;
        ``teacher_minus.<model>``: difference of the means, teacher less model, on the same resamples, with its verdict.
    """
    tasks = [name for name, found in shares.items() if math.isfinite(found[TEACHER][0])]
    if not tasks:
        return {"lift_share": {}, "teacher_minus": {}}
    stacked = {
        model: np.stack([shares[task][model] for task in tasks])
        for model in models
        if all(model in shares[task] and math.isfinite(shares[task][model][0]) for task in tasks)
    }
    means = {model: values.mean(0) for model, values in stacked.items()}
    summary, minus = {}, {}
    for model, samples in means.items():
        found = interval(samples, len(tasks), settings)
        middle = interval(np.median(stacked[model], axis=0), len(tasks), settings)
        summary[model] = {
            "mean": found.value,
            "low": number(found.low),
            "high": number(found.high),
            "median": middle.value,
            "median_low": number(middle.low),
            "median_high": number(middle.high),
            "tasks": len(tasks),
        }
        if model != TEACHER:
            difference = interval(means[TEACHER] - samples, len(tasks), settings)
            minus[model] = {
                "value": difference.value,
                "low": number(difference.low),
                "high": number(difference.high),
                "verdict": verdict(difference, "lift share"),
            }
    return {"lift_share": summary, "teacher_minus": minus}
