"""What students cost: time and memory for all of them at a number of rows, and what a copy explains at each size."""

from __future__ import annotations

import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rich.table import Table

from finai_assets.features.registry import Registry
from finai_assets.scoring.boosting import Trees
from finai_assets.scoring.calibration import NO_CALIBRATOR
from finai_assets.scoring.links import LINK_OF_KIND
from finai_assets.settings import Settings
from finai_assets.students.binned import BinnedCopies
from finai_assets.students.columns import TaskColumns, choose_columns
from finai_assets.students.distill import train_model
from finai_assets.students.fidelity_measures import Compared, figures_of
from finai_assets.students.result import StudentModel
from finai_assets.students.rows import TaskRows
from finai_assets.students.train import places, train_student
from finai_assets.training.matrix import MatrixTask, TrainingMatrix
from finai_resources.progress import report_progress

TARGET_S = 300.0
CUTS = (12, 25, 50, 100, 200, 400)


def enlarge(matrix: TrainingMatrix, rows: int, seed: int) -> tuple[TrainingMatrix, np.ndarray]:
    """Draw train rows with replacement up to ``rows``; the other splits stay.

    Returns
    -------
    matrix : TrainingMatrix
        In memory, without side tensors, which no student reads.
    index : int64 [n]
        Where each of its rows stands in the given one.
    """
    train = matrix.rows("train")
    drawn = np.sort(np.random.default_rng(seed).integers(train.start, train.stop, rows))
    index = np.concatenate([drawn, np.arange(train.stop, len(matrix))])
    larger = TrainingMatrix(
        X=matrix.X[index],
        customer=matrix.customer[index],
        month=matrix.month[index],
        split=matrix.split[index],
        labels={name: np.asarray(values)[index] for name, values in matrix.labels.items()},
        persistence={name: np.asarray(values)[index] for name, values in matrix.persistence.items()},
        columns=matrix.columns,
        tasks=matrix.tasks,
    )
    return larger, index


