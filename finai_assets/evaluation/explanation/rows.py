"""The explained rows, the teacher's predictions for altered copies of them, and the loss of each prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from finai_assets.evaluation.baselines import prior
from finai_assets.features.sampling import sample_customers
from finai_assets.scoring.metrics import PROBABILITY_FLOOR
from finai_assets.teacher.network.ple import PLEOutput

if TYPE_CHECKING:
    from finai_assets.teacher.result import TeacherResult
    from finai_assets.training.matrix import MatrixTask, TrainingMatrix

Predictions = dict[str, np.ndarray]


@dataclass(frozen=True)
class ExplainedRows:
    """Some rows of the matrix as the network reads them.

    Parameters
    ----------
    at : int64 [n]
        Where they stand in the matrix.
    x : float32 [n, width]
        Normalised.
    customer : int64 [n]
    month : str [n]
    labels : task -> float32 [n]
        NaN where masked.
    """

    at: np.ndarray
    x: np.ndarray
    customer: np.ndarray
    month: np.ndarray
    labels: dict[str, np.ndarray]

    @classmethod
    def sample(  # which rows, of what
        cls, matrix: TrainingMatrix, teacher: TeacherResult, split: str, limit: int, seed: int
    ) -> ExplainedRows:
        """Take the rows of a seeded sample of whole customers of a split."""
        at = sample_customers(matrix.customer, matrix.rows(split), limit, seed)
        x = teacher.normaliser.transform(matrix.X[at], None if matrix.side is None else matrix.side[at])
        labels = {task.name: np.array(matrix.labels[task.name][at]) for task in matrix.tasks}
        return cls(at, x, np.asarray(matrix.customer[at]), np.asarray(matrix.month[at]), labels)

    def __len__(self) -> int:
        return len(self.customer)


def calibrated(teacher: TeacherResult, output: PLEOutput) -> Predictions:
    """Return the teacher's predictions for logits: calibrated probabilities [n] or [n, classes], or values [n]."""
    return {
        name: fitted.apply(output.logits[name].float().numpy())
        for name, fitted in teacher.calibration.items()
        if name in output.logits
    }


@torch.no_grad()
def predict_rows(teacher: TeacherResult, x: Tensor, batch_rows: int) -> Predictions:
    """Return the calibrated predictions of normalised rows float [n, width]."""
    parts = [
        calibrated(teacher, teacher.model(x[start : start + batch_rows])) for start in range(0, len(x), batch_rows)
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@dataclass(frozen=True)
class Scale:
    """The units of a task's changes and losses.

    Parameters
    ----------
    task : MatrixTask
    spread : float
        Standard deviation of a regression's train labels; 1 for the others.
    trivial : float32 [classes] or float
        What the train average predicts.
    """

    task: MatrixTask
    spread: float
    trivial: np.ndarray

    @classmethod
    def of(cls, matrix: TrainingMatrix, task: MatrixTask) -> Scale:
        """Fit on the train labels."""
        label = np.asarray(matrix.labels[task.name][matrix.rows("train")], dtype=np.float64)
        spread = float(np.nanstd(label)) if task.kind == "regression" else 1.0
        return cls(task, spread or 1.0, prior(task, label, 1)[0])

    def change(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Return how far a prediction has moved, float64 [n].

        The total variation between probabilities (of a binary task, the change of the probability), or the change of a value
        in standard deviations of its train labels.
        """
        moved = np.abs(after.astype(np.float64) - before)
        return np.asarray(moved.sum(1) / 2 if moved.ndim == 2 else moved / self.spread)

    def loss(self, label: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Return the loss of each row, float64 [n], NaN where masked: log-loss, or squared error over the train variance."""
        known = np.isfinite(label)
        p, y = prediction.astype(np.float64), np.where(known, label, 0.0)
        if self.task.kind == "regression":
            found = ((y - p) / self.spread) ** 2
        else:
            hit = p[np.arange(len(y)), y.astype(np.int64)] if p.ndim == 2 else np.where(y > 0.5, p, 1 - p)
            found = -np.log(np.clip(hit, PROBABILITY_FLOOR, 1))
        return np.where(known, found, np.nan)

    def trivial_loss(self, label: np.ndarray) -> float:
        """Return the mean loss of the train average on some labels; NaN where none is known."""
        repeated = np.broadcast_to(self.trivial, (len(label), *np.shape(self.trivial)))
        found = self.loss(label, repeated)
        return float(np.nanmean(found)) if np.isfinite(found).any() else float("nan")


def scales(matrix: TrainingMatrix) -> Mapping[str, Scale]:
    """Return the scale of every task."""
    return {task.name: Scale.of(matrix, task) for task in matrix.tasks}
