"""A task's rows of the training matrix, beside the teacher's predictions, and how a prediction of them is scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from finai_assets.asset_graph import student_asset
from finai_assets.evaluation.baselines import persistence
from finai_assets.features.registry import Registry
from finai_assets.scoring.metrics import LOWER_IS_BETTER, PRIMARY, Estimate, evaluate, paired_difference
from finai_assets.settings import Settings
from finai_assets.students.distill import Aim, copy_target, hard_target
from finai_assets.students.transfer import TransferSet
from finai_assets.training.matrix import MatrixTask, TrainingMatrix
from finai_resources.errors import GateError

PRIOR, PERSISTENCE = "prior", "persistence"


@dataclass(frozen=True)
class Part:
    """Rows of a split: positions in the matrix, label (NaN where masked), teacher's prediction, customer."""

    index: np.ndarray
    label: np.ndarray
    teacher: np.ndarray
    customer: np.ndarray

    def __len__(self) -> int:
        return len(self.label)

    def take(self, rows: np.ndarray) -> Part:
        """Return some of the rows."""
        return Part(self.index[rows], self.label[rows], self.teacher[rows], self.customer[rows])


@dataclass(frozen=True)
class Trivial:
    """The trivial forecasts of a task: ``name`` is the better one on validation of ``forecasts``, by name.

    A forecast takes a part and returns float [rows] or [rows, classes].
    """

    name: str
    forecasts: Mapping[str, Callable[[Part], np.ndarray]]

    def predict(self, part: Part) -> np.ndarray:
        """Return the better forecast for the rows of a part."""
        return self.forecasts[self.name](part)