def time_students(
    matrix: TrainingMatrix,
    predictions: Mapping[str, np.ndarray],
    registry: Registry,
    settings: Settings,
    *,
    displayable: frozenset[str] = frozenset(),
    rule_columns: frozenset[str] = frozenset(),
) -> dict[str, Any]:
    """Choose the columns and train every student as a run does, and return wall and CPU time of each and peak memory."""
    train = matrix.rows("train")
    stages = {}
    watch = _Watch()
    columns = choose_columns(matrix, predictions, settings, displayable=displayable, rule_columns=rule_columns)
    stages["columns"] = watch.lap()
    binned = BinnedCopies()
    for number, task in enumerate(matrix.tasks):
        report_progress(f"student of {task.name}", number, len(matrix.tasks))
        told, own = predictions[task.name], columns[task.name]
        student = train_student(task, matrix, told, registry, settings, columns=own, binned=binned)
        stages[task.name] = {**watch.lap(), "route": student.route, "leaves": student.leaves}
    return {
        "rows": train.stop - train.start,
        "threads": settings.students.threads,
        "stages": stages,
        "wall_s": sum(stage["wall_s"] for stage in stages.values()),
        "cpu_s": sum(stage["cpu_s"] for stage in stages.values()),
        "target_s": TARGET_S,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


class _Watch:
    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def lap(self) -> dict[str, Any]:
        """Return the seconds since the last lap."""
        wall, cpu = time.perf_counter(), time.process_time()
        passed = {"wall_s": wall - self.wall, "cpu_s": cpu - self.cpu}
        self.wall, self.cpu = wall, cpu
        return passed


def budget_curve(
    matrix: TrainingMatrix,
    predictions: Mapping[str, np.ndarray],
    settings: Settings,
    *,
    tasks: Sequence[MatrixTask],
    cuts: Sequence[int] = CUTS,
    displayable: frozenset[str] = frozenset(),
    rule_columns: frozenset[str] = frozenset(),
) -> list[dict[str, Any]]:
    """Train a copy of each task to its full rounds, and return what it explains on validation rows when cut earlier.

    A copy that would be cut at more rounds than its kind has is measured at its full rounds instead.
    """
    narrowed = replace(matrix, tasks=tuple(tasks))
    columns = choose_columns(narrowed, predictions, settings, displayable=displayable, rule_columns=rule_columns)
    records: list[dict[str, Any]] = []
    for number, task in enumerate(tasks):
        report_progress(f"budget of {task.name}", number, len(tasks))
        rows = TaskRows(task, matrix, predictions[task.name], settings)
        full = getattr(settings.students.rounds, task.kind)
        trees = _full(rows, columns[task.name], full)
        records += [_at(rows, columns[task.name], trees, cut) for cut in sorted({min(cut, full) for cut in cuts})]
    return records


def _full(rows: TaskRows, columns: TaskColumns, rounds: int) -> Trees:
    """Train a copy that stops where more rounds make it less faithful, however little each thousand leaves explain."""
    students = rows.settings.students.model_copy(update={"early_stopping_rounds": rounds, "least_explained": 0.0})
    settings = rows.settings.model_copy(update={"students": students})
    learned, held_out = BinnedCopies().samples(rows, "copy", columns.names["copy"])
    return train_model(rows.task.kind, "copy", learned, held_out, settings)


def _at(rows: TaskRows, columns: TaskColumns, trees: Trees, rounds: int) -> dict[str, Any]:
    """Return size and figures of a copy that ends with a round."""
    task, settings, names = rows.task, rows.settings, columns.names["copy"]
    init = tuple(float(value) for value in trees.init_score)
    model = StudentModel(trees.cut(rounds), names, LINK_OF_KIND[task.kind], init, NO_CALIBRATOR)
    part = rows.everyone("validation")
    X = rows.features(part.index, places(rows.matrix, names))
    prediction = model.predict(X, threads=settings.students.threads)
    compared = Compared(task.kind, part.teacher, prediction, part.label, part.customer)
    found = figures_of(compared, settings.metrics.model_copy(update={"bootstrap_samples": 1}), settings.seed)
    return {
        "task": task.name,
        "rounds": rounds,
        "columns": len(names),
        "trees": model.size.trees,
        "leaves": model.size.leaves,
        "bytes": model.size.bytes,
        "explained_variance": found["explained_variance"].value,
    }


def render_time(found: Mapping[str, Any]) -> Table:
    """Return the table of times."""
    table = Table(title=f"Students of {found['rows']:,} train rows, {found['threads']} threads", title_justify="left")
    for name in ("stage", "route", "leaves", "wall s", "CPU s"):
        table.add_column(name, justify="left" if name in {"stage", "route"} else "right")
    for name, stage in found["stages"].items():
        leaves = f"{stage['leaves']:,}" if "leaves" in stage else ""
        table.add_row(name, stage.get("route", ""), leaves, f"{stage['wall_s']:.1f}", f"{stage['cpu_s']:.1f}")
    table.add_row("all", "", "", f"{found['wall_s']:.1f}", f"{found['cpu_s']:.1f}")
    return table


def render_budget(records: Sequence[Mapping[str, Any]]) -> Table:
    """Return the curve: what a copy explains at each size, and what the last 1,000 leaves have added; no row twice."""
    table = Table(title="Explained variance on validation rows of copies that are cut", title_justify="left")
    for name in ("task", "rounds", "leaves", "kB", "explained variance", "per 1,000 leaves more", "per MB"):
        table.add_column(name, justify="left" if name == "task" else "right")
    before: Mapping[str, Any] = {"task": None}
    for record in records:
        follows = record["task"] == before["task"]
        if follows and record["leaves"] == before["leaves"]:  # it had stopped before
            continue
        last = before if follows else {"leaves": 0, "explained_variance": 0.0}
        more = (record["explained_variance"] - last["explained_variance"]) / (record["leaves"] - last["leaves"]) * 1000
        table.add_row(
            record["task"],
            str(record["rounds"]),
            f"{record['leaves']:,}",
            f"{record['bytes'] / 1e3:,.0f}",
            f"{record['explained_variance']:.3f}",
            f"{more:+.4f}",
            f"{record['explained_variance'] / record['bytes'] * 1e6:.2f}",
        )
        before = record
    return table
