"""The transformer branch: self-attention between patches of transactions, with positions and a mask.

Vaswani et al., Attention is all you need, 2017, in the order of Xiong et al., On layer normalization in the transformer
architecture, 2020 (norm first); patches as in Nie et al., A time series is worth 64 words, 2023.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.teacher.network.experts.task_mlp import RowNorm


class AttentionBlock(nn.Module):
    """Masked self-attention and a perceptron, each added to what it reads: float [n, k, width] -> the same.

    No patch attends to an empty one.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm = RowNorm()
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.enter = nn.Linear(width, 2 * width)
        self.leave = nn.Linear(2 * width, width)

    def forward(self, x: Tensor, exists: Tensor) -> Tensor:
        """Let the patches read each other; ``exists`` bool [n, k] has at least one in each row."""
        n, k, width = x.shape
        projected = self.queries_keys_values(self.norm(x)).view(n, k, 3, self.heads, width // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)  # each [n, heads, k, width / heads]
        logits = query @ key.transpose(2, 3) * (width // self.heads) ** -0.5
        weight = torch.where(exists[:, None, None], logits, float("-inf")).softmax(-1)
        x = x + self.out((weight @ value).transpose(1, 2).reshape(n, k, width))
        result: Tensor = x + self.leave(functional.silu(self.enter(self.norm(x))))
        return result


class PatchTransformer(nn.Module):
    """Attention blocks over embedded patches, read at the newest patch and as the mean of those that exist.

    Parameters
    ----------
    width, heads, layers : int
    out : int
        Width of the result.

    Shapes
    ------
    Patches float [n, k, width], newest first and with their positions, and ``exists`` bool [n, k] -> float [n, out].
    """

    def __init__(self, width: int, *, heads: int, layers: int, out: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(AttentionBlock(width, heads) for _ in range(layers))
        self.norm = RowNorm()
        self.out = nn.Linear(2 * width, out)

    def forward(self, patches: Tensor, exists: Tensor) -> Tensor:
        """Summarise a batch of patched sequences; a row without any patch gets the value of an empty newest one."""
        newest = torch.arange(patches.shape[1], device=exists.device) == 0
        seen = exists | newest
        x = patches
        for block in self.blocks:
            x = block(x, seen)
        x = self.norm(x)
        weight = seen.to(x.dtype)
        mean = (weight[:, None] @ x)[:, 0] / weight.sum(1, keepdim=True)
        result: Tensor = self.out(torch.cat([x[:, 0], mean], 1))
        return result
