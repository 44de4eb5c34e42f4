"""One training step: the gradient of a batch, over its parts and all processes, and its guards.

Losses are means over the labelled rows of the whole batch, so a part's loss is the sum over its rows divided by their number in
the batch, and gradients of parts and processes add up to the batch's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.fitting.affinity import TaskAffinity
from finai_assets.teacher.fitting.blocks import Batch, Part
from finai_assets.teacher.fitting.losses import FixedWeights, TeacherTask, UncertaintyWeights, row_losses
from finai_assets.teacher.fitting.precision import Precision
from finai_assets.teacher.fitting.process_group import ProcessGroup
from finai_assets.teacher.fitting.surgery import pcgrad
from finai_assets.teacher.network.protocol import Network
from finai_resources.errors import GateError


class Balance(nn.Module):
    """The weights between the losses of tasks, learned and measured, in one state dictionary for checkpoints."""

    def __init__(self, tasks: Sequence[TeacherTask], chosen: TeacherSettings) -> None:
        super().__init__()
        mechanisms = chosen.mechanisms
        self.weights: UncertaintyWeights | FixedWeights = (
            UncertaintyWeights(tasks, chosen.uncertainty_clamp)
            if mechanisms.uncertainty_weighting
            else FixedWeights(tasks)
        )
        strength = mechanisms.transfer_strength if mechanisms.task_transfer == "adatt_loss" else 0.0
        self.affinity = TaskAffinity(len(tasks), decay=mechanisms.affinity_decay, strength=strength)


class Stepper:
    """Learns from batches.

    Parameters
    ----------
    model : Network
    balance : Balance
    optimiser
        Over both.
    tasks : sequence of TeacherTask
    chosen : TeacherSettings
    processes : ProcessGroup
    precision : Precision
    """

    def __init__(  # what a step touches
        self,
        model: Network,
        balance: Balance,
        optimiser: torch.optim.Optimizer,
        tasks: Sequence[TeacherTask],
        chosen: TeacherSettings,
        processes: ProcessGroup,
        precision: Precision,
    ) -> None:
        self.model, self.balance, self.optimiser, self.tasks = model, balance, optimiser, tuple(tasks)
        self.chosen, self.processes, self.precision = chosen, processes, precision
        self.parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
        shared = {id(parameter) for parameter in model.shared_parameters()}
        self.is_shared = [id(parameter) in shared for parameter in self.parameters]

    def step(self, batch: Batch, *, draw: Sequence[int], where: str) -> dict[str, float]:
        """Learn from a batch; return the mean losses of the tasks that have labels in it.

        Parameters
        ----------
        draw : sequence of int
            Seed of what the step draws by itself (the orders of gradient surgery).
        where : str
            For the error: which batch this is.

        Raises
        ------
        GateError
            A loss or the gradient is not finite; the error names task and batch.
        """
        active = [task for task in self.tasks if task.name in batch.labelled]
        if not active:
            return {}
        losses = self._gradients(batch, active, draw)
        self.precision.scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.chosen.gradient_clip)
        *found, size = torch.cat([losses, norm.reshape(1).to(losses)]).tolist()  # the only wait for the device
        values = dict(zip([task.name for task in active], found, strict=True))
        for name, value in values.items():
            if not math.isfinite(value):
                raise _not_finite(f"the loss of task {name!r} is {value} in {where}")
        if not math.isfinite(size) and not self.precision.may_overflow():
            named = ", ".join(self._culprits(batch, active)) or "no single task"
            raise _not_finite(f"the gradient norm is {size} in {where}, from {named}")
        self.precision.step(self.optimiser)
        self.balance.weights.project()
        return values

    def _gradients(self, batch: Batch, active: list[TeacherTask], draw: Sequence[int]) -> Tensor:
        """Set every parameter's gradient to the batch's, scaled by the precision; return the losses float [active]."""
        self.optimiser.zero_grad(set_to_none=True)
        mechanisms = self.chosen.mechanisms
        measured = mechanisms.task_transfer == "adatt_loss" and draw[-1] % mechanisms.affinity_steps == 0
        mixing = self._mixing(active)
        if mechanisms.gradient_surgery == "pcgrad" or measured:
            losses, gradients, rest, present = self._by_task(batch, active)
            if measured:
                self._measure(gradients, active)
            gradients = mixing @ gradients
            if mechanisms.gradient_surgery == "pcgrad":
                gradients = self._operate(gradients, np.random.default_rng(list(draw)))
            self._assign(gradients.sum(0) + rest, present)
            return losses
        return self._together(batch, active, mixing.sum(0))

    def _together(self, batch: Batch, active: list[TeacherTask], boost: Tensor) -> Tensor:
        """Set the gradient of the sum of all tasks, each weighted by ``boost`` float [active]; return the losses."""
        losses = torch.zeros(len(active), device=self.processes.device)
        for part in batch.parts:
            found, terms, rest = self._terms(part, active, batch.labelled)
            self.precision.scaled(torch.stack(terms) @ boost + rest).backward()  # type: ignore[no-untyped-call]
            losses += found
        if self.processes.size > 1:
            flat, present = self._flat([parameter.grad for parameter in self.parameters])
            self._add(losses, flat, present)
            self._assign(flat, present)
        return losses

    def _by_task(self, batch: Batch, active: list[TeacherTask]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return losses [active], gradients of each task [active, p] and of the experts' losses [p], and present parameters."""
        width = sum(parameter.numel() for parameter in self.parameters)
        losses = torch.zeros(len(active), device=self.processes.device)
        gradients = torch.zeros(len(active) + 1, width, device=self.processes.device)
        present = torch.zeros(len(self.parameters), device=self.processes.device)
        for part in batch.parts:
            found, terms, rest = self._terms(part, active, batch.labelled)
            losses += found
            for row, source in enumerate([*terms, rest]):
                if source.requires_grad:
                    scaled = self.precision.scaled(source)
                    each = torch.autograd.grad(scaled, self.parameters, retain_graph=True, allow_unused=True)
                    flat, there = self._flat(each)
                    gradients[row] += flat
                    present = torch.maximum(present, there)
        self._add(losses, gradients, present)
        return losses, gradients[:-1], gradients[-1], present

    def _terms(
        self, part: Part, active: list[TeacherTask], labelled: Mapping[str, int]
    ) -> tuple[Tensor, list[Tensor], Tensor]:
        """Return a part's share of the losses float [active], of each task's term of the sum, and of the experts' term."""
        with self.precision.cast():
            output = self.model(part.x)
            asked = self.model.auxiliary_losses()
        losses: dict[str, Tensor] = {}
        for task in active:
            logits = output.logits[task.name].float()
            if task.name in part.labels:
                known = part.known[task.name]
                chosen = logits if known is None else logits.index_select(0, known)
                rows = row_losses(task, chosen, part.labels[task.name], self.chosen.huber_delta)
                losses[task.name] = rows.sum() / labelled[task.name]
            else:
                losses[task.name] = logits.sum() * 0.0  # its labels are in other parts
        rest = part.x.new_zeros(())
        for value in asked.values():
            rest = rest + self.chosen.auxiliary_weight * part.share * value.float()
        terms = self.balance.weights.terms(losses, part.share)
        return torch.stack(list(losses.values())).detach(), [terms[task.name] for task in active], rest

    def _mixing(self, active: list[TeacherTask]) -> Tensor:
        """Return the weights by which the active tasks' terms mix, float [active, active]."""
        at = torch.tensor([self.tasks.index(task) for task in active], device=self.processes.device)
        return self.balance.affinity.mixing()[at][:, at]

    def _measure(self, gradients: Tensor, active: list[TeacherTask]) -> None:
        """Update the affinity with the tasks' gradients of the shared parameters."""
        there = torch.tensor([task in active for task in self.tasks], device=gradients.device)
        every = gradients.new_zeros(len(self.tasks), int(self._mask().sum()))
        every[there] = gradients[:, self._mask()]
        self.balance.affinity.measure(every, there)

    def _operate(self, gradients: Tensor, random: np.random.Generator) -> Tensor:
        """Project the tasks' gradients of the shared parameters; leave those of towers and gates as they are."""
        operated, shared = gradients.clone(), self._mask()
        operated[:, shared] = pcgrad(gradients[:, shared], random)
        return operated

    def _mask(self) -> Tensor:
        """Return which entries of a flat gradient belong to shared parameters, bool [p]."""
        sizes = torch.tensor([parameter.numel() for parameter in self.parameters])
        return torch.repeat_interleave(torch.tensor(self.is_shared), sizes).to(self.processes.device)

    def _flat(self, gradients: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """Lay gradients end to end, float [p], zeros where there is none, and say which are there, float [parameters]."""
        parts = [
            (torch.zeros_like(parameter) if gradient is None else gradient).reshape(-1)
            for parameter, gradient in zip(self.parameters, gradients, strict=True)
        ]
        there = [0.0 if gradient is None else 1.0 for gradient in gradients]
        return torch.cat(parts), torch.tensor(there, device=self.processes.device)

    def _add(self, *values: Tensor) -> None:
        """Add tensors up over all processes in one message."""
        if self.processes.size == 1:
            return
        total = self.processes.add(torch.cat([value.reshape(-1) for value in values]))
        for value, part in zip(values, torch.split(total, [value.numel() for value in values]), strict=True):
            value.copy_(part.view_as(value))

    def _assign(self, flat: Tensor | None, present: Tensor | None) -> None:
        """Set gradients; a parameter that no process has one for keeps none, so that the optimiser leaves it alone."""
        if flat is None or present is None:
            return
        parts = torch.split(flat, [parameter.numel() for parameter in self.parameters])
        for parameter, part, there in zip(self.parameters, parts, present.tolist(), strict=True):
            parameter.grad = part.view_as(parameter) if there else None

    def _culprits(self, batch: Batch, active: list[TeacherTask]) -> list[str]:
        """Return the tasks whose own gradient is not finite."""
        self.optimiser.zero_grad(set_to_none=True)
        _, gradients, _, _ = self._by_task(batch, active)
        finite = torch.isfinite(gradients).all(1).tolist()
        return [f"task {task.name!r}" for task, good in zip(active, finite, strict=True) if not good]


def _not_finite(what: str) -> GateError:
    return GateError(
        what,
        where="teacher training",
        fix="look for extreme values in the features of these rows, or lower teacher.learning_rate",
    )