@dataclass(frozen=True)
class TaskRows:
    """One task's view of the matrix.

    Parameters
    ----------
    teacher : float32 [n] or [n, classes]
        Predictions of every row of the matrix.
    transfer : TransferSet, optional
        Rows of other months that a copy learns from too.
    """

    task: MatrixTask
    matrix: TrainingMatrix
    teacher: np.ndarray
    settings: Settings
    transfer: TransferSet | None = None

    def require_fit(self, registry: Registry) -> None:
        """Refuse predictions or columns that belong to another matrix.

        Raises
        ------
        GateError
            Shapes or columns differ.
        """
        n = len(self.matrix.customer)
        expected = (n, self.task.classes) if self.task.kind == "multiclass" else (n,)
        if self.teacher.shape != expected:
            raise GateError(
                f"the teacher's predictions have shape {self.teacher.shape}, the matrix asks for {expected}",
                where=self.where,
                fix="let the teacher predict the rows of this training matrix",
            )
        if tuple(self.matrix.columns) != registry.names:
            raise GateError(
                f"the matrix's {len(self.matrix.columns)} columns are not the registry's {len(registry.names)}, in order",
                where=self.where,
                fix="materialise the training matrix again",
            )

    @property
    def noise(self) -> float:
        """Return the standard deviation of the teacher's output between seeds, 0 where it was not measured."""
        measured = self.settings.students.noise_ceiling.tasks.get(self.task.name)
        return measured.noise if measured else 0.0

    @property
    def where(self) -> str:
        """Return the name of the task's student in errors."""
        return student_asset(self.task.name)

    def part(self, split: str) -> Part:
        """Return the labelled rows of a split.

        Raises
        ------
        GateError
            There is none.
        """
        everyone = self.everyone(split)
        known = np.flatnonzero(np.isfinite(everyone.label))
        if not len(known):
            raise GateError(f"no {split} row has a label", where=self.where, fix="widen the split or drop the task")
        return everyone.take(known)

    def everyone(self, split: str) -> Part:
        """Return all rows of a split: a copy learns from, and is compared on, the unlabelled ones too."""
        rows = self.matrix.rows(split)
        label = np.asarray(self.matrix.labels[self.task.name][rows], dtype=np.float64)
        teacher = np.asarray(self.teacher[rows], dtype=np.float64)
        return Part(np.arange(rows.start, rows.stop), label, teacher, self.matrix.customer[rows])

    def features(self, index: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Return float32 [rows, kept columns] of the matrix."""
        return np.ascontiguousarray(self.matrix.X[np.ix_(index, kept)], dtype=np.float32)

    def seen(self, split: str, aim: Aim) -> Part:
        """Return the rows of a split that a model learns from: a copy needs no label."""
        return self.everyone(split) if aim == "copy" else self.part(split)

    def inputs(self, split: str, aim: Aim, names: Sequence[str]) -> np.ndarray:
        """Return the rows that a model learns from, or is stopped on, float32 [n, names].

        The train rows of a copy include the transfer set.
        """
        place = {name: index for index, name in enumerate(self.matrix.columns)}
        X = self.features(self.seen(split, aim).index, np.array([place[name] for name in names], dtype=np.int64))
        more = self._transfer(split, aim)
        return X if more is None else np.concatenate([X, more.features(names)])

    def targets(self, split: str, aim: Aim) -> np.ndarray:
        """Return what a model learns of the rows of :meth:`inputs`, float64 [n] or [n, classes]."""
        target, more = self.target(self.seen(split, aim), aim), self._transfer(split, aim)
        if more is None:
            return target
        told = more.predictions[self.task.name]
        unlabelled = np.full(len(told), np.nan)
        return np.concatenate([target, copy_target(self.task.kind, unlabelled, told, self.settings.students.alpha)])

    def _transfer(self, split: str, aim: Aim) -> TransferSet | None:
        return self.transfer if aim == "copy" and split == "train" else None

    def target(self, part: Part, aim: Aim) -> np.ndarray:
        """Return what a student learns: the labels, or the teacher's output."""
        if aim == "direct":
            return hard_target(part.label, self.task.classes)
        return copy_target(self.task.kind, part.label, part.teacher, self.settings.students.alpha)

    def prior(self, train: Part) -> np.ndarray:
        """Return the constant prediction: the mean, or class frequencies with one row added to each."""
        if self.task.kind != "multiclass":
            return np.asarray(train.label.mean())
        count = np.bincount(train.label.astype(np.int64), minlength=self.task.classes) + 1.0
        return count / count.sum()

    def trivial(self, train: Part, validation: Part) -> Trivial:
        """Return the trivial forecast: the constant one, or persistence where that is better on validation."""
        prior = self.prior(train)
        found: dict[str, Callable[[Part], np.ndarray]] = {PRIOR: lambda part: constant(prior, part)}
        current = self.matrix.persistence.get(self.task.name)
        if current is not None:
            found[PERSISTENCE] = lambda part: persistence(
                self.task, current[train.index], train.label, current[part.index]
            )
        metric = PRIMARY[self.task.kind]
        value = {name: self.score(validation, predict(validation))[metric].value for name, predict in found.items()}
        best = (min if metric in LOWER_IS_BETTER else max)(found, key=lambda name: value[name])
        return Trivial(best, found)

    def score(self, part: Part, prediction: np.ndarray) -> dict[str, Estimate]:
        """Return every metric of a prediction of the part's rows."""
        return evaluate(
            self.task.kind,
            part.label,
            prediction,
            part.customer,
            classes=self.task.classes,
            settings=self.settings.metrics,
            seed=self.settings.seed,
        )

    def difference(self, part: Part, first: np.ndarray, second: np.ndarray) -> Estimate:
        """Return the paired difference of the primary metric of two predictions of the part's rows."""
        return paired_difference(
            self.task.kind,
            part.label,
            first,
            second,
            part.customer,
            classes=self.task.classes,
            settings=self.settings.metrics,
            seed=self.settings.seed,
        )


def constant(prior: np.ndarray, part: Part) -> np.ndarray:
    """Return the constant prediction for every row of a part."""
    return np.broadcast_to(prior, (len(part), *prior.shape))
