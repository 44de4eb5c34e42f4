"""Compares the teacher with its baselines and, on synthetic data, with the ceiling.

The baselines themselves are computed in ``baselines.py`` and ``shared_bottom.py``; here all are scored on the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from finai_assets.evaluation.baselines import ModelComparison
from finai_assets.evaluation.lift import Samples, interval, lift_samples, over_tasks
from finai_assets.evaluation.models import (
    ABOUT,
    CEILING,
    LEARNED_BASELINES,
    LIGHTGBM_ALL,
    MODELS,
    PERSISTENCE,
    PRIOR,
    TEACHER,
)
from finai_assets.scoring.metrics import LOWER_IS_BETTER, PRIMARY, Estimate, evaluate, paired_difference, verdict
from finai_resources.json_text import number

if TYPE_CHECKING:
    from finai_assets.settings import Settings
    from finai_assets.training.matrix import MatrixTask, TrainingMatrix

SPLITS = ("validation", "test")


def evaluate_all(matrix: TrainingMatrix, models: ModelComparison, settings: Settings) -> dict[str, Any]:
    """Score every model on validation and test.

    Parameters
    ----------
    models : ModelComparison
        From :func:`~finai_assets.evaluation.baselines.predict_all_models`.

    Returns
    -------
    dict
        JSON-able. ``tasks.<task>.<split>`` holds ``n``, what the labels are (``positives``, ``mean``, or ``classes`` with rows),
        ``metrics.<model>.<metric>`` (value, low, high, n), ``trivial`` (the better of prior and persistence on validation),
        ``lift_share.<model>`` = (model − trivial) / (ceiling − trivial) on the primary metric with its interval, null without a
        ceiling above the trivial; and ``teacher_minus.<baseline>``, the paired differences with their verdicts.
        ``summary.<split>`` sums up over tasks; ``models`` says how each was made, ``data`` what it was made from.
    """
    tasks: dict[str, Any] = {}
    shares: dict[str, dict[str, Samples]] = {split: {} for split in SPLITS}
    for task in matrix.tasks:
        tasks[task.name], found = _task(matrix, task, models, settings)
        for split, samples in found.items():
            shares[split][task.name] = samples
    return {
        "tasks": tasks,
        "summary": {split: _summary(tasks, shares[split], split, settings) for split in SPLITS},
        "models": {
            name: {"what": ABOUT[name].what, **models.facts[name]} for name in MODELS if models.predictions.get(name)
        },
        "data": _data(matrix, settings),
        "raw_groups": list(settings.baselines.raw_groups),
    }


def _data(matrix: TrainingMatrix, settings: Settings) -> dict[str, Any]:
    """Return the scored data: the data set, and the months, rows and customers of each split."""
    splits = {}
    for split in ("train", *SPLITS):
        rows = matrix.rows(split)
        splits[split] = {
            "months": sorted({str(month) for month in matrix.month[rows]}),
            "rows": rows.stop - rows.start,
            "customers": len(np.unique(matrix.customer[rows])),
        }
    return {
        "dataset": settings.dataset.name,
        "profile": settings.profile,
        "seed": settings.seed,
        "confidence": settings.metrics.confidence,
        "resamples": settings.metrics.bootstrap_samples,
        "gap_days": settings.gap_days,
        "horizon_months": settings.horizon_months,
        "splits": splits,
    }


def _task(
    matrix: TrainingMatrix, task: MatrixTask, models: ModelComparison, settings: Settings
) -> tuple[dict[str, Any], dict[str, Samples]]:
    metric = PRIMARY[task.kind]
    splits: dict[str, Any] = {}
    shares: dict[str, Samples] = {}
    trivial = PRIOR
    for split in SPLITS:  # validation first: it chooses the trivial baseline that test is read against
        rows = matrix.rows(split)
        label, customer = matrix.labels[task.name][rows], matrix.customer[rows]
        part = models.part(task.name, rows)
        common: dict[str, Any] = {"settings": settings.metrics, "seed": settings.seed}
        scored: dict[str, Any] = {"classes": task.classes, **common}
        scores = {
            name: evaluate(task.kind, _where_finite(label, value), _finite(value), customer, **scored)
            for name, value in part.items()
        }
        if split == "validation":
            trivial = _better(scores, metric)
        baselines = {"trivial": trivial, **{name: name for name in LEARNED_BASELINES if name in part}}
        n = int(np.isfinite(label).sum())
        if CEILING in part:
            shares[split] = lift_samples(task, label, part, customer, trivial=trivial, **common)
        splits[split] = {
            "n": n,
            **_labels(task, label),
            "metrics": {name: {key: _plain(value) for key, value in found.items()} for name, found in scores.items()},
            "trivial": trivial,
            "lift_share": {
                name: _share(samples, n, settings) for name, samples in sorted(shares.get(split, {}).items())
            },
            "teacher_minus": {
                name: _difference(task.kind, label, part[TEACHER], part[baseline], customer, scored)
                for name, baseline in baselines.items()
            },
        }
    return {"kind": task.kind, "metric": metric, "lower_is_better": metric in LOWER_IS_BETTER, **splits}, shares


def _labels(task: MatrixTask, label: np.ndarray) -> dict[str, Any]:
    """Return the figures by which a reader judges n: positives, the mean and standard deviation, or rows of each class."""
    known = label[np.isfinite(label)]
    if task.kind == "binary":
        return {"positives": int(known.sum())}
    if task.kind == "regression":
        moments = (known.mean(dtype=np.float64), known.std(dtype=np.float64)) if len(known) else (math.nan, math.nan)
        return {"mean": number(moments[0]), "std": number(moments[1])}
    return {"classes": np.bincount(known.astype(np.int64), minlength=task.classes).tolist()}


def _share(samples: np.ndarray, n: int, settings: Settings) -> dict[str, Any] | None:
    found = interval(samples, n, settings.metrics)
    return _plain(found) if found.defined else None


def _difference(  # what `paired_difference` takes
    kind: str, label: np.ndarray, a: np.ndarray, b: np.ndarray, customer: np.ndarray, common: dict[str, Any]
) -> dict[str, Any]:
    found = paired_difference(kind, label, a, b, customer, **common)
    return {**_plain(found), "verdict": verdict(found, PRIMARY[kind])}


def _better(scores: Mapping[str, dict[str, Estimate]], metric: str) -> str:
    """Return the better of prior and persistence by the primary metric."""
    if PERSISTENCE not in scores:
        return PRIOR
    sign = -1.0 if metric in LOWER_IS_BETTER else 1.0
    gain = sign * (scores[PERSISTENCE][metric].value - scores[PRIOR][metric].value)
    return PERSISTENCE if gain > 0 else PRIOR


def _where_finite(label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Mask the labels of rows without a prediction (a truth that lacks a customer)."""
    known = np.isfinite(prediction) if prediction.ndim == 1 else np.isfinite(prediction).all(1)
    return label if known.all() else np.where(known, label, np.nan)


