"""The ladder: the steps from the students as they were shipped to the copies of today, one after the other, each measured."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table
from scipy.special import expit

from benchmarks.students.transfer import TransferSet
from finai_assets.features.sampling import sample_customers
from finai_assets.scoring.boosting import BinnedRows, Sample
from finai_assets.scoring.calibration import NO_CALIBRATOR
from finai_assets.scoring.links import LINK_OF_KIND
from finai_assets.settings import Settings
from finai_assets.students.distill import (
    Aim,
    bin_probe,
    bin_splits,
    copy_target,
    hard_target,
    probe_gain,
    train_model,
)
from finai_assets.students.fidelity_measures import Compared, figures_of
from finai_assets.students.result import StudentModel
from finai_assets.students.rows import Part, TaskRows
from finai_assets.training.matrix import MatrixTask, TrainingMatrix
from finai_resources.errors import ConfigError
from finai_resources.progress import report_progress

MEASURES = ("explained_variance", "rank_correlation", "pair_order", "decile_overlap", "kl_share", "agreement")
_LABELS_SHARE = 0.3  # of the target, as it was shipped
_THIRD = 0.3
PURGED, RECOMBINED = "purged", "recombined"


@dataclass(frozen=True)
class Step:
    """A step of the ladder: how the copy is trained on it.

    Parameters
    ----------
    alpha : float
        Share of the label in the target.
    loss : str
        ``direct``: the loss of a model of labels (cross-entropy, Huber); ``copy``: the squared error of the teacher's output.
    chosen_on : str
        Whether the columns are those that explain the label (``direct``) or the teacher's output (``copy``).
    column_share : float
        Share of the columns that are drawn for each tree.
    transfer : tuple of str
        The transfer sets that are learned beside the train rows.
    """

    name: str
    says: str
    alpha: float = 0.0
    loss: Aim = "copy"
    chosen_on: Aim = "copy"
    columns: int = 160
    column_share: float = 1.0
    transfer: tuple[str, ...] = ()


STEPS = (
    Step("a", "as shipped before", alpha=_LABELS_SHARE, loss="direct", chosen_on="direct", columns=80),
    Step("b", "no label in the target", loss="direct", chosen_on="direct", columns=80),
    Step("c", "squared error of the output", chosen_on="direct", columns=80),
    Step("d", "columns chosen on the teacher", columns=80),
    Step("e", "160 columns"),
    Step("f", "a third of them for each tree", column_share=_THIRD),
    Step("g", "319 columns, the size of a union", columns=319, column_share=_THIRD),
    Step("h", "rows of purged months", columns=319, column_share=_THIRD, transfer=(PURGED,)),
    Step("i", "recombined rows as well", columns=319, column_share=_THIRD, transfer=(PURGED, RECOMBINED)),
)


def climb(
    matrix: TrainingMatrix,
    predictions: Mapping[str, np.ndarray],
    settings: Settings,
    *,
    tasks: Sequence[MatrixTask],
    seeds: Sequence[int],
    steps: Sequence[Step] = STEPS,
    transfer: Mapping[str, TransferSet] | None = None,
) -> Iterator[dict[str, Any]]:
    """Train a copy of each task on each step with each seed, and yield a record of each as soon as it is measured.

    Parameters
    ----------
    predictions : dict of task to float [n] or [n, classes]
        The teacher's, row-aligned with the matrix.
    seeds
        Of the sample and the trees that choose the columns, and of the copy.
    transfer
        The sets by name; steps that learn another one are left out.
    """
    sets = transfer or {}
    taken = [step for step in steps if set(step.transfer) <= set(sets)]
    for round_, seed in enumerate(seeds):
        chooser = ColumnChooser.of(matrix, settings.model_copy(update={"seed": seed}))
        for number, task in enumerate(tasks):
            report_progress(f"ladder of {task.name}", round_ * len(tasks) + number, len(seeds) * len(tasks))
            rows = TaskRows(task, matrix, predictions[task.name], chooser.settings)
            # A class has no loss but cross-entropy: there the third step is the second one.
            own = [step for step in taken if task.kind != "multiclass" or step.name != "c"]
            gains = {aim: chooser.gain(rows, aim) for aim in sorted({step.chosen_on for step in own})}
            for step in own:
                kept = chooser.best(gains[step.chosen_on], step.columns)
                yield take_step(rows, step, kept, [sets[name] for name in step.transfer])


@dataclass(frozen=True)
class ColumnChooser:
    """The rows on which columns are chosen, binned once for all tasks and aims.

    Parameters
    ----------
    sample : int64 [m]
        Positions of train rows in the matrix.
    readable : int64 [r]
        Positions of the columns that a model may read.
    """

    matrix: TrainingMatrix
    settings: Settings
    sample: np.ndarray
    readable: np.ndarray
    binned: BinnedRows

    @classmethod
    def of(cls, matrix: TrainingMatrix, settings: Settings) -> ColumnChooser:
        """Draw the sample by the seed, and bin it."""
        readable = np.array([at for at, name in enumerate(matrix.columns) if not settings.inputs.withholds(name)])
        probe = settings.students.probe
        sample = sample_customers(matrix.customer, matrix.rows("train"), probe.rows, settings.seed)
        binned = bin_probe(np.ascontiguousarray(matrix.X[sample][:, readable]), settings)
        return cls(matrix, settings, sample, readable, binned)

    def gain(self, rows: TaskRows, aim: Aim) -> np.ndarray:
        """Return what each readable column explains of the label or of the teacher's output, float64 [r]."""
        part = rows.everyone("train").take(self.sample - self.matrix.rows("train").start)
        at = np.arange(len(part)) if aim == "copy" else np.flatnonzero(np.isfinite(part.label))
        target = rows.target(part.take(at), aim) if aim == "copy" else hard_target(part.label[at], rows.task.classes)
        return probe_gain(rows.task.kind, aim, self.binned, at, target, self.settings)

    def best(self, gain: np.ndarray, count: int) -> np.ndarray:
        """Return the positions of so many columns of the largest gain, in the order of the matrix."""
        best = np.lexsort((np.arange(len(gain)), -gain))[:count]
        return self.readable[np.sort(best)]


