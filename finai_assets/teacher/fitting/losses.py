"""Masked losses of the three kinds of task, and the weights between them.

All take pre-activation logits. A row whose label is NaN takes part in no sum and receives no gradient.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.asset_graph import label_asset
from finai_resources.errors import GateError


@dataclass(frozen=True, slots=True)
class TeacherTask:
    """A task as the network sees it.

    Parameters
    ----------
    outputs : int
        Width of its head: classes of a multiclass task, else 1.
    focal : (float, float) or None
        Alpha and gamma; a binary task without them has alpha ½ and gamma 0.
    location, scale : float
        Train mean and standard deviation of a regression label, 0 and 1 otherwise.
    start : tuple of float
        The best constant logits on train, where the head starts.
    trivial : float
        The train loss of ``start``, which a model has to beat.
    """

    name: str
    kind: str
    group: str
    outputs: int
    weight: float
    focal: tuple[float, float] | None
    location: float = 0.0
    scale: float = 1.0
    start: tuple[float, ...] = (0.0,)
    trivial: float = 1.0

    @classmethod
    def fit(cls, task: Any, label: np.ndarray, delta: float) -> TeacherTask:
        """Fit the constants of a task on its train labels.

        Parameters
        ----------
        task : MatrixTask
        label : float32 [n]
            Train labels, NaN where masked.
        delta : float
            Huber's delta, in label standard deviations.

        Raises
        ------
        GateError
            Train holds no label, or fewer than two different ones.
        """
        known = label[np.isfinite(label)].astype(np.float64)
        if len(np.unique(known)) < 2:
            raise GateError(
                f"task {task.name!r} has {len(known)} train labels and {len(np.unique(known))} different values",
                where=label_asset(task.name),
                fix="widen splits.train, or declare the task in dataset.unavailable_tasks with the reason",
            )
        outputs = task.classes if task.kind == "multiclass" else 1
        spec: dict[str, Any] = {
            "name": task.name,
            "kind": task.kind,
            "group": task.group,
            "outputs": outputs,
            "weight": float(task.weight),
            "focal": None if task.focal is None else (float(task.focal[0]), float(task.focal[1])),
        }
        if task.kind == "regression":
            spec |= {"location": float(known.mean()), "scale": float(known.std())}
        bare = cls(**spec)
        start = _best_constant(bare, known, delta)
        logits = torch.tensor(start, dtype=torch.float64).expand(len(known), outputs)
        trivial = float(task_loss(bare, logits, torch.from_numpy(known), delta))
        return cls(**spec, start=start, trivial=trivial)


def _best_constant(task: TeacherTask, known: np.ndarray, delta: float) -> tuple[float, ...]:
    if task.kind == "multiclass":
        # one more of each: a class unseen in train stays possible
        seen = np.bincount(known.astype(np.int64), minlength=task.outputs) + 1.0
        return tuple(float(value) for value in np.log(seen / seen.sum()))
    values, repeats = np.unique(known, return_counts=True)
    labels, weights = torch.from_numpy(values), torch.from_numpy(repeats.astype(np.float64))

    def mean_loss(constant: float) -> float:
        logits = torch.full((len(values), 1), constant, dtype=torch.float64)
        return float((row_losses(task, logits, labels, delta) * weights).sum() / weights.sum())

    bounds = (values.min(), values.max()) if task.kind == "regression" else (-15.0, 15.0)
    return (float(minimize_scalar(mean_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x),)


def focal_loss(logits: Tensor, label: Tensor, alpha: float, gamma: float) -> Tensor:
    """Return ``−α_t (1 − p_t)^γ log p_t`` per row (Lin et al., ICCV 2017).

    Parameters
    ----------
    logits, label : float [n]
        Label 0 or 1. ``alpha`` weighs the ones, ``1 − alpha`` the zeros.
    """
    log_p = -functional.softplus(torch.where(label > 0.5, -logits, logits))
    weight = torch.where(label > 0.5, alpha, 1.0 - alpha)
    # 1 - p_t from the logit itself: 1 - exp(log p_t) loses all digits where p_t is near 1
    miss = torch.sigmoid(torch.where(label > 0.5, -logits, logits))
    return -weight * miss.pow(gamma) * log_p if gamma else -weight * log_p


def row_losses(task: TeacherTask, logits: Tensor, label: Tensor, delta: float) -> Tensor:
    """Return the loss of each row, all of them labelled.

    Parameters
    ----------
    logits : float [n, outputs]
        In units of the label for a regression task.
    label : float [n]

    Returns
    -------
    float [n]
    """
    if task.kind == "multiclass":
        return functional.cross_entropy(logits, label.long(), reduction="none")
    if task.kind == "binary":
        alpha, gamma = task.focal or (0.5, 0.0)
        return focal_loss(logits[:, 0], label, alpha, gamma)
    return functional.huber_loss(logits[:, 0] / task.scale, label / task.scale, reduction="none", delta=delta)


def task_loss(task: TeacherTask, logits: Tensor, label: Tensor, delta: float) -> Tensor:
    """Return the mean loss over the labelled rows; 0 with no gradient to any row where none is labelled."""
    known = torch.isfinite(label)
    if not bool(known.any()):
        return logits.sum() * 0.0
    return row_losses(task, logits[known], label[known], delta).mean()


def task_weight(task: TeacherTask) -> float:
    """Return the configured weight, half of it for a regression."""
    return task.weight * (0.5 if task.kind == "regression" else 1.0)


class FixedWeights(nn.Module):
    """Combines losses by the tasks' configured weights, ``Σ w_t L_t``; the alternative to :class:`UncertaintyWeights`."""

    def __init__(self, tasks: Sequence[TeacherTask]) -> None:
        super().__init__()
        self.weight = {task.name: task_weight(task) for task in tasks}

    def terms(self, losses: Mapping[str, Tensor], share: float = 1.0) -> dict[str, Tensor]:
        """Return each task's term of the sum; ``share`` has no effect here."""
        return {name: self.weight[name] * loss for name, loss in losses.items()}

    def project(self) -> None:
        """Do nothing: no weight is learned."""


