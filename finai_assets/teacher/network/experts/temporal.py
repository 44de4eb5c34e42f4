"""The expert that reads transactions in their order: three sequence models side by side, and a gate that mixes them by row.

A selective state space reads every transaction, a transformer compares patches of them, a closed-form liquid cell runs over
patches in the time that really passed. :meth:`Temporal.view` returns the gate's weights.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.experts.sequence.liquid import LiquidCell
from finai_assets.teacher.network.experts.sequence.patch_transformer import PatchTransformer
from finai_assets.teacher.network.experts.sequence.patches import PatchEmbedding
from finai_assets.teacher.network.experts.sequence.selective_ssm import SelectiveSSM
from finai_assets.teacher.network.experts.sequence.steps import StepReader
from finai_assets.teacher.network.experts.task_mlp import RowNorm, mlp
from finai_assets.teacher.network.router import Route, Routed
from finai_resources.errors import ConfigError

BRANCHES = ("selective_ssm", "patch_transformer", "liquid")


@dataclass(frozen=True, slots=True)
class TemporalView:
    """The outputs of the branches for n rows.

    Parameters
    ----------
    branches : float [n, 3, view]
        In the order of ``BRANCHES``, each row of each of mean 0 and variance 1, so that a weight tells a share.
    gate : float [n, 3]
        Not negative, adding up to one.
    """

    branches: Tensor
    gate: Tensor


class Temporal(nn.Module):
    """The temporal expert.

    The mixture of the branches and the plain columns of the route (the pretrained encoding, the hidden Markov states) go
    through one perceptron; the branches see the sequence alone.

    Parameters
    ----------
    route : Route
        With exactly one sequence.
    settings : TeacherSettings
        ``expert.temporal``, ``expert_dim``, ``dropout``.

    Shapes
    ------
    Routed batch of n rows -> float [n, expert_dim].

    Examples
    --------
    >>> from finai_assets.teacher.network.router import Days, SequenceInput, SequenceSlots
    >>> steps = tuple(range(200))
    >>> slots = SequenceSlots((steps, steps), (steps,), (60,), 0, 200, Days(1, 110.0, 85.0))
    >>> empty = SequenceInput(torch.zeros(5, 2, 200), torch.zeros(5, 1, 200, dtype=torch.long), torch.zeros(5, dtype=torch.long))
    >>> batch = Routed(torch.zeros(5, 0), torch.zeros(5, 0, dtype=torch.long), (empty,))
    >>> Temporal(Route(("txn_lag_tensor",), (), (), (), (slots,)), settings)(batch).shape
    torch.Size([5, 64])

    Raises
    ------
    ConfigError
        The route has no sequence, or several, or the sequence has no ages.
    """

    def __init__(self, route: Route, settings: TeacherSettings) -> None:
        super().__init__()
        sizes = settings.expert.temporal
        if len(route.sequences) != 1:
            raise ConfigError(
                f"the temporal expert reads one sequence, its groups {list(route.groups)} hold {len(route.sequences)}",
                where="teacher.routing.temporal",
                fix="route txn_lag_tensor to it, or take it out of teacher.experts",
            )
        self.reader = StepReader(route.sequences[0], multiple=sizes.patch)
        rows, numbers, view = self.reader.rows, self.reader.numbers, sizes.view
        self.selective_ssm = SelectiveSSM(
            rows, numbers, channels=sizes.channels, states=sizes.states, rank=sizes.step_rank, reads=sizes.reads, width=view
        )  # fmt: skip
        self.patches = PatchEmbedding(
            rows, numbers, steps=self.reader.steps, patch=sizes.patch, code_width=sizes.code_width, width=sizes.width
        )
        self.patch_transformer = PatchTransformer(sizes.width, heads=sizes.heads, layers=sizes.layers, out=view)
        self.liquid = LiquidCell(sizes.width, units=sizes.units, out=view)
        self.code_sizes = route.code_sizes
        plain = len(route.scalars) + sum(route.code_sizes)
        self.gate = nn.Linear(len(BRANCHES) * view, len(BRANCHES))
        self.last = mlp(view + plain, sizes.hidden, settings.expert_dim, settings.dropout)
        self.norm = RowNorm()

    def view(self, batch: Routed) -> TemporalView:
        """Return each branch's output for a batch, and its gate weight."""
        steps = self.reader(batch.sequences[0])
        patches = self.patches(steps)
        exists = self.patches.exists(steps.length)
        branches = self.norm(
            torch.stack(
                [
                    self.selective_ssm(steps),
                    self.patch_transformer(patches, exists),
                    self.liquid(patches, exists, self.patches.gaps(steps)),
                ],
                1,
            )
        )
        return TemporalView(branches, self.gate(branches.flatten(1)).softmax(1))

    def forward(self, batch: Routed) -> Tensor:
        """Return the expert's view of a batch."""
        view = self.view(batch)
        mixed = (view.gate[:, None] @ view.branches)[:, 0]
        coded = [
            functional.one_hot(batch.codes[:, index], size).to(mixed.dtype)
            for index, size in enumerate(self.code_sizes)
        ]
        result: Tensor = self.norm(self.last(torch.cat([mixed, batch.scalars, *coded], 1)))
        return result
