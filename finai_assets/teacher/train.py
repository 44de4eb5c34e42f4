"""Training of the teacher: batches, optimiser, early stopping, and the result.

The whole run follows from the seed: the order of rows and the dropout of an epoch are seeded by its number, so a run resumed
after an epoch is the run that was never interrupted, bit by bit (same machine, same number of threads).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from finai_assets.method_settings import TeacherSettings
from finai_assets.teacher.calibrate import fit_calibration
from finai_assets.teacher.checkpoint import Checkpoint, fingerprint
from finai_assets.teacher.data import Named, TeacherData
from finai_assets.teacher.layout import layout_of
from finai_assets.teacher.losses import UncertaintyWeights, row_losses, task_loss
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.ple import PLE, parameter_table
from finai_assets.teacher.result import EpochRecord, TeacherResult, deterministic, predict, raw_logits
from finai_assets.teacher.store import teacher_from_files, teacher_to_files
from finai_resources.errors import GateError

if TYPE_CHECKING:
    from finai_assets.features.matrix import TrainingMatrix
    from finai_assets.features.registry import Registry
    from finai_assets.settings import Settings
    from finai_assets.teacher.losses import TeacherTask

__all__ = ["EpochRecord", "TeacherResult", "predict", "teacher_from_files", "teacher_to_files", "train_teacher"]


def train_teacher(
    matrix: TrainingMatrix,
    registry: Registry,
    tasks: Sequence[Named],
    settings: Settings,
    progress: Callable[[EpochRecord], None] | None = None,
    checkpoint_dir: Path | None = None,
) -> TeacherResult:
    """Train on the train rows, stop and calibrate on validation. Test rows are not read.

    Parameters
    ----------
    matrix : TrainingMatrix
    tasks : sequence of anything with a name
        Which of the matrix's tasks to learn.
    progress
        Called after each epoch, when its checkpoint is on disk.
    checkpoint_dir
        Where an interrupted run of exactly this configuration and data is taken up again; None keeps no checkpoint.

    Raises
    ------
    GateError
        A split has no rows, a task has no labels, or a loss is not finite (the error names task and batch).
    ConfigError
        An expert is not built.
    """
    chosen = settings.teacher
    with deterministic(chosen.threads, settings.seed):
        data = TeacherData.of(matrix, tasks, settings)
        layout = layout_of(registry, settings, matrix.columns)
        normaliser = Normaliser.fit(matrix.X, matrix.rows("train"), layout, chosen.normalise)
        model = PLE(normaliser, data.tasks, chosen, known_groups=tuple(group.name for group in registry.groups))
        run = Run(model, normaliser, data, settings)
        checkpoint = None
        if checkpoint_dir is not None:
            checkpoint = Checkpoint(checkpoint_dir, fingerprint(data, normaliser, settings))
            checkpoint.restore(run)
        while not run.finished:
            record = run.epoch()
            if checkpoint is not None:
                checkpoint.save(run)
            if progress is not None:
                progress(record)
        model.load_state_dict(run.best)
        logits, _ = raw_logits(model, normaliser, data.X[data.validation], chosen.batch_rows)
        calibration = {
            task.name: fit_calibration(task.name, task.kind, logits[task.name], data.validation_labels(task.name))
            for task in data.tasks
        }
        if checkpoint is not None:
            checkpoint.remove()
    return TeacherResult(
        model=model,
        normaliser=normaliser,
        settings=chosen,
        history=tuple(run.history),
        best_epoch=run.best_epoch,
        parameter_table=parameter_table(model),
        calibration=calibration,
        seed=settings.seed,
    )


class Run:
    """The state of a training run between epochs: what a checkpoint keeps.

    Parameters
    ----------
    model, normaliser, data, settings
        The model is trained in place; ``best`` holds the weights of the best epoch so far.
    """

    def __init__(self, model: PLE, normaliser: Normaliser, data: TeacherData, settings: Settings) -> None:
        self.model, self.normaliser, self.data = model, normaliser, data
        self.chosen, self.seed = settings.teacher, settings.seed
        self.balance = UncertaintyWeights(data.tasks, self.chosen.uncertainty_clamp)
        self.optimiser = make_optimiser(model, self.balance, self.chosen)
        self.history: list[EpochRecord] = []
        self.best: dict[str, Tensor] = {}
        self.best_epoch = 0
        self.batches = -(-len(data.train) // self.chosen.batch_rows)
        self._trivial = self._constant_losses()

    @property
    def finished(self) -> bool:
        """Tell whether the epochs or the patience are used up."""
        done = len(self.history)
        return done >= self.chosen.epochs or (done > 0 and done - self.best_epoch >= self.chosen.patience)

    def epoch(self) -> EpochRecord:
        """Train one epoch and score it on validation."""
        begun, number = time.perf_counter(), len(self.history) + 1
        train = self._train(number)
        validation = self._validate()
        score = float(np.mean([1.0 - loss / self._trivial[name] for name, loss in validation.items()]))
        if not self.best or score > self.history[self.best_epoch - 1].score:
            self.best_epoch = number
            self.best = {name: value.clone() for name, value in self.model.state_dict().items()}
        record = EpochRecord(number, score, train, validation, time.perf_counter() - begun)
        self.history.append(record)
        return record

    def _train(self, number: int) -> dict[str, float]:
        order = np.random.default_rng([self.seed, number]).permutation(self.data.train)
        torch.manual_seed(self.seed * 1_000_003 + number)
        self.model.train()
        seen: dict[str, list[float]] = {task.name: [] for task in self.data.tasks}
        for batch in range(self.batches):
            # ascending within the batch: a memory map is read forwards
            at = np.sort(order[batch * self.chosen.batch_rows : (batch + 1) * self.chosen.batch_rows])
            self._set_rate((number - 1) * self.batches + batch)
            losses = self._step(at, where=f"epoch {number}, batch {batch + 1} of {self.batches}")
            for name, loss in losses.items():
                seen[name].append(loss)
        return {name: float(np.mean(losses)) for name, losses in seen.items() if losses}

    def _step(self, at: np.ndarray, *, where: str) -> dict[str, float]:
        """Learn from some rows; return the losses of the tasks that have labels among them."""
        output = self.model(torch.from_numpy(self.normaliser.transform(self.data.X[at])))
        losses: dict[str, Tensor] = {}
        for task in self.data.tasks:
            label = self.data.labels[task.name][at]
            if np.isfinite(label).any():
                logits = output.logits[task.name]
                losses[task.name] = task_loss(task, logits, torch.from_numpy(label), self.chosen.huber_delta)
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        for name, value in values.items():
            if not math.isfinite(value):
                raise GateError(
                    f"the loss of task {name!r} is {value} in {where}",
                    where="teacher training",
                    fix="look for extreme values in the features of these rows, or lower teacher.learning_rate",
                )
        if losses:
            self.optimiser.zero_grad(set_to_none=True)
            self.balance(losses).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), self.chosen.gradient_clip)
            self.optimiser.step()
            self.balance.project()
        return values

    def _set_rate(self, step: int) -> None:
        """Set the learning rate: a linear warm-up, then a cosine down to zero at the last planned step."""
        total = self.chosen.epochs * self.batches
        warm = max(1, round(self.chosen.warmup_share * total))
        share = (
            (step + 1) / warm if step < warm else 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))
        )
        for group in self.optimiser.param_groups:
            group["lr"] = self.chosen.learning_rate * share * group["pace"]

    def _validate(self) -> dict[str, float]:
        """Return the mean validation loss of each task with validation labels."""
        logits, _ = raw_logits(self.model, self.normaliser, self.data.X[self.data.validation], self.chosen.batch_rows)
        return {
            task.name: self._mean_loss(task, torch.from_numpy(logits[task.name]))
            for task in self.data.tasks
            if task.name in self._trivial
        }

    def _constant_losses(self) -> dict[str, float]:
        """Return the validation loss of the best constant of train, for each task with validation labels."""
        rows = self.data.validation.stop - self.data.validation.start
        return {
            task.name: self._mean_loss(task, torch.tensor(task.start).expand(rows, task.outputs))
            for task in self.data.tasks
            if np.isfinite(self.data.validation_labels(task.name)).any()
        }

    def _mean_loss(self, task: TeacherTask, logits: Tensor) -> float:
        label = torch.from_numpy(self.data.validation_labels(task.name))
        known = torch.isfinite(label)
        losses = row_losses(task, logits[known].double(), label[known].double(), self.chosen.huber_delta)
        return max(float(losses.mean()), 1e-12)


# The weights between losses settle within the few hundred steps of a run only if they move faster than the network's.
_BALANCE_PACE = 5.0


def make_optimiser(model: PLE, balance: UncertaintyWeights, chosen: TeacherSettings) -> torch.optim.AdamW:
    """Return AdamW that decays matrices, and neither biases, norms, nor the weights between losses."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    free = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": chosen.weight_decay, "pace": 1.0},
            {"params": free, "weight_decay": 0.0, "pace": 1.0},
            {"params": list(balance.parameters()), "weight_decay": 0.0, "pace": _BALANCE_PACE},
        ],
        lr=chosen.learning_rate,
    )
