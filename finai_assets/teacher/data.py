"""The rows and labels that training may see: train rows to learn from, validation rows to stop and calibrate on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from finai_assets.asset_graph import MATRIX
from finai_assets.features.sampling import sample_customers
from finai_assets.teacher.fitting.losses import TeacherTask
from finai_resources.errors import GateError

if TYPE_CHECKING:
    from finai_assets.settings import Settings
    from finai_assets.training.matrix import TrainingMatrix


class Named(Protocol):
    """Anything with a task's name."""

    @property
    def name(self) -> str:
        """Return the name."""


@dataclass(frozen=True)
class TeacherData:
    """Train and validation rows of a matrix.

    Parameters
    ----------
    X : float32 [n, d]
        The whole matrix, usually a memory map.
    side : float32 [n, total] or None
        The side tensors of the same rows.
    train : int64 [m]
        Row numbers to learn from.
    validation : slice
    labels : task -> float32 [n]
    tasks : tuple of TeacherTask
        With constants fitted on the train rows.
    """

    X: np.ndarray
    side: np.ndarray | None
    train: np.ndarray
    validation: slice
    labels: dict[str, np.ndarray]
    tasks: tuple[TeacherTask, ...]

    @classmethod
    def of(cls, matrix: TrainingMatrix, tasks: Sequence[Named], settings: Settings) -> TeacherData:
        """Take the rows and labels of the named tasks.

        Raises
        ------
        GateError
            A split has no rows, or a task no labels.
        """
        rows, validation = matrix.rows("train"), matrix.rows("validation")
        for name, part in (("train", rows), ("validation", validation)):
            if part.stop <= part.start:
                raise GateError(f"the {name} split has no rows", where=MATRIX, fix=f"widen splits.{name}")
        wanted = {task.name for task in tasks}
        if missing := wanted - {task.name for task in matrix.tasks}:
            raise GateError(
                f"the matrix has no labels of {sorted(missing)}",
                where=MATRIX,
                fix="materialise the training matrix again with this configuration",
            )
        found = [task for task in matrix.tasks if task.name in wanted]
        delta = settings.teacher.huber_delta
        return cls(
            X=matrix.X,
            side=matrix.side,
            train=sample_customers(matrix.customer, rows, settings.teacher.max_train_rows, settings.seed),
            validation=validation,
            labels={task.name: np.asarray(matrix.labels[task.name], dtype=np.float32) for task in found},
            tasks=tuple(TeacherTask.fit(task, np.asarray(matrix.labels[task.name][rows]), delta) for task in found),
        )

    def side_of(self, rows: np.ndarray | slice) -> np.ndarray | None:
        """Return the side tensors of some rows."""
        return None if self.side is None else self.side[rows]

    def validation_labels(self, task: str) -> np.ndarray:
        """Return the labels of the validation rows, float32 [rows]."""
        return self.labels[task][self.validation].copy()  # a stored label may be read-only, which torch warns about