class UncertaintyWeights(nn.Module):
    """Homoscedastic uncertainty weighting (Kendall et al., CVPR 2018): ``Σ w_t (exp(−s_t) L_t + s_t)``, half for regression.

    For a constant loss the optimum is ``s_t = log L_t``, where the first term is 1: each task then pulls with its weight. It is
    where s starts, from the trivial loss. ``project`` keeps s within ± clamp; the clamp is on the parameter, since one in the
    formula would leave a parameter beyond it without a gradient to come back.

    Parameters
    ----------
    tasks : sequence of TeacherTask
    clamp : float

    Examples
    --------
    >>> task = TeacherTask("churn_signal", "binary", "lifecycle", 1, weight=2.0, focal=None, trivial=1.0)
    >>> UncertaintyWeights([task], clamp=4.0)({task.name: torch.tensor(0.5)}).item()
    1.0
    """

    def __init__(self, tasks: Sequence[TeacherTask], clamp: float) -> None:
        super().__init__()
        self.clamp = clamp
        self.weight = {task.name: task_weight(task) for task in tasks}
        self.s = nn.ParameterDict(
            {
                task.name: nn.Parameter(torch.tensor(min(max(math.log(max(task.trivial, 1e-9)), -clamp), clamp)))
                for task in tasks
            }
        )

    def forward(self, losses: Mapping[str, Tensor]) -> Tensor:
        """Combine the mean losses of the tasks that have labels in a batch."""
        return torch.stack(list(self.terms(losses).values())).sum()

    def terms(self, losses: Mapping[str, Tensor], share: float = 1.0) -> dict[str, Tensor]:
        """Return each task's term of the sum; ``share`` is the share of the batch that ``losses`` come from."""
        return {
            name: self.weight[name] * (torch.exp(-self.s[name]) * loss + share * self.s[name])
            for name, loss in losses.items()
        }

    @torch.no_grad()
    def project(self) -> None:
        """Clamp every s; call it after each step."""
        for value in self.s.values():
            value.clamp_(-self.clamp, self.clamp)
