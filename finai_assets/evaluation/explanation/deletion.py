"""Deletion curves: how predictions of test rows move when inputs are masked in the order of their attribution.

Samek, Binder, Montavon, Lapuschkin and Mueller: Evaluating the visualization of what a deep neural network has learned (2017). An
attribution is faithful if what it names first matters most: masking it must change the prediction sooner than masking inputs
at random. The second comparison knows the row and not the model: it masks what lies farthest from the baseline first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from finai_assets.evaluation.explanation.inputs import Inputs, row_orders
from finai_assets.evaluation.explanation.rows import ExplainedRows, Predictions, Scale, predict_rows
from finai_assets.scoring.metrics import LOWER_IS_BETTER, PRIMARY, resampled
from finai_assets.scoring.resampling import CustomerMeans, Interval
from finai_assets.settings.explanation import ExplanationSettings
from finai_assets.settings.method import MetricSettings
from finai_resources.json_text import number
from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from finai_assets.teacher.result import TeacherResult

BEATS, UNCLEAR, LOSES = "beats random", "does not beat random", "loses to random"
ATTRIBUTED, RANDOM, DEVIATION = "attributed", "random", "deviation"


@dataclass(frozen=True)
class Curves:
    """Predictions of masked rows: by order, the predictions at each share of masked inputs.

    Parameters
    ----------
    counts : tuple of int
        How many inputs are masked.
    full : task -> float [n] or [n, classes]
        Without a mask.
    attributed : task -> tuple of predictions
        Each task masked in the order of its own attributions.
    random : tuple of tuples of Predictions
        [random orders][counts]
    deviation : tuple of Predictions
    """

    counts: tuple[int, ...]
    full: Predictions
    attributed: Mapping[str, tuple[np.ndarray, ...]]
    random: tuple[tuple[Predictions, ...], ...]
    deviation: tuple[Predictions, ...]


def mask_rows(  # the teacher, the rows, and in which orders they are masked
    teacher: TeacherResult,
    inputs: Inputs,
    baseline: np.ndarray,
    rows: ExplainedRows,
    values: np.ndarray,
    chosen: ExplanationSettings,
    seed: int,
) -> Curves:
    """Predict the rows with more and more inputs masked.

    Parameters
    ----------
    values : float32 [tasks, n, inputs]
        Attributions, in the order of ``teacher.model.tasks``.
    """
    counts = tuple(max(1, round(share * len(inputs))) for share in chosen.shares)
    x, base = torch.from_numpy(rows.x), torch.from_numpy(baseline)
    names = [task.name for task in teacher.model.tasks]
    total, done = len(counts) * (len(names) + chosen.random_orders + 1), 0

    def curve(order: np.ndarray) -> tuple[Predictions, ...]:
        nonlocal done
        rank, found = torch.from_numpy(np.argsort(order, axis=1)), []
        for count in counts:
            found.append(predict_rows(teacher, inputs.masked(x, base, rank < count), chosen.batch_rows))
            done += 1
            report_progress("deletion", done, total)
        return tuple(found)

    attributed = {}
    for index, name in enumerate(names):
        order = np.argsort(-np.abs(values[index]), axis=1, kind="stable")
        attributed[name] = tuple(found[name] for found in curve(order))
    drawn = [
        row_orders(rows.customer, rows.month, len(inputs), seed=seed, salt=f"mask {index}")
        for index in range(chosen.random_orders)
    ]
    return Curves(
        counts=counts,
        full=predict_rows(teacher, x, chosen.batch_rows),
        attributed=attributed,
        random=tuple(curve(order) for order in drawn),
        deviation=curve(deviation_order(inputs, rows.x, baseline)),
    )


def deviation_order(inputs: Inputs, x: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """Return each row's inputs by how far they lie from the baseline, farthest first, int64 [n, inputs]; it needs no model.

    The distance is the root mean square over an input's positions; whole numbers are 1 from each other.
    """
    apart = np.square(x - baseline)
    apart[:, inputs.turn_of >= 0] = apart[:, inputs.turn_of >= 0] > 0
    total = inputs.add_up(torch.from_numpy(apart)).numpy()
    width = np.bincount(inputs.owner[inputs.owner >= 0], minlength=len(inputs))
    return np.argsort(-total / width, axis=1, kind="stable")


def judge(
    curves: Curves, rows: ExplainedRows, scale: Scale, metrics: MetricSettings, seed: int, *, inputs: int
) -> dict[str, Any]:
    """Return a task's curves, the areas between them, and the verdict.

    The verdict rests on how far the prediction moves, as a mean over shares of masked inputs (area under the curve over the
    largest share) and over rows; beyond random by an interval that excludes zero.

    Parameters
    ----------
    inputs : int
        Of which ``curves.counts`` are masked.
    """
    name, full, label = scale.task.name, curves.full[scale.task.name], rows.labels[scale.task.name]
    orders = {
        ATTRIBUTED: [curves.attributed[name]],
        RANDOM: [tuple(found[name] for found in each) for each in curves.random],
        DEVIATION: [tuple(found[name] for found in curves.deviation)],
    }
    before = scale.loss(label, full)
    changes = {order: _mean_rows(many, lambda p: scale.change(full, p)) for order, many in orders.items()}
    losses = {order: _mean_rows(many, lambda p: scale.loss(label, p) - before) for order, many in orders.items()}
    weights = _area_weights(np.array(curves.counts) / inputs)
    change, loss = _areas(changes, weights, rows, metrics, seed), _areas(losses, weights, rows, metrics, seed)
    skill = _skill(orders, full, label, rows, scale, metrics, seed, weights)
    return {
        "counts": list(curves.counts),
        "shares": [count / inputs for count in curves.counts],
        "change": {**_means(changes), "area": change},
        "loss": {**_means(losses), "area": loss},
        "skill": skill,
        "verdict": verdict(change["attributed_minus_random"]),
        "verdict_loss": verdict(loss["attributed_minus_random"]),
        "verdict_skill": verdict(skill["area"]["attributed_minus_random"]),
    }


def verdict(difference: Mapping[str, float | None]) -> str:
    """Return whether an area lies above that of random masking; unclear without an interval."""
    low, high = difference["low"], difference["high"]
    if low is None or high is None:
        return UNCLEAR
    if low > 0:
        return BEATS
    return LOSES if high < 0 else UNCLEAR


def _mean_rows(many: list[tuple[np.ndarray, ...]], figure: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return a figure of each row and count, float64 [n, counts], the mean over several orders of one kind."""
    return np.asarray(np.mean([np.stack([figure(p) for p in each], axis=1) for each in many], axis=0))


