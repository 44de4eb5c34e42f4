"""The multilayer perceptrons of the network: each task's own expert, and the experts of the later CGC layers.

Perceptrons of equal shape are computed together, as batched matrix products over a leading axis; they share no weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.router import Route, Routed


class RowNorm(nn.Module):
    """Layer norm without scale and shift, which the linear layer after it has anyway: float [..., width] -> the same."""

    def forward(self, x: Tensor) -> Tensor:
        """Give each row mean 0 and variance 1."""
        return functional.layer_norm(x, x.shape[-1:])


def mlp(before: int, hidden: tuple[int, ...], after: int, dropout: float) -> nn.Sequential:
    """Return linear layers with row norm, SiLU and dropout between them: float [n, before] -> float [n, after]."""
    layers: list[nn.Module] = []
    for width in hidden:
        layers += [nn.Linear(before, width), RowNorm(), nn.SiLU(), nn.Dropout(dropout)]
        before = width
    return nn.Sequential(*layers, nn.Linear(before, after))


class StackedLinear(nn.Module):
    """``count`` linear layers side by side: float [count, n, before] -> [count, n, after].

    Examples
    --------
    >>> StackedLinear(13, 5, 2)(torch.zeros(13, 7, 5)).shape
    torch.Size([13, 7, 2])
    """

    def __init__(self, count: int, before: int, after: int) -> None:
        super().__init__()
        bound = before**-0.5
        self.weight = nn.Parameter(torch.empty(count, before, after).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(count, 1, after).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Apply layer i to slice i."""
        return torch.baddbmm(self.bias, x, self.weight)


class FannedLinear(nn.Module):
    """``count`` linear layers that all read the same rows, as one matrix product: float [n, before] -> [n, count, after].

    Examples
    --------
    >>> FannedLinear(13, 5, 2)(torch.zeros(7, 5)).shape
    torch.Size([7, 13, 2])
    """

    def __init__(self, count: int, before: int, after: int) -> None:
        super().__init__()
        self.shape = (count, after)
        self.every = nn.Linear(before, count * after)

    def forward(self, x: Tensor) -> Tensor:
        """Apply every layer to the rows."""
        result: Tensor = self.every(x).view(len(x), *self.shape)
        return result


class StackedMLP(nn.Module):
    """``count`` perceptrons side by side, each ending in a row norm: float [count, n, before] -> [count, n, after]."""

    def __init__(self, count: int, before: int, hidden: tuple[int, ...], after: int, dropout: float = 0.0) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width in hidden:
            layers += [StackedLinear(count, before, width), RowNorm(), nn.SiLU(), nn.Dropout(dropout)]
            before = width
        self.body = nn.Sequential(*layers, StackedLinear(count, before, after), RowNorm())

    def forward(self, x: Tensor) -> Tensor:
        """Apply perceptron i to slice i."""
        result: Tensor = self.body(x)
        return result


class TaskMLP(nn.Module):
    """Each task's own small expert: scalars and one-hot codes through one perceptron per task.

    Parameters
    ----------
    tasks : int
        How many.
    route : Route
        Sequences in it are not read: name only groups of plain columns.
    settings : TeacherSettings
        ``task_expert_hidden``, ``expert_dim``, ``dropout``, ``input_dropout``.

    Shapes
    ------
    Routed batch of n rows -> float [tasks, n, expert_dim].

    Examples
    --------
    >>> route = Route(("a",), scalars=(0, 1), codes=(2,), code_sizes=(4,), sequences=())
    >>> batch = Routed(torch.zeros(5, 2), torch.zeros(5, 1, dtype=torch.long), ())
    >>> TaskMLP(13, route, settings)(batch).shape
    torch.Size([13, 5, 64])
    """

    def __init__(self, tasks: int, route: Route, settings: TeacherSettings) -> None:
        super().__init__()
        self.code_sizes = route.code_sizes
        first, *later = settings.task_expert_hidden
        self.first = FannedLinear(tasks, len(route.scalars) + sum(route.code_sizes), first)
        self.thin = nn.Dropout(settings.input_dropout)
        self.between = nn.Sequential(RowNorm(), nn.SiLU(), nn.Dropout(settings.dropout))
        self.rest = StackedMLP(tasks, first, tuple(later), settings.expert_dim)

    def forward(self, batch: Routed) -> Tensor:
        """Return each task's expert's view of a batch."""
        coded = [
            functional.one_hot(batch.codes[:, index], size).to(batch.scalars.dtype)
            for index, size in enumerate(self.code_sizes)
        ]
        hidden = self.between(self.first(self.thin(torch.cat([batch.scalars, *coded], 1))))
        result: Tensor = self.rest(hidden.transpose(0, 1))
        return result
