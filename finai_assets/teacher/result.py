"""A trained teacher, its predictions as probabilities, and the weights of its named gates."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from finai_assets.scoring.calibration import Calibration
from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.ple import PLE
from finai_assets.teacher.network.protocol import Network
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.structure import Structure
from finai_assets.training.fitted_rows import FittedRows


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch: mean losses per task, and the composite that early stopping looks at.

    ``score`` is the mean over tasks of ``1 − validation loss / loss of the best constant of train``. ``seconds`` is wall-clock
    time; it is shown and never stored, so that equal runs have equal bytes.
    """

    epoch: int
    score: float
    train: dict[str, float]
    validation: dict[str, float]
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class TrainingFingerprint:
    """The hash that the first steps of a training leave, and the number of steps."""

    steps: int
    digest: str


@dataclass(frozen=True)
class TeacherResult:
    """A trained, calibrated teacher."""

    model: PLE
    normaliser: Normaliser
    structure: Structure
    settings: TeacherSettings
    history: tuple[EpochRecord, ...]
    best_epoch: int
    parameter_table: dict[str, int]
    calibration: dict[str, Calibration]
    fitted_on: dict[str, FittedRows]
    seed: int
    training_fingerprint: TrainingFingerprint | None = None

    @property
    def slot_names(self) -> dict[str, tuple[str, ...]]:
        """Return the names of each task's gate slots."""
        return self.model.slot_names

    def facts(self) -> dict[str, Any]:
        """Return the metadata of the stored teacher."""
        best = self.history[self.best_epoch - 1]
        return {
            "parameters": self.parameter_table["total"],
            "epochs": len(self.history),
            "best_epoch": self.best_epoch,
            "validation_score": best.score,
            "seconds_per_epoch": float(np.mean([record.seconds for record in self.history])),
            "train_rows": self.normaliser.rows,
            **{f"validation_loss/{task}": loss for task, loss in best.validation.items()},
        }


@contextmanager
def deterministic(threads: int, seed: int, device: torch.device | None = None) -> Iterator[None]:
    """Run torch with a fixed number of threads, deterministic algorithms and its own random state; then restore them.

    Algorithms are deterministic on a CPU alone: a GPU has no fast deterministic sum over rows of a table.
    """
    before, flag = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic
    fill = memory.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[]):
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(device is None or device.type == "cpu")
        # Filling memory guards against kernels that read what they have not written; none here does, and it costs a tenth.
        memory.fill_uninitialized_memory = False
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(flag)
            memory.fill_uninitialized_memory = fill
            torch.set_num_threads(before)


@torch.inference_mode()
def raw_logits(
    model: Network, normaliser: Normaliser, X: np.ndarray, batch_rows: int, side: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return uncalibrated logits float32 [n, outputs] and gate weights float32 [n, slots] of raw rows, in batches.

    The model computes on its own device; rows are moved there batch by batch.
    """
    model.eval()
    n, device = len(X), next(model.parameters()).device
    logits = {task.name: np.empty((n, task.outputs), dtype=np.float32) for task in model.tasks}
    gates = {name: np.empty((n, len(slots)), dtype=np.float32) for name, slots in model.slot_names.items()}
    for start in range(0, n, batch_rows):
        part = slice(start, min(n, start + batch_rows))
        rows = normaliser.transform(X[part], None if side is None else side[part])
        output = model(torch.from_numpy(rows).to(device))
        for task in model.tasks:
            logits[task.name][part] = output.logits[task.name].float().cpu().numpy()
        for name, weights in gates.items():
            weights[part] = output.gates[name].float().cpu().numpy()
    return logits, gates


def predict(
    result: TeacherResult, X: np.ndarray, batch_rows: int, side: np.ndarray | None = None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Predict rows of raw features.

    Parameters
    ----------
    X : float32 [n, d]
        Columns of the training matrix, in its order; a memory map is read batch by batch.
    side : float32 [n, total], optional
        The side tensors of the same rows, as the training matrix holds them, where the teacher was trained with some.

    Returns
    -------
    predictions : task -> float32 [n] (probability, or value) or [n, classes] (probabilities)
    gates : task -> float32 [n, slots]
        Weights of the first layer's gate over ``result.slot_names[task]``.
    """
    with deterministic(result.settings.threads, result.seed):
        logits, gates = raw_logits(result.model, result.normaliser, X, batch_rows, side)
    return {name: result.calibration[name].apply(values) for name, values in logits.items()}, gates
