"""Integrated gradients of each task's output with respect to the inputs.

Sundararajan, Taly and Yan: Axiomatic attribution for deep networks (ICML 2017), computed by Captum along the straight line from
the baseline to the row. Whole numbers (codes, lengths) have no gradient and nothing lies between two of them: each changes at one
place of the path, from the baseline's to the row's, and what the output jumps there is its attribution. Where it changes is
drawn for each row, in random order and evenly over the path, so that the jumps are a Shapley sample (Castro, Gomez and Tejada,
2009) that shares the path with the gradients of all else. Gradients and jumps add up to the change of the output exactly, but
for the error of the quadrature, which is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import IntegratedGradients  # type: ignore[import-untyped]
from torch import Tensor, nn

from finai_assets.evaluation.explanation.inputs import Inputs, row_orders
from finai_assets.teacher.fitting.losses import TeacherTask
from finai_assets.teacher.network.ple import PLE, PLEOutput
from finai_resources.progress import report_progress


@dataclass(frozen=True)
class Attributions:
    """Attributions of n rows.

    Parameters
    ----------
    values : float32 [tasks, n, inputs]
        In units of the task's output: the logit (binary), the predicted class's logit less the mean of all (multiclass), or
        the value (regression).
    start, end : float32 [tasks, n]
        The output of the baseline and of the row.
    """

    values: np.ndarray
    start: np.ndarray
    end: np.ndarray

    @property
    def gap(self) -> np.ndarray:
        """Return the sum of the attributions less the change of the output, float64 [tasks, n]."""
        change = self.end.astype(np.float64) - self.start
        return np.asarray(self.values.sum(axis=2, dtype=np.float64) - change)


class Contrast:
    """One number of each task's logits, by weights that the row itself chooses and the path keeps.

    Parameters
    ----------
    tasks : tuple of TeacherTask
    """

    def __init__(self, tasks: tuple[TeacherTask, ...]) -> None:
        self.tasks = tasks
        widths = [task.outputs for task in tasks]
        self.membership = torch.zeros(sum(widths), len(tasks))
        self.membership[torch.arange(sum(widths)), torch.repeat_interleave(torch.tensor(widths))] = 1.0

    def weights(self, output: PLEOutput) -> Tensor:
        """Return the weight of each logit, float [n, all logits]: of classes, the predicted one against the mean."""
        found = []
        for task in self.tasks:
            logits = output.logits[task.name]
            if task.kind == "multiclass":
                predicted = nn.functional.one_hot(logits.argmax(1), task.outputs).to(logits)
                found.append(predicted - 1.0 / task.outputs)
            else:
                found.append(torch.ones_like(logits))
        return torch.cat(found, 1)

    def apply(self, output: PLEOutput, weights: Tensor) -> Tensor:
        """Return one number for each task, float [n, tasks]."""
        logits = torch.cat([output.logits[task.name] for task in self.tasks], 1)
        result: Tensor = (logits * weights) @ self.membership
        return result


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """Freeze the weights inside the block, so that they get no gradient."""
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, before in wanted:
            parameter.requires_grad_(before)


class EveryOutput(IntegratedGradients):
    """Captum's integrated gradients of several outputs at once: one forward pass serves them all.

    Inputs have one axis more, of length 1, and attributions the outputs along it: float [n, width, 1] -> [n, width, outputs].
    """

    def __init__(self, forward: Callable[..., Tensor]) -> None:
        super().__init__(forward)
        self.gradient_func = _gradients


def _gradients(
    forward_fn: Callable[..., Tensor],
    inputs: tuple[Tensor],
    target_ind: None,
    additional_forward_args: tuple[Tensor, ...],
) -> tuple[Tensor]:
    """Return the gradient of each output with respect to the inputs, float [n, width, outputs], as Captum asks for it."""
    assert target_ind is None  # noqa: S101 # every output is wanted
    with torch.enable_grad():
        outputs = forward_fn(*inputs, *additional_forward_args)
        last = outputs.shape[1] - 1
        found = [torch.autograd.grad(outputs[:, k].sum(), inputs[0], retain_graph=k < last)[0] for k in range(last + 1)]
    return (torch.cat(found, 2),)


class Attributor:
    """Attributes the outputs of a teacher to its inputs.

    Parameters
    ----------
    model : PLE
        In evaluation mode.
    inputs : Inputs
    baseline : float32 [width]
    steps : int
        Of the midpoint rule along the path.
    batch_rows : int
        Rows that pass through the model at once; a finer split changes nothing but rounding.
    seed : int
        Of the order in which whole numbers change.
    """

    def __init__(  # what a path is made of
        self, model: PLE, inputs: Inputs, baseline: np.ndarray, *, steps: int, batch_rows: int, seed: int
    ) -> None:
        self.model, self.inputs, self.steps, self.batch_rows, self.seed = model, inputs, steps, batch_rows, seed
        self.baseline = torch.from_numpy(baseline)
        self.contrast = Contrast(model.tasks)
        self.at = torch.from_numpy(np.flatnonzero(inputs.turn_of >= 0))
        self.turn = torch.from_numpy(inputs.turn_of)[self.at]
        self.changing = np.flatnonzero(inputs.discrete)
        count = len(self.changing)
        # On the borders of the steps, so that within a step the output is smooth.
        places = np.round(np.arange(1, count + 1) * steps / (count + 1)).clip(1, steps - 1) / steps
        self.places = torch.from_numpy(places.astype(np.float32))

    def __call__(self, x: np.ndarray, customer: np.ndarray, month: np.ndarray) -> Attributions:
        """Attribute normalised rows float32 [n, width] of some customers (int64 [n]) and months (str [n])."""
        n, tasks = len(x), len(self.model.tasks)
        order = row_orders(customer, month, len(self.changing), seed=self.seed, salt="path")
        values = np.empty((tasks, n, len(self.inputs)), np.float32)
        start, end = np.empty((tasks, n), np.float32), np.empty((tasks, n), np.float32)
        chunks = range(0, n, self.batch_rows)
        with frozen(self.model):
            for done, first in enumerate(chunks):
                part = slice(first, min(n, first + self.batch_rows))
                rows, turns = torch.from_numpy(x[part]), torch.from_numpy(order[part])
                with torch.no_grad():
                    output = self.model(rows)
                    weights = self.contrast.weights(output)
                    base = self.model(self.baseline[None])
                    known = self.contrast.apply(output, weights)
                    origin = torch.cat([base.logits[task.name] for task in self.model.tasks], 1)
                    begin = (origin * weights) @ self.contrast.membership
                    jumps = self._jumps(rows, turns, weights)
                end[:, part], start[:, part] = known.T.numpy(), begin.T.numpy()
                values[:, part] = (self._smooth(rows, turns, weights) + jumps).numpy()
                report_progress("integrated gradients", done + 1, len(chunks))
        return Attributions(values, start, end)

    def _smooth(self, rows: Tensor, turns: Tensor, weights: Tensor) -> Tensor:
        """Return the integrated gradients of all but the whole numbers, float [tasks, n, inputs]."""
        clock = torch.ones(len(rows), 1)
        found = EveryOutput(self._along).attribute(
            torch.cat([rows, clock], 1)[:, :, None],
            baselines=torch.cat([self.baseline, clock.new_zeros(1)])[None, :, None],
            additional_forward_args=(rows, self.places[turns.argsort(1)], weights),
            n_steps=self.steps,
            method="riemann_middle",
            internal_batch_size=self.batch_rows,
        )
        return torch.stack([self.inputs.add_up(each[:, :-1].float()) for each in found.unbind(2)])

    def _along(self, point: Tensor, rows: Tensor, changes: Tensor, weights: Tensor) -> Tensor:
        """Return the outputs float [n, tasks] at points of the path, float [n, width + 1, 1]; the last entry is how far it is."""
        scalars, clock = point[:, :-1, 0], point[:, -1]
        return self._outputs(scalars, rows, clock > changes, weights)

    def _outputs(self, scalars: Tensor, rows: Tensor, changed: Tensor, weights: Tensor) -> Tensor:
        """Return the outputs where the whole numbers that have ``changed``, bool [n, discrete], are the row's."""
        numbers = torch.where(changed[:, self.turn], rows[:, self.at], self.baseline[self.at])
        return self.contrast.apply(self.model(scalars.index_copy(1, self.at, numbers)), weights)

    def _jumps(self, rows: Tensor, turns: Tensor, weights: Tensor) -> Tensor:
        """Return the jump of the outputs where a whole number changes, float [tasks, n, inputs]."""
        found = torch.zeros(len(self.model.tasks), len(rows), len(self.inputs))
        rank = turns.argsort(1)
        step = rows - self.baseline
        for place in range(len(self.changing)):
            scalars = self.baseline + self.places[place] * step
            before = self._outputs(scalars, rows, rank < place, weights)
            after = self._outputs(scalars, rows, rank <= place, weights)
            column = torch.from_numpy(self.changing)[turns[:, place]]
            found[:, torch.arange(len(rows)), column] = (after - before).T
        return found