def take_step(rows: TaskRows, step: Step, kept: np.ndarray, transfer: Sequence[TransferSet] = ()) -> dict[str, Any]:
    """Train the copy of a step on the kept columns, and measure it on validation and test rows."""
    settings = rows.settings
    students = settings.students.model_copy(update={"column_share": step.column_share})
    settings = settings.model_copy(update={"students": students})
    parts = {split: rows.everyone(split) for split in ("train", "validation", "test")}
    X = {split: rows.features(part.index, kept) for split, part in parts.items()}
    inputs = [X["train"], *(more.X[:, kept] for more in transfer)]
    targets = {split: _target(step, rows.task.kind, part.label, part.teacher) for split, part in parts.items()}
    learned = [targets["train"]]
    for more in transfer:
        told = more.predictions[rows.task.name]
        learned.append(_target(step, rows.task.kind, np.full(len(told), np.nan), told))
    names = [rows.matrix.columns[place] for place in kept]
    begun = time.process_time()
    train, validation = bin_splits(np.concatenate(inputs), X["validation"], names, settings)
    samples = Sample(train, np.concatenate(learned)), Sample(validation, targets["validation"])
    trained = train_model(rows.task.kind, step.loss, *samples, settings)
    seconds = time.process_time() - begun
    init = tuple(float(value) for value in trained.init_score)
    model = StudentModel(trained.text, tuple(names), LINK_OF_KIND[rows.task.kind], init, NO_CALIBRATOR)
    return {
        "task": rows.task.name,
        "step": step.name,
        "says": step.says,
        "seed": settings.seed,
        "rows": train.rows,
        "columns": len(kept),
        "rounds": trained.rounds,
        "leaves": model.size.leaves,
        "bytes": model.size.bytes,
        "cpu_s": seconds,
        **{
            split: _figures(rows, parts[split], model.predict(X[split], threads=students.threads))
            for split in ("validation", "test")
        },
    }


def steps_named(names: tuple[str, ...] | None) -> tuple[Step, ...]:
    """Return the steps of these letters, or all.

    Raises
    ------
    ConfigError
        There is no such step.
    """
    known = [step.name for step in STEPS]
    if unknown := sorted(set(names or ()) - set(known)):
        raise ConfigError(f"there is no step {unknown}", where="--steps", fix=f"choose of {', '.join(known)}")
    return tuple(step for step in STEPS if names is None or step.name in names)


def _target(step: Step, kind: str, label: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    target = copy_target(kind, label, teacher, step.alpha)
    # Cross-entropy is taken against a probability, squared error against its logit.
    return np.asarray(expit(target)) if step.loss == "direct" and kind == "binary" else target


def _figures(rows: TaskRows, part: Part, prediction: np.ndarray) -> dict[str, float]:
    settings, task = rows.settings, rows.task
    decile = settings.students.deciding_decile.get(task.name, "highest")
    compared = Compared(task.kind, part.teacher, prediction, part.label, part.customer, None, decile, rows.noise)
    found = figures_of(compared, settings.metrics.model_copy(update={"bootstrap_samples": 1}), settings.seed)
    return {name: found[name].value for name in MEASURES if name in found and np.isfinite(found[name].value)}


def summarise(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return mean, least and most of every figure over the seeds of each task and step."""
    together: dict[tuple[str, str, str], list[Mapping[str, Any]]] = defaultdict(list)
    for record in records:
        together[record["task"], record["step"], record["says"]].append(record)
    return [
        {
            "task": task,
            "step": step,
            "says": says,
            **{name: _spread(r[name] for r in found) for name in ("columns", "leaves", "bytes", "rounds", "cpu_s")},
            **{
                split: {name: _spread(r[split][name] for r in found) for name in found[0][split]}
                for split in ("validation", "test")
            },
        }
        for (task, step, says), found in together.items()
    ]


def _spread(values: Iterable[float]) -> list[float]:
    seen = list(values)
    return [float(np.mean(seen)), float(min(seen)), float(max(seen))]


def render(summary: Sequence[Mapping[str, Any]], split: str) -> Table:
    """Return the table of one split: means, with least and most where seeds differ."""
    table = Table(title=f"Copies on {split} rows, mean (least, most) over the seeds", title_justify="left")
    for name in ("task", "step"):
        table.add_column(name)
    for name in (*MEASURES, "columns", "leaves", "CPU s"):
        table.add_column(name, justify="right")
    for entry in summary:
        figures = [_cell(entry[split].get(name), 3) for name in MEASURES]
        costs = [f"{entry['columns'][0]:.0f}", f"{entry['leaves'][0]:,.0f}", f"{entry['cpu_s'][0]:.1f}"]
        table.add_row(entry["task"], f"{entry['step']} {entry['says']}", *figures, *costs)
    return table


def line_of(record: Mapping[str, Any]) -> str:
    """Return a record in a line, for who watches."""
    figures = " ".join(f"{name} {value:.3f}" for name, value in record["test"].items())
    return f"{record['task']} {record['step']} seed {record['seed']}: {record['cpu_s']:.0f} CPU-s; on test {figures}"


def _cell(spread: Sequence[float] | None, digits: int) -> str:
    if spread is None:
        return ""
    mean, low, high = (f"{value:.{digits}f}" for value in spread)
    return mean if low == high else f"{mean} ({low}, {high})"
