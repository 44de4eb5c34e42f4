"""The teacher beside its baselines and, on synthetic data, beside the best that any model could reach.

The baselines themselves are computed in ``rivals.py``; here they are scored on the same rows as the teacher and compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.table import Table

from finai_assets.metrics import LOWER_IS_BETTER, PRIMARY, Estimate, evaluate, paired_difference, verdict
from finai_assets.teacher.rivals import lightgbm, persistence, prior
from finai_resources.errors import GateError

if TYPE_CHECKING:
    from finai_assets.features.matrix import MatrixTask, TrainingMatrix
    from finai_assets.features.registry import Registry
    from finai_assets.settings import Settings
    from finai_resources.lake_session import LakeSession

TEACHER, PRIOR, PERSISTENCE, CEILING = "teacher", "prior", "persistence", "ceiling"
LIGHTGBM_RAW, LIGHTGBM_ALL = "lightgbm_raw", "lightgbm_all"
MODELS = (TEACHER, PRIOR, PERSISTENCE, LIGHTGBM_RAW, LIGHTGBM_ALL, CEILING)
SPLITS = ("validation", "test")

Predictions = dict[str, np.ndarray]


def align_truth(session: LakeSession, matrix: TrainingMatrix, task: MatrixTask) -> np.ndarray | None:
    """Read the generator's true probabilities or expectations for every row of the matrix.

    Returns
    -------
    float32 [n] (binary: probability; regression: expectation) or [n, classes], NaN where the truth has no such customer;
    None where the data set has no truth for the task.

    Raises
    ------
    GateError
        The truth's columns are not those of the task's classes.
    """
    asset = f"truth/{task.name}"
    months = sorted(set(matrix.month.tolist()))
    if all(session.find(asset, month) is None for month in months):
        return None
    shape = (len(matrix.customer), task.classes) if task.kind == "multiclass" else (len(matrix.customer),)
    aligned = np.full(shape, np.nan, dtype=np.float32)
    for month in months:
        table = session.read(asset, month)
        at = np.flatnonzero(matrix.month == month)
        names = [name for name in table.column_names if name != "customer_id"]
        values = np.column_stack([table[name].to_numpy() for name in names])
        customer = table["customer_id"].to_numpy()
        order = np.argsort(customer, kind="stable")
        wanted = matrix.customer[at]
        found = order[np.minimum(np.searchsorted(customer, wanted, sorter=order), len(order) - 1)]
        present = customer[found] == wanted
        aligned[at[present]] = _in_classes(values, names, task)[found[present]]
    return aligned


def _in_classes(values: np.ndarray, names: list[str], task: MatrixTask) -> np.ndarray:
    """Bring the truth's columns into the order of the classes; codes outside the vocabulary add up to the last, "other"."""
    if task.kind != "multiclass":
        return np.asarray(values[:, 0])
    codes = [name.removeprefix("p_") for name in names]
    by_position = [str(k) for k in range(task.classes)]
    labels = by_position if codes == by_position else list(task.class_labels)
    if unknown := [label for label in labels[: len(labels) - 1] if label not in codes]:
        raise GateError(
            f"the truth has no column for {unknown[:3]}", where=f"truth/{task.name}", fix="generate it again"
        )
    out = np.zeros((len(values), task.classes), dtype=np.float64)
    for column, code in enumerate(codes):
        out[:, labels.index(code) if code in labels else task.classes - 1] += values[:, column]
    return out / out.sum(1, keepdims=True)


def evaluate_all(
    matrix: TrainingMatrix,
    teacher: Predictions,
    truth: Mapping[str, np.ndarray],
    registry: Registry,
    settings: Settings,
) -> dict[str, Any]:
    """Score the teacher, every baseline, and the ceiling on validation and test.

    Parameters
    ----------
    teacher : task -> float32 [n] or [n, classes]
        Predictions for every row of the matrix.
    truth : task -> float32 [n] or [n, classes]
        From :func:`align_truth`; tasks may be absent.

    Returns
    -------
    dict
        JSON-able. ``tasks.<task>.<split>`` holds ``n``, ``metrics.<model>.<metric>`` (value, low, high, n), ``trivial`` (the
        better of prior and persistence on validation), ``lift_share.<model>`` = (model − trivial) / (ceiling − trivial) on the
        primary metric, null without a ceiling above the trivial; and the paired differences of the teacher to the trivial
        baseline and to the trees. ``summary.<split>`` sums up over tasks.
    """
    span = slice(matrix.rows("validation").start, matrix.rows("test").stop)
    rivals = _rivals(matrix, span, registry, settings)
    tasks: dict[str, Any] = {}
    for task in matrix.tasks:
        predictions = {name: found[task.name] for name, found in rivals.items() if task.name in found}
        predictions[TEACHER] = teacher[task.name][span]
        if task.name in truth:
            predictions[CEILING] = truth[task.name][span]
        tasks[task.name] = _task(matrix, task, predictions, span, settings)
    return {
        "tasks": tasks,
        "summary": {split: _summary(tasks, split) for split in SPLITS},
        "rows": {split: matrix.rows(split).stop - matrix.rows(split).start for split in ("train", *SPLITS)},
        "raw_groups": list(settings.baselines.raw_groups),
    }


def _rivals(matrix: TrainingMatrix, span: slice, registry: Registry, settings: Settings) -> dict[str, Predictions]:
    train, rows = matrix.rows("train"), span.stop - span.start
    chosen = settings.baselines
    raw = registry.positions(chosen.raw_groups)
    every = list(range(len(registry.columns)))
    found: dict[str, Predictions] = {
        PRIOR: {task.name: prior(task, matrix.labels[task.name][train], rows) for task in matrix.tasks},
        PERSISTENCE: {
            task.name: persistence(
                task,
                matrix.persistence[task.name][train],
                matrix.labels[task.name][train],
                matrix.persistence[task.name][span],
            )
            for task in matrix.tasks
            if task.name in matrix.persistence
        },
        LIGHTGBM_ALL: lightgbm(matrix, every, span, settings, column_share=chosen.column_share),
    }
    if raw:
        found[LIGHTGBM_RAW] = lightgbm(matrix, raw, span, settings)
    return found


