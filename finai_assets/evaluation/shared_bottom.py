"""The plain multi-task network that the teacher has to beat at equal size: one shared bottom, a tower for each task.

Caruana, Multitask learning (Machine Learning 28, 1997). It reads every value of the row that the experts read, with no structure
but the order of columns, and is trained as the teacher is: same rows, losses, epochs, stopping, calibration and seed. The
teacher's lead over it is thus the worth of experts and gates, not of size or training.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.scoring.calibration import Calibration
from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.fitting.checkpoint import Checkpoint, fingerprint
from finai_assets.teacher.fitting.loop import Run
from finai_assets.teacher.fitting.losses import TeacherTask
from finai_assets.teacher.fitting.process_group import ProcessGroup, device_of
from finai_assets.teacher.network.experts.task_mlp import RowNorm, mlp
from finai_assets.teacher.network.ple import PLE, PLEOutput, Tower, parameter_table
from finai_assets.teacher.network.protocol import Network
from finai_assets.teacher.network.router import FeatureRouter, Route, make_route
from finai_assets.teacher.normalise import Normaliser
from finai_assets.teacher.result import EpochRecord, deterministic, raw_logits
from finai_assets.teacher.train import calibrate, learn, prepare
from finai_resources.errors import GateError
from finai_resources.progress import part_of

if TYPE_CHECKING:
    from finai_assets.features.registry import Registry
    from finai_assets.settings import Settings
    from finai_assets.teacher.data import Named
    from finai_assets.training.matrix import TrainingMatrix

# Of a sequence's codes, which fill half of the row: at 1 they drown single columns (the demo's validation score is then
# .078 and not .097).
_TABLE_STD = 0.25
TOLERANCE = 0.02  # by how much its size may differ from the teacher's
_ROUTE = "every group"


class SharedBottom(Network):
    """One perceptron over the whole row, and a tower for each task.

    Scalars and side tensors are read as they are, a code one-hot, a sequence flat: quantities of every step, and the code of
    every step as a row of a table that the steps share (its row 0, "missing", is zero).

    Parameters
    ----------
    route : Route
        Of all groups.
    tasks : sequence of TeacherTask
    settings : TeacherSettings
        ``field_dim`` (width of a sequence's codes), ``expert_dim`` (what the towers read), ``tower_hidden``, ``dropout``,
        ``input_dropout``.
    hidden : (int, int)
        Widths of the bottom's two hidden layers, from :func:`widths_for`.

    Examples
    --------
    >>> route = Route(("a",), scalars=(0, 1), codes=(2,), code_sizes=(4,), sequences=())
    >>> tasks = [TeacherTask("nba_primary", "multiclass", "acquisition", 7, 1.0, None, start=(0.0,) * 7)]
    >>> output = SharedBottom(route, tasks, settings, hidden=(32, 33))(torch.zeros(8, 3))
    >>> output.logits["nba_primary"].shape, output.gates
    (torch.Size([8, 7]), {})
    """

    def __init__(
        self, route: Route, tasks: Sequence[TeacherTask], settings: TeacherSettings, *, hidden: tuple[int, int]
    ) -> None:
        super().__init__()
        self.tasks, self.slot_names, self.route = tuple(tasks), {}, route
        self.router = FeatureRouter({_ROUTE: route})
        self.tables = nn.ModuleList(
            _table(size, settings.field_dim) for slots in route.sequences for size in slots.code_sizes
        )
        width = input_width(route, settings.field_dim)
        self.thin = nn.Dropout(settings.input_dropout)
        self.bottom = nn.Sequential(
            mlp(width, hidden, settings.expert_dim, settings.dropout),
            RowNorm(),
            nn.SiLU(),
            nn.Dropout(settings.dropout),
        )
        self.towers = nn.ModuleDict({task.name: Tower(task, settings) for task in tasks})

    def forward(self, x: Tensor) -> PLEOutput:
        """Map normalised rows float [n, width] to logits; there are no gates."""
        routed = self.router(x)[_ROUTE]
        parts = [routed.scalars]
        parts += [
            functional.one_hot(routed.codes[:, index], size).to(x.dtype)
            for index, size in enumerate(self.route.code_sizes)
        ]
        tables = iter(self.tables)
        for slots, sequence in zip(self.route.sequences, routed.sequences, strict=True):
            parts += [sequence.scalars.flatten(1), sequence.length.to(x.dtype)[:, None] / slots.steps]
            parts += [next(tables)(sequence.codes[:, channel]).flatten(1) for channel in range(len(slots.code_sizes))]
        parts += [value.flatten(1) for value in routed.tensors.values()]
        shared = self.bottom(self.thin(torch.cat(parts, 1)))
        return PLEOutput({task.name: self.towers[task.name](shared)[0] for task in self.tasks}, {}, {})

    def shared_parameters(self) -> list[nn.Parameter]:
        """Return all parameters outside the towers."""
        return [*self.tables.parameters(), *self.bottom.parameters()]


def input_width(route: Route, field_dim: int) -> int:
    """Return the number of values that the bottom reads of a row."""
    steps = sum(slots.steps * (len(slots.scalars) + field_dim * len(slots.code_sizes)) + 1 for slots in route.sequences)
    return len(route.scalars) + sum(route.code_sizes) + steps + sum(prod(slots.shape) for slots in route.tensors)


def widths_for(target: int, route: Route, tasks: Sequence[TeacherTask], settings: TeacherSettings) -> tuple[int, int]:
    """Return the widths of the two hidden layers with which the network has ``target`` parameters, or just below.

    Both are equal as far as that goes; what is left then widens the second.

    Raises
    ------
    GateError
        No width comes within 2 % of the target.
    """
    width, dim = input_width(route, settings.field_dim), settings.expert_dim
    smallest = _count(SharedBottom(route, tasks, settings, hidden=(1, 1)))

    def size(first: int, second: int) -> int:
        # beyond one unit each: weights into the first, between both, out of the second, and the biases
        return smallest + (width + 1) * (first - 1) + (first + 1) * second - 2 + dim * (second - 1)

    first = 1
    while size(first + 1, first + 1) <= target:
        first += 1
    second = max(1, first + (target - size(first, first)) // (first + 1 + dim))
    if abs(size(first, second) / target - 1) > TOLERANCE:
        raise GateError(
            f"its smallest size near {target:,} parameters is {size(first, second):,}",
            where="shared bottom",
            fix="make teacher.field_dim smaller, or the teacher larger",
        )
    return first, second


@dataclass(frozen=True)
class SharedBottomResult:
    """A trained, calibrated shared bottom, and the size of the teacher that it was made to match."""

    model: SharedBottom
    normaliser: Normaliser
    calibration: dict[str, Calibration]
    history: tuple[EpochRecord, ...]
    best_epoch: int
    parameters: int
    teacher_parameters: int
    train_rows: int

    def facts(self) -> dict[str, Any]:
        """Return the facts that the report shows."""
        return {
            "parameters": self.parameters,
            "teacher_parameters": self.teacher_parameters,
            "train_rows": self.train_rows,
            "best_epoch": self.best_epoch,
            "scores": [record.score for record in self.history],
        }


def train_shared_bottom(
    matrix: TrainingMatrix,
    registry: Registry,
    tasks: Sequence[Named],
    settings: Settings,
    checkpoint_dir: Path | None = None,
) -> SharedBottomResult:
    """Train as :func:`~finai_assets.teacher.train.train_teacher` does, with the number of parameters of the configured teacher.

    Parameters
    ----------
    checkpoint_dir
        Where an interrupted run is taken up again; None keeps no checkpoint.

    Raises
    ------
    GateError
        A split has no rows, a task has no labels, a loss is not finite, or no width gives the teacher's size.
    """
    chosen = settings.teacher
    place = ProcessGroup(device_of(chosen.loop.device))
    with deterministic(chosen.threads, settings.seed, place.device):
        data, normaliser, structure = prepare(matrix, registry, tasks, settings)
        groups = tuple(group.name for group in registry.groups)
        target = parameter_table(PLE(normaliser, data.tasks, chosen, structure=structure, known_groups=groups))["total"]
        route = make_route(groups, normaliser, known=groups)
        hidden = widths_for(target, route, data.tasks, chosen)
        torch.manual_seed(settings.seed)  # the weights do not depend on what was built to be counted
        model = SharedBottom(route, data.tasks, chosen, hidden=hidden)
        run = Run(model, normaliser, data, settings, place)
        checkpoint = None
        if checkpoint_dir is not None:
            name = fingerprint(data, normaliser, structure, settings)
            checkpoint = Checkpoint(checkpoint_dir, f"shared-bottom-{name}")
        with part_of("shared bottom"):
            learn(run, checkpoint)
        calibration = calibrate(model, normaliser, data, chosen.batch_rows)
        if checkpoint is not None:
            checkpoint.remove()
    return SharedBottomResult(
        model=model,
        normaliser=normaliser,
        calibration=calibration,
        history=tuple(run.history),
        best_epoch=run.best_epoch,
        parameters=_count(model),
        teacher_parameters=target,
        train_rows=len(data.train),
    )


def predict_shared_bottom(
    result: SharedBottomResult, X: np.ndarray, side: np.ndarray | None, settings: Settings
) -> dict[str, np.ndarray]:
    """Return probabilities or values of raw rows, task -> float32 [n] or [n, classes]."""
    with deterministic(settings.teacher.threads, settings.seed):
        logits, _ = raw_logits(result.model, result.normaliser, X, settings.teacher.batch_rows, side)
    return {name: result.calibration[name].apply(values) for name, values in logits.items()}


def _table(size: int, width: int) -> nn.Embedding:
    table = nn.Embedding(size, width, padding_idx=0)
    with torch.no_grad():
        table.weight.mul_(_TABLE_STD)
    return table


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
