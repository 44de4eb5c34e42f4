"""What a finished run has left in a home: the training matrix, the teacher and its predictions."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from finai_assets.asset_graph import PREDICTIONS, TEACHER
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_assets.teacher.predictions import load_predictions
from finai_assets.teacher.result import TeacherResult
from finai_assets.teacher.train import teacher_from_files
from finai_assets.training.matrix import MatrixTask, TrainingMatrix, load_matrix
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession


@dataclass(frozen=True)
class Home:
    """A home that is read, with the settings of its data set and profile.

    Parameters
    ----------
    predictions : dict of task to float32 [n] or [n, classes]
        The teacher's, row-aligned with the matrix.
    """

    settings: Settings
    platform: Platform
    session: LakeSession
    matrix: TrainingMatrix
    predictions: dict[str, np.ndarray]

    @classmethod
    def open(cls, folder: Path, dataset: str, profile: str) -> Home:
        """Open a home.

        Raises
        ------
        LakeError
            It holds no training matrix or no predictions.
        """
        settings = load_settings(dataset, profile)
        session = LakeSession(Lake.on_disk(folder / "lake"))
        matrix = load_matrix(session)
        predictions = load_predictions(session.read(PREDICTIONS), matrix.tasks)
        return cls(settings, Platform.of(settings), session, matrix, predictions)

    @cached_property
    def teacher(self) -> TeacherResult:
        """Return the stored teacher.

        Raises
        ------
        GateError
            It was trained for other columns, tasks or settings.
        """
        platform = self.platform
        files = self.session.read_files(TEACHER)
        return teacher_from_files(files, platform.registry, platform.available_tasks, self.settings)


def chosen_tasks(matrix: TrainingMatrix, names: tuple[str, ...] | None) -> tuple[MatrixTask, ...]:
    """Return the named tasks of a matrix, in its order, or all.

    Raises
    ------
    ConfigError
        The matrix has no such task.
    """
    known = [task.name for task in matrix.tasks]
    if unknown := sorted(set(names or ()) - set(known)):
        raise ConfigError(f"there is no task {unknown}", where="--tasks", fix=f"choose of {', '.join(known)}")
    return tuple(task for task in matrix.tasks if names is None or task.name in names)
