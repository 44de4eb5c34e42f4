"""Trains the teacher, from the training matrix to the calibrated result.

Parameters are fitted on train rows; the epoch and the calibration are chosen on validation rows. The loop itself is in
``loop.py``, a step in ``steps.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from finai_assets.scoring.calibration import Calibration, fit_calibration
from finai_assets.teacher.data import Named, TeacherData
from finai_assets.teacher.fitting.checkpoint import Checkpoint, fingerprint
from finai_assets.teacher.fitting.loop import Run
from finai_assets.teacher.fitting.process_group import ProcessGroup, device_of
from finai_assets.teacher.fitting.training_fingerprint import training_fingerprint
from finai_assets.teacher.layout import layout_of, require_readers
from finai_assets.teacher.network.ple import PLE, parameter_table
from finai_assets.teacher.network.protocol import Network
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.result import EpochRecord, TeacherResult, deterministic, predict, raw_logits
from finai_assets.teacher.store import teacher_from_files, teacher_to_files
from finai_assets.teacher.structure import Structure
from finai_assets.training.fitted_rows import FittedRows

if TYPE_CHECKING:
    from finai_assets.features.registry import Registry
    from finai_assets.settings import Settings
    from finai_assets.training.matrix import TrainingMatrix

__all__ = ["EpochRecord", "TeacherResult", "predict", "teacher_from_files", "teacher_to_files", "train_teacher"]


def train_teacher(
    matrix: TrainingMatrix,
    registry: Registry,
    tasks: Sequence[Named],
    settings: Settings,
    after_epoch: Callable[[EpochRecord], None] | None = None,
    checkpoint_dir: Path | None = None,
    *,
    processes: ProcessGroup | None = None,
) -> TeacherResult:
    """Train on the train rows, stop and calibrate on validation. Test rows are not read.

    Parameters
    ----------
    matrix : TrainingMatrix
    tasks : sequence of anything with a name
        Which of the matrix's tasks to learn.
    after_epoch
        Called after each epoch, when its checkpoint is on disk.
    checkpoint_dir
        Where an interrupted run of exactly this configuration and data is taken up again; None keeps no checkpoint.
    processes : ProcessGroup, optional
        The processes that train together; this one alone by default. Where one is given, its finished run stays as a checkpoint,
        from which a call without it has the result at once.

    Raises
    ------
    GateError
        A split has no rows, a task has no labels, or a loss is not finite (the error names task and batch).
    ConfigError
        An expert is not built.
    """
    chosen = settings.teacher
    place = processes or ProcessGroup(device_of(chosen.loop.device))
    with deterministic(chosen.threads, settings.seed, place.device):
        data, normaliser, structure = prepare(matrix, registry, tasks, settings)
        groups = tuple(group.name for group in registry.groups)
        model = PLE(normaliser, data.tasks, chosen, structure=structure, known_groups=groups)
        run = Run(model, normaliser, data, settings, place)
        checkpoint = None
        if checkpoint_dir is not None:
            checkpoint = Checkpoint(checkpoint_dir, fingerprint(data, normaliser, structure, settings))
        learn(run, checkpoint, after_epoch=after_epoch)
        steps = settings.checks.reproducible.fingerprint_steps
        first_steps = training_fingerprint(data, normaliser, structure, settings, known_groups=groups, steps=steps)
        calibration = calibrate(model, normaliser, data, chosen.batch_rows)
        if checkpoint is not None and processes is None:
            checkpoint.remove()
    return TeacherResult(
        model=model,
        normaliser=normaliser,
        structure=structure,
        settings=chosen,
        history=tuple(run.history),
        best_epoch=run.best_epoch,
        parameter_table=parameter_table(model),
        calibration=calibration,
        fitted_on=fitted_on(matrix, data),
        seed=settings.seed,
        training_fingerprint=first_steps,
    )


def learn(
    run: Run,
    checkpoint: Checkpoint | None,
    *,
    after_epoch: Callable[[EpochRecord], None] | None = None,
) -> None:
    """Train a run to its end, from its checkpoint on; its model then holds the best weights, on the CPU."""
    save = None
    if checkpoint is not None:
        checkpoint.restore(run)
        save = partial(checkpoint.save, run)
    while not run.finished:
        record = run.epoch(save)
        if save is not None:
            save()
        if after_epoch is not None:
            after_epoch(record)
    run.model.load_state_dict(run.best)
    run.model.cpu()  # predictions are calibrated on the device that will make them


def prepare(
    matrix: TrainingMatrix, registry: Registry, tasks: Sequence[Named], settings: Settings
) -> tuple[TeacherData, Normaliser, Structure]:
    """Fit the tasks' constants, the normaliser and the structure on train rows, before the network is trained.

    Raises
    ------
    ConfigError
        No expert reads one of the matrix's groups, and ``teacher.unread_groups`` does not say why.
    """
    data = TeacherData.of(matrix, tasks, settings)
    layout = layout_of(registry, settings, matrix.columns, matrix.tensors)
    require_readers(layout, registry, settings.teacher)
    normaliser = Normaliser.fit(matrix.X, matrix.rows("train"), layout, settings.teacher.normalise, matrix.side)
    return data, normaliser, structure_of(matrix, registry)


def calibrate(model: Network, normaliser: Normaliser, data: TeacherData, batch_rows: int) -> dict[str, Calibration]:
    """Fit each task's calibration to the model's logits of the validation rows; call it inside :func:`deterministic`."""
    held_out = data.validation
    logits, _ = raw_logits(model, normaliser, data.X[held_out], batch_rows, data.side_of(held_out))
    return {
        task.name: fit_calibration(task.name, task.kind, logits[task.name], data.validation_labels(task.name))
        for task in data.tasks
    }


def structure_of(matrix: TrainingMatrix, registry: Registry) -> Structure:
    """Return the structure that experts are built with; of the rows, train alone takes part."""
    return Structure.fit(
        matrix.X,
        matrix.rows("train"),
        customer=matrix.customer,
        month=matrix.month,
        columns=matrix.columns,
        held=registry.group("product_holdings").names,
        catalogue=matrix.catalogue,
    )


def fitted_on(matrix: TrainingMatrix, data: TeacherData) -> dict[str, FittedRows]:
    """Return the rows that each fitted part of the teacher has seen."""
    train, learned, validation = (
        FittedRows.of(matrix, rows) for rows in (matrix.rows("train"), data.train, data.validation)
    )
    return {
        "normaliser": train,
        "structure": train,
        "task_constants": train,
        "weights": learned,
        "stopping": validation,
        "calibration": validation,
    }
