"""Measures the worth of each expert to each task, and whether the gate weights reflect it.

An expert is taken out of layer 1 in two ways: its output is replaced by its mean over train rows, or the gates close on it and
share its weight out among the others. The increase of a row's loss, and the movement of the prediction, are then compared with
the weight that the task's gate gave it (after Jain and Wallace: Attention is not explanation, NAACL 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from finai_assets.evaluation.explanation.rows import ExplainedRows, Predictions, Scale, calibrated
from finai_assets.teacher.network.ple import PLE, Views
from finai_resources.progress import report_progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from finai_assets.teacher.result import TeacherResult

REPLACED, CLOSED = "replaced by its mean", "gate closed"


@dataclass(frozen=True)
class Ablation:
    """The effect on n rows of taking out one slot of layer 1.

    Parameters
    ----------
    tasks, slots : tuple of str
    gates : float64 [tasks, slots, n]
        Weights of the layer-1 gates of the whole model.
    losses, changes : dict of float64 [tasks, slots, n]
        By way of taking out: what is added to the row's loss (NaN where masked), and how far the prediction moves.
    """

    tasks: tuple[str, ...]
    slots: tuple[str, ...]
    gates: np.ndarray
    losses: dict[str, np.ndarray]
    changes: dict[str, np.ndarray]


@torch.no_grad()
def views_of(model: PLE, x: np.ndarray, batch_rows: int) -> Views:
    """Return the experts' outputs for normalised rows float32 [n, width]."""
    parts = [model.views(torch.from_numpy(x[start : start + batch_rows])) for start in range(0, len(x), batch_rows)]
    return Views(
        torch.cat([part.seen for part in parts]),
        tuple(torch.cat(many) for many in zip(*(part.shared for part in parts), strict=True)),
        torch.cat([part.own for part in parts], 1),
    )


def mean_views(views: Views) -> Views:
    """Return the mean output of each expert, as one row."""
    return Views(
        views.seen.mean(0, keepdim=True),
        tuple(shared.mean(0, keepdim=True) for shared in views.shared),
        views.own.mean(1, keepdim=True),
    )


def without(views: Views, means: Views, slot: int, task: int) -> Views:
    """Replace the output of a slot's expert by its mean; the slots are the shared experts, then the task's own expert."""
    if slot < len(views.shared):
        shared = list(views.shared)
        shared[slot] = means.shared[slot].expand_as(shared[slot])
        return Views(views.seen, tuple(shared), views.own)
    own = views.own.clone()
    own[task] = means.own[task]
    return Views(views.seen, views.shared, own)


@contextmanager
def closed(model: PLE, slot: int, task: int) -> Iterator[None]:
    """Close the gates of layer 1 on a slot inside the block; softmax weights of the others then add up to one again."""
    shared = len(model.experts)

    def close_task(_module: nn.Module, _args: Any, scores: Tensor) -> Tensor:  # [n, tasks, slots]
        at = (..., slot) if slot < shared else (slice(None), task, slot)
        return _minus_infinity(scores, at)

    def close_shared(_module: nn.Module, _args: Any, scores: Tensor) -> Tensor:  # [n, shared + tasks]
        return _minus_infinity(scores, (..., slot if slot < shared else shared + task))

    handles = [model.gates.score.register_forward_hook(close_task)]
    if model.shared_gate is not None:
        handles.append(model.shared_gate.score.register_forward_hook(close_shared))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _minus_infinity(scores: Tensor, at: Any) -> Tensor:
    changed = scores.clone()
    changed[at] = -torch.inf
    return changed


def ablate(  # the teacher, the rows, and what stands in for an expert
    teacher: TeacherResult,
    views: Views,
    means: Views,
    rows: ExplainedRows,
    scales: Mapping[str, Scale],
    batch_rows: int,
) -> Ablation:
    """Take out one slot after the other, in both ways.

    Parameters
    ----------
    views : Views
        Of the rows.
    means : Views
        One row: see :func:`mean_views`.
    """
    model = teacher.model
    names = tuple(task.name for task in model.tasks)
    slots, shared = model.gates.slots, len(views.shared)
    full, gates = _read(teacher, views, batch_rows)
    before = {name: scales[name].loss(rows.labels[name], full[name]) for name in names}
    shape = (len(names), len(slots), len(rows))
    losses = {way: np.empty(shape) for way in (REPLACED, CLOSED)}
    changes = {way: np.empty(shape) for way in (REPLACED, CLOSED)}
    # a shared expert is taken out of all tasks at once, an own one of its task alone
    runs = [(slot, 0, range(len(names))) for slot in range(shared)]
    runs += [(shared, task, range(task, task + 1)) for task in range(len(names))]
    for done, (slot, task, reached) in enumerate(runs):
        replaced, _ = _read(teacher, without(views, means, slot, task), batch_rows)
        with closed(model, slot, task):
            shut, _ = _read(teacher, views, batch_rows)
        for way, found in ((REPLACED, replaced), (CLOSED, shut)):
            for index in reached:
                name, scale = names[index], scales[names[index]]
                losses[way][index, slot] = scale.loss(rows.labels[name], found[name]) - before[name]
                changes[way][index, slot] = scale.change(full[name], found[name])
        report_progress("ablation of experts", done + 1, len(runs))
    return Ablation(names, slots, np.stack([gates[name].T for name in names]), losses, changes)


@torch.no_grad()
def _read(teacher: TeacherResult, views: Views, batch_rows: int) -> tuple[Predictions, dict[str, np.ndarray]]:
    """Return calibrated predictions and gate weights float64 [n, slots] of the experts' outputs."""
    predictions, gates = [], []
    for start in range(0, len(views.seen), batch_rows):
        part = slice(start, start + batch_rows)
        output = teacher.model.read(Views(views.seen[part], tuple(s[part] for s in views.shared), views.own[:, part]))
        predictions.append(calibrated(teacher, output))
        gates.append({name: weights.double().numpy() for name, weights in output.gates.items()})
    return _joined(predictions), _joined(gates)


def _joined(parts: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