def _area_weights(shares: np.ndarray) -> np.ndarray:
    """Return the weights of the trapezoidal rule from share 0, where nothing has changed, over the largest share."""
    gaps = np.diff(np.concatenate([[0.0], shares]))
    return np.asarray((gaps + np.append(gaps[1:], 0.0)) / 2 / shares[-1])


def _areas(
    figures: Mapping[str, np.ndarray], weights: np.ndarray, rows: ExplainedRows, metrics: MetricSettings, seed: int
) -> dict[str, dict[str, float | None]]:
    order = (ATTRIBUTED, RANDOM, DEVIATION)
    means = CustomerMeans(np.stack([figures[name] @ weights for name in order], axis=1), rows.customer, metrics, seed)
    found: dict[str, Interval] = {name: means.interval(lambda m, k=k: m[:, k]) for k, name in enumerate(order)}  # type: ignore[misc]
    found["attributed_minus_random"] = means.interval(lambda m: m[:, 0] - m[:, 1])
    found["attributed_minus_deviation"] = means.interval(lambda m: m[:, 0] - m[:, 2])
    return {name: interval.plain() for name, interval in found.items()}


def _means(figures: Mapping[str, np.ndarray]) -> dict[str, list[float | None]]:
    """Return the mean over the rows that have the figure, by order and count."""
    found = {}
    for name, values in figures.items():
        known = np.isfinite(values).all(axis=1)
        found[name] = values[known].mean(axis=0).tolist() if known.any() else [None] * values.shape[1]
    return found


def _skill(  # what the metrics take
    orders: Mapping[str, list[tuple[np.ndarray, ...]]],
    full: np.ndarray,
    label: np.ndarray,
    rows: ExplainedRows,
    scale: Scale,
    metrics: MetricSettings,
    seed: int,
    weights: np.ndarray,
) -> dict[str, Any]:
    """Return the primary metric of the masked rows, and the area by which more of it is lost than with random masking."""
    metric, customers = PRIMARY[scale.task.kind], np.unique(rows.customer)

    def score(prediction: np.ndarray) -> np.ndarray:
        return resampled(
            scale.task.kind, label, prediction, rows.customer,
            among=customers, classes=scale.task.classes, settings=metrics, seed=seed,
        )  # fmt: skip

    drawn = {  # [counts, 1 + resamples]
        name: np.mean([np.stack([score(p) for p in each]) for each in many], axis=0) for name, many in orders.items()
    }
    sign = 1.0 if metric in LOWER_IS_BETTER else -1.0
    lost = {
        f"attributed_minus_{name}": Interval.of(
            sign * weights @ (drawn[ATTRIBUTED] - drawn[name]), metrics.confidence
        ).plain()
        for name in (RANDOM, DEVIATION)
    }
    return {
        "metric": metric,
        "lower_is_better": metric in LOWER_IS_BETTER,
        "full": number(score(full)[0]),
        **{name: [number(value) for value in values[:, 0]] for name, values in drawn.items()},
        "area": lost,
        "n": int(np.isfinite(label).sum()),
    }