def _finite(prediction: np.ndarray) -> np.ndarray:
    """Replace the predictions of the rows that :func:`_where_finite` masked by finite ones."""
    if np.isfinite(prediction).all():
        return prediction
    return np.nan_to_num(prediction, nan=0.0 if prediction.ndim == 1 else 1.0 / prediction.shape[1])


def _plain(found: Estimate) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "value": number(found.value),
        "low": number(found.low),
        "high": number(found.high),
        "n": found.n,
    }
    return {**plain, "note": found.note} if found.note else plain


def _summary(tasks: Mapping[str, Any], shares: Mapping[str, Samples], split: str, settings: Settings) -> dict[str, Any]:
    """Count verdicts, and take the mean of lift shares over the tasks that have one."""
    against: dict[str, dict[str, int]] = {}
    for task in tasks.values():
        for baseline, found in task[split]["teacher_minus"].items():
            counts = against.setdefault(baseline, {"better": 0, "worse": 0, "unclear": 0})
            counts[found["verdict"]] += 1
    lift = over_tasks(shares, (TEACHER, *LEARNED_BASELINES), settings.metrics)
    return {
        "teacher_against": against,
        "lift_share": lift["lift_share"],
        "teacher_minus_lift_share": lift["teacher_minus"],
    }


def render(evaluation: Mapping[str, Any], split: str = "test") -> Table:
    """Return an evaluation as a table: the primary metric of each task, by model."""
    models = [name for name in MODELS if name != TEACHER]
    table = Table(title=f"Teacher and baselines on {split}", title_justify="left")
    for name in ("task", "metric", "n", *(ABOUT[model].title for model in models[:-1]), "teacher", "ceiling"):
        table.add_column(name, justify="left" if name in ("task", "metric") else "right")
    table.add_column("lift share", justify="right")
    table.add_column("against LightGBM all")
    for name, task in evaluation["tasks"].items():
        found, metric = task[split], task["metric"]
        own = found["metrics"][TEACHER][metric]
        bounds = "" if own["low"] is None else f" [{own['low']:.3f}, {own['high']:.3f}]"
        share = found["lift_share"].get(TEACHER)
        table.add_row(
            name,
            metric,
            f"{found['n']:,}",
            *(_cell(found["metrics"], model, metric) for model in models[:-1]),
            _cell(found["metrics"], TEACHER, metric) + bounds,
            _cell(found["metrics"], CEILING, metric),
            "–" if share is None else f"{share['value']:.2f}",
            found["teacher_minus"][LIGHTGBM_ALL]["verdict"],
        )
    return table


def _cell(metrics: Mapping[str, Any], model: str, metric: str) -> str:
    value = metrics.get(model, {}).get(metric, {}).get("value")
    return "–" if value is None else f"{value:.3f}"
