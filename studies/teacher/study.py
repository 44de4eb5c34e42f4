"""The study that the runs of an ablation share: its rows, the tasks that they can carry, its settings, and each run's hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from finai_assets.features.sampling import customer_hash
from finai_assets.scoring.resampling import all_copies
from finai_assets.source import code_version
from finai_assets.teacher.fitting.process_group import device_of
from finai_resources.errors import ConfigError, GateError
from studies.teacher.variants import Variant

if TYPE_CHECKING:
    from finai_assets.features.registry import Registry
    from finai_assets.settings import Settings
    from finai_assets.training.matrix import MatrixTask, TrainingMatrix


# A run's figures follow from what this function reaches; what compares runs and reports them does not.
RUN = "studies.teacher.runs:run"


@dataclass(frozen=True)
class Study:
    """One training matrix, or one with fewer train customers, and the teacher to ablate.

    Parameters
    ----------
    matrix : TrainingMatrix
        With the tasks that it can carry.
    registry : Registry
    settings : Settings
        The reference's, with ``ablation.threads``.
    content : str
        Content hash of the stored matrix.
    left_out : dict of task to reason
    """

    matrix: TrainingMatrix
    registry: Registry
    settings: Settings
    content: str
    left_out: dict[str, str]

    @classmethod
    def of(
        cls,
        matrix: TrainingMatrix,
        registry: Registry,
        settings: Settings,
        *,
        content: str,
        customers: int | None = None,
    ) -> Study:
        """Take a matrix, or the train rows of a seeded sample of its customers; validation and test stay whole.

        Raises
        ------
        ConfigError
            The train rows are more than the teacher takes, so that a seed would choose among them.
        GateError
            No task can be carried.
        """
        teacher = settings.teacher.model_copy(update={"threads": settings.ablation.threads})
        settings = settings.model_copy(update={"teacher": teacher})
        sampled = sample(matrix, customers, settings.seed)
        train = sampled.rows("train")
        if train.stop - train.start > settings.teacher.max_train_rows:
            raise ConfigError(
                f"{train.stop - train.start:,} train rows are above teacher.max_train_rows, so that seeds would learn from "
                "different rows",
                where="teacher.ablation",
                fix="take fewer with --customers",
            )
        reasons = {task.name: _why_not(task, sampled) for task in sampled.tasks}
        left_out = {name: reason for name, reason in reasons.items() if reason}
        kept = tuple(task for task in sampled.tasks if task.name not in left_out)
        if not kept:
            raise GateError(
                "no task can be carried by these customers",
                where="teacher.ablation",
                fix="take more with --customers",
            )
        return cls(replace(sampled, tasks=kept), registry, settings, content, left_out)

    @property
    def span(self) -> slice:
        """Return the validation and test rows, which lie side by side."""
        return slice(self.matrix.rows("validation").start, self.matrix.rows("test").stop)

    @cached_property
    def copies(self) -> np.ndarray:
        """Return the resamples of the test customers, float64 [1 + resamples, customers]; the same for every run."""
        customers = len(np.unique(self.matrix.customer[self.matrix.rows("test")]))
        return all_copies(customers, self.settings.ablation.resamples, self.settings.seed)

    @cached_property
    def _rows(self) -> str:
        digest = hashlib.sha256(self.content.encode())
        for values in (self.matrix.customer, self.matrix.month.astype("S7")):
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def fingerprint(self, variant: Variant, seed: int) -> str:
        """Return the hash that identifies a run: rows, tasks, settings, source, and what computes it."""
        settings = variant.apply(self.settings, seed)
        made_from = {
            "rows": self._rows,
            "tasks": [task.name for task in self.matrix.tasks],
            "settings": settings.digest("seed", "teacher", "inputs", "dataset"),
            "resamples": [self.settings.ablation.resamples, self.settings.seed],
            "code": code_version(RUN),
            "torch": torch.__version__,
            "device": device_of(settings.teacher.loop.device).type,
        }
        return hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest()[:24]

    def facts(self) -> dict[str, Any]:
        """Return the facts about data and training that a reader needs."""
        matrix, chosen = self.matrix, self.settings.teacher
        splits = ("train", "validation", "test")
        return {
            "dataset": self.settings.dataset.name,
            "profile": self.settings.profile,
            "months": {split: sorted(set(matrix.month[matrix.rows(split)].tolist())) for split in splits},
            "rows": {split: matrix.rows(split).stop - matrix.rows(split).start for split in splits},
            "customers": len(np.unique(matrix.customer[matrix.rows("train")])),
            "test_customers": self.copies.shape[1],
            "columns": len(matrix.columns),
            "left_out": self.left_out,
            "resamples": self.settings.ablation.resamples,
            "experts": list(chosen.experts),
            "epochs": chosen.epochs,
            "patience": chosen.patience,
            "seed": self.settings.seed,
            "matrix": self.content[:16],
            "code": code_version(RUN),
            "torch": torch.__version__,
            "device": device_of(chosen.loop.device).type,
        }


def sample(matrix: TrainingMatrix, customers: int | None, seed: int) -> TrainingMatrix:
    """Return the train rows of some customers, drawn by a seeded hash, and all validation and test rows; in memory.

    Fewer customers to learn from make a run cheaper; fewer to be judged by would hide what it shows.

    Parameters
    ----------
    customers : int or None
        The matrix itself where None, or where train has no more.
    """
    train = matrix.rows("train")
    ids = np.unique(matrix.customer[train])
    if customers is None or customers >= len(ids):
        return matrix
    order = np.argsort(customer_hash(ids, seed=seed, salt="ablation"), kind="stable")
    kept = np.ones(len(matrix.customer), dtype=bool)
    kept[train] = np.isin(matrix.customer[train], ids[order[:customers]])
    rows = np.flatnonzero(kept)
    return replace(
        matrix,
        X=matrix.X[rows],
        customer=matrix.customer[rows],
        month=matrix.month[rows],
        split=matrix.split[rows],
        labels={name: values[rows] for name, values in matrix.labels.items()},
        persistence={name: values[rows] for name, values in matrix.persistence.items()},
        side=None if matrix.side is None else matrix.side[rows],
    )


def _why_not(task: MatrixTask, matrix: TrainingMatrix) -> str:
    """Return why a task cannot be learned or scored on these rows; empty where it can."""
    for split in ("train", "validation", "test"):
        label = matrix.labels[task.name][matrix.rows(split)]
        values = len(np.unique(label[np.isfinite(label)]))
        if values < 2:
            return f"its {split} labels have {values} different values"
    return ""
