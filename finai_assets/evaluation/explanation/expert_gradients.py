"""Integrated gradients of each task's output with respect to the outputs of the experts.

The path leads from the mean of each expert over train rows to its output for the row; the gates stay as the row has them. The
attributions add up to the output less that of a model whose experts say nothing of the row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from finai_assets.evaluation.explanation.gradients import Contrast, EveryOutput, frozen
from finai_assets.teacher.network.ple import PLE, Views

OTHERS = "task_mlp of other tasks"  # they reach a task by the shared path


@dataclass(frozen=True)
class ExpertAttributions:
    """Attributions float32 [tasks, n, slots + 1]: the slots of layer 1, then the own experts of other tasks.

    ``change`` float32 [tasks, n] is what they add up to.
    """

    names: tuple[str, ...]
    values: np.ndarray
    change: np.ndarray


def attribute_experts(model: PLE, views: Views, means: Views, *, steps: int, batch_rows: int) -> ExpertAttributions:
    """Attribute the outputs of n rows to the experts.

    Parameters
    ----------
    views, means : Views
        Of the rows, and of the mean (one row).
    """
    shared, dim = len(views.shared), views.own.shape[2]
    contrast = Contrast(model.tasks)
    count, n = len(model.tasks), len(views.seen)
    values, change = np.empty((count, n, shared + 2), np.float32), np.empty((count, n), np.float32)

    def along(point: Tensor, seen: Tensor, weights: Tensor) -> Tensor:
        return contrast.apply(model.read(_apart(point[:, :, 0], seen, shared, dim)), weights)

    with frozen(model):
        for start in range(0, n, batch_rows):
            part = slice(start, start + batch_rows)
            rows, seen = _together(views)[part], views.seen[part]
            base = _together(means)
            with torch.no_grad():
                output = model.read(_apart(rows, seen, shared, dim))
                weights = contrast.weights(output)
                origin = model.read(_apart(base.expand_as(rows), seen, shared, dim))
                moved = contrast.apply(output, weights) - contrast.apply(origin, weights)
            found = EveryOutput(along).attribute(
                rows[:, :, None],
                baselines=base[:, :, None],
                additional_forward_args=(seen, weights),
                n_steps=steps,
                method="gausslegendre",
                internal_batch_size=batch_rows,
            )
            change[:, part] = moved.T.numpy()
            by_expert = found.float().view(-1, shared + count, dim, count).sum(2)  # [n, experts, tasks]
            for task in range(count):
                each = by_expert[:, :, task]
                own = each[:, shared + task]
                others = each[:, shared:].sum(1) - own
                values[task, part] = torch.cat([each[:, :shared], torch.stack([own, others], 1)], 1).numpy()
    return ExpertAttributions((*model.gates.slots, OTHERS), values, change)


def _together(views: Views) -> Tensor:
    """Put the outputs of all experts side by side, float [n, (shared + tasks) * dim]."""
    return torch.cat([*views.shared, views.own.transpose(0, 1).flatten(1)], 1)


def _apart(together: Tensor, seen: Tensor, shared: int, dim: int) -> Views:
    """Undo :func:`_together`."""
    each = together.view(len(together), -1, dim)
    return Views(seen, tuple(each[:, :shared].unbind(1)), each[:, shared:].transpose(0, 1))