def _task(
    matrix: TrainingMatrix, task: MatrixTask, predictions: Predictions, span: slice, settings: Settings
) -> dict[str, Any]:
    metric = PRIMARY[task.kind]
    splits: dict[str, Any] = {}
    trivial = PRIOR
    for split in SPLITS:  # validation first: it chooses the trivial baseline that test is read against
        rows = matrix.rows(split)
        label, customer = matrix.labels[task.name][rows], matrix.customer[rows]
        part = {name: value[rows.start - span.start : rows.stop - span.start] for name, value in predictions.items()}
        common: dict[str, Any] = {"classes": task.classes, "settings": settings.metrics, "seed": settings.seed}
        scores = {
            name: evaluate(task.kind, _where_finite(label, value), _finite(value), customer, **common)
            for name, value in part.items()
        }
        if split == "validation":
            trivial = _better(scores, metric)
        rivals = {"trivial": trivial, **{name: name for name in (LIGHTGBM_RAW, LIGHTGBM_ALL) if name in part}}
        splits[split] = {
            "n": int(np.isfinite(label).sum()),
            "metrics": {name: {key: _plain(value) for key, value in found.items()} for name, found in scores.items()},
            "trivial": trivial,
            "lift_share": _lift_shares(scores, trivial, metric),
            "teacher_minus": {
                name: _difference(task.kind, label, part[TEACHER], part[rival], customer, common)
                for name, rival in rivals.items()
            },
        }
    return {"kind": task.kind, "metric": metric, "lower_is_better": metric in LOWER_IS_BETTER, **splits}


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


def _lift_shares(scores: Mapping[str, dict[str, Estimate]], trivial: str, metric: str) -> dict[str, float | None]:
    if CEILING not in scores:
        return {}
    floor, ceiling = scores[trivial][metric].value, scores[CEILING][metric].value
    room = (floor - ceiling) if metric in LOWER_IS_BETTER else (ceiling - floor)
    if not room > 0:
        return {name: None for name in scores if name not in (CEILING, trivial)}
    return {
        name: _number((found[metric].value - floor) / (ceiling - floor))
        for name, found in scores.items()
        if name not in (CEILING, trivial)
    }


def _where_finite(label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Mask the labels of rows that a model says nothing about (a truth that lacks a customer)."""
    known = np.isfinite(prediction) if prediction.ndim == 1 else np.isfinite(prediction).all(1)
    return label if known.all() else np.where(known, label, np.nan)


def _finite(prediction: np.ndarray) -> np.ndarray:
    """Replace what :func:`_where_finite` masked, so that the rows pass as predictions."""
    if np.isfinite(prediction).all():
        return prediction
    return np.nan_to_num(prediction, nan=0.0 if prediction.ndim == 1 else 1.0 / prediction.shape[1])


def _plain(found: Estimate) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "value": _number(found.value),
        "low": _number(found.low),
        "high": _number(found.high),
        "n": found.n,
    }
    return {**plain, "note": found.note} if found.note else plain


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _summary(tasks: Mapping[str, Any], split: str) -> dict[str, Any]:
    """Count verdicts and average lift shares over the tasks that have one."""
    against: dict[str, dict[str, int]] = {}
    shares: dict[str, list[float]] = {}
    for task in tasks.values():
        for rival, found in task[split]["teacher_minus"].items():
            counts = against.setdefault(rival, {"better": 0, "worse": 0, "unclear": 0})
            counts[found["verdict"]] += 1
        for model, share in task[split]["lift_share"].items():
            if share is not None:
                shares.setdefault(model, []).append(share)
    lift = {model: {"mean": float(np.mean(values)), "tasks": len(values)} for model, values in sorted(shares.items())}
    return {"teacher_against": against, "lift_share": lift}


def render(evaluation: Mapping[str, Any], split: str = "test") -> Table:
    """Return an evaluation as a table: the primary metric of each task, by model."""
    table = Table(title=f"Teacher and baselines on {split}", title_justify="left")
    for name in ("task", "metric", "n", "prior", "persistence", "LightGBM raw", "LightGBM all", "teacher", "ceiling"):
        table.add_column(name, justify="left" if name in ("task", "metric") else "right")
    table.add_column("lift share", justify="right")
    table.add_column("against LightGBM all")
    for name, task in evaluation["tasks"].items():
        found, metric = task[split], task["metric"]
        cells = [_cell(found["metrics"], model, metric) for model in (PRIOR, PERSISTENCE, LIGHTGBM_RAW, LIGHTGBM_ALL)]
        own = found["metrics"][TEACHER][metric]
        interval = "" if own["low"] is None else f" [{own['low']:.3f}, {own['high']:.3f}]"
        share = found["lift_share"].get(TEACHER)
        table.add_row(
            name,
            metric,
            f"{found['n']:,}",
            *cells,
            _cell(found["metrics"], TEACHER, metric) + interval,
            _cell(found["metrics"], CEILING, metric),
            "–" if share is None else f"{share:.2f}",
            found["teacher_minus"][LIGHTGBM_ALL]["verdict"],
        )
    return table


def _cell(metrics: Mapping[str, Any], model: str, metric: str) -> str:
    value = metrics.get(model, {}).get(metric, {}).get("value")
    return "–" if value is None else f"{value:.3f}"
