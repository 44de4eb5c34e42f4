"""DeepFM (Guo et al., IJCAI 2017): linear part, second-order factorisation machine, and deep part over the same embeddings.

Every scalar column is a field (value times the column's embedding), every code a field (row of its table). A transaction
sequence becomes fields without regard to its order beyond recency: its newest steps one by one, and the figures of
``pools.py``. The temporal expert reads their order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.settings.method import TeacherSettings
from finai_assets.teacher.network.experts.pools import SequencePool
from finai_assets.teacher.network.experts.task_mlp import RowNorm, mlp
from finai_assets.teacher.network.router import Route, Routed

# Small, so that the second-order term of some hundred fields starts near zero and the linear part leads.
_INITIAL_STD = 0.05
# Rows of a code's table: one of them speaks for the whole code and is seen in few rows of a batch. Measured: at 0.05 the code of
# the newest transaction is not learned within the epochs of a run.
_TABLE_STD = 0.25


class DeepFM(nn.Module):
    """Linear part + second-order part + deep part, each to ``expert_dim``.

    The linear part reads the fields' values with a weight per output (a table row per code). The second-order part is kept as
    the vector over the ``field_dim`` factors and then mapped, where the original adds it up to one number.

    Parameters
    ----------
    route : Route
        Which columns are its fields.
    settings : TeacherSettings
        ``field_dim``, ``deep_hidden``, ``expert_dim``, ``dropout``, ``input_dropout``, ``newest``, ``pool_half_lives``,
        ``pool_windows``.

    Shapes
    ------
    Routed batch of n rows -> float [n, expert_dim].

    Examples
    --------
    >>> route = Route(("a",), scalars=(0, 1), codes=(2,), code_sizes=(4,), sequences=())
    >>> batch = Routed(torch.zeros(5, 2), torch.zeros(5, 1, dtype=torch.long), ())
    >>> DeepFM(route, settings)(batch).shape
    torch.Size([5, 64])
    """

    offsets: Tensor

    def __init__(self, route: Route, settings: TeacherSettings) -> None:
        super().__init__()
        self.pools = nn.ModuleList(SequencePool(slots, settings) for slots in route.sequences)
        pools = [pool for pool in self.pools if isinstance(pool, SequencePool)]
        scalars = len(route.scalars) + sum(pool.scalar_count for pool in pools)
        sizes = [*route.code_sizes, *(size for pool in pools for size in pool.newest_sizes)]
        k, out = settings.field_dim, settings.expert_dim
        self.k, self.count = k, scalars + len(sizes)
        self.scalar_embedding = _rows(scalars, k, _INITIAL_STD)
        self.linear = nn.Linear(scalars, out)
        self.code_embedding = nn.ModuleList(_table(size, k) for size in sizes)
        self.code_linear = nn.ModuleList(_table(size, out) for size in sizes)
        self.second = nn.Linear(k, out, bias=False)
        first, *later = settings.deep_hidden
        self.enter = nn.Linear(self.count * k, first)
        self.deep = nn.Sequential(
            RowNorm(), nn.SiLU(), nn.Dropout(settings.dropout), mlp(first, tuple(later), out, settings.dropout)
        )
        self.norm = RowNorm()
        self.thin = nn.Dropout(settings.input_dropout)

    def parts(self, batch: Routed) -> tuple[Tensor, Tensor, Tensor]:
        """Return scalar values float [n, s], other fields' embeddings [n, f, k], and the linear part [n, expert_dim]."""
        scalars, codes = [batch.scalars], [batch.codes]
        for pool, sequence in zip(self.pools, batch.sequences, strict=True):
            pooled, newest = pool(sequence)
            scalars.append(pooled)
            codes.append(newest)
        values, ids = self.thin(torch.cat(scalars, 1)), torch.cat(codes, 1)
        embedded, linear = [values.new_empty(len(values), 0, self.k)], self.linear(values)
        for index, (table, weights) in enumerate(zip(self.code_embedding, self.code_linear, strict=True)):
            embedded.append(table(ids[:, index])[:, None])
            linear = linear + weights(ids[:, index])
        return values, torch.cat(embedded, 1), linear

    def fields(self, batch: Routed) -> Tensor:
        """Return every field's embedding, float [n, fields, k]: what the second-order and the deep part are defined on."""
        values, others, _ = self.parts(batch)
        return torch.cat([values[:, :, None] * self.scalar_embedding, others], 1)

    def forward(self, batch: Routed) -> Tensor:
        """Return the expert's view of a batch.

        A scalar field is a number times a fixed vector, so sums over such fields are matrix products; the fields themselves,
        hundreds of numbers a row, are never written down.
        """
        values, others, linear = self.parts(batch)
        total = values @ self.scalar_embedding + others.sum(1)
        squares = values.square() @ self.scalar_embedding.square() + others.square().sum(1)
        weights = self.enter.weight.view(-1, self.count, self.k)
        scalars = values.shape[1]
        entered = values @ torch.einsum("hsk,sk->sh", weights[:, :scalars], self.scalar_embedding)
        entered = entered + functional.linear(others.flatten(1), weights[:, scalars:].flatten(1), self.enter.bias)
        mixed: Tensor = self.norm(linear + self.second(0.5 * (total.square() - squares)) + self.deep(entered))
        return mixed


def _rows(rows: int, columns: int, std: float) -> nn.Parameter:
    return nn.Parameter(torch.randn(rows, columns) * std)


def _table(rows: int, columns: int) -> nn.Embedding:
    table = nn.Embedding(rows, columns)
    nn.init.normal_(table.weight, std=_TABLE_STD)
    return table
