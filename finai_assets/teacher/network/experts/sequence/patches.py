"""Patches: some successive transactions embedded together, each by its place in the patch.

The embedding of a patch is a linear map of its steps side by side, code embeddings and numbers, as vision transformers embed
patches of an image (Dosovitskiy et al., An image is worth 16x16 words, 2021). A linear map of a looked-up embedding is itself a
look-up, in a table with one part per place, so the maps are folded into the tables before any row is seen.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from finai_assets.teacher.network.experts.sequence.blocks import compiled, count_blocks, in_blocks
from finai_assets.teacher.network.experts.sequence.steps import Steps

_TABLE_STD = 0.25


class PatchEmbedding(nn.Module):
    """Embeds each patch of ``patch`` successive steps; steps that do not exist add nothing.

    Parameters
    ----------
    rows, numbers : int
        Size of the code table, and how many numbers a step has.
    steps, patch : int
        ``steps`` is a multiple of ``patch``.
    code_width, width : int
        Of a code's embedding, and of a patch's.

    Shapes
    ------
    Steps of n rows -> float [n, steps / patch, width], the newest patch first.
    """

    def __init__(self, rows: int, numbers: int, *, steps: int, patch: int, code_width: int, width: int) -> None:
        super().__init__()
        self.patch, self.count = patch, steps // patch
        self.table = nn.Parameter(torch.randn(rows, code_width) * _TABLE_STD)
        bound = (patch * (code_width + numbers)) ** -0.5
        self.places = nn.Parameter(torch.empty(patch, code_width, width).uniform_(-bound, bound))
        self.numbers = nn.Parameter(torch.empty(patch, numbers, width).uniform_(-bound, bound))
        self.position = nn.Parameter(torch.randn(self.count, width) * bound)

    @property
    def folded(self) -> Tensor:
        """Return what a code adds by its place in a patch, float [patch, rows, width]."""
        return torch.einsum("re,pew->prw", self.table, self.places)

    def forward(self, steps: Steps) -> Tensor:
        """Embed the patches of a batch."""
        embed = _compiled_embedding if compiled(steps.numbers) else tensor_embedding
        return embed(steps, self.folded, self.numbers) + self.position

    def exists(self, length: Tensor) -> Tensor:
        """Return which patches hold a transaction, bool [n, patches]."""
        return torch.arange(self.count, device=length.device) * self.patch < length[:, None]

    def gaps(self, steps: Steps) -> Tensor:
        """Return log(1 + time) from the next older patch's newest transaction to this one's, float [n, patches].

        0 for the oldest patch that exists and those beyond it.
        """
        age = steps.age[:, :: self.patch]
        has_before = self.exists(steps.length - self.patch)
        before = functional.pad(age[:, 1:], (0, 1))
        return torch.where(has_before, before - age, 0.0).clamp_min(0).log1p()


def tensor_embedding(steps: Steps, folded: Tensor, weights: Tensor) -> Tensor:
    """Embed patches by tensor operations, on any device and in any precision: float [n, patches, width]."""
    patch, rows, width = folded.shape
    n, count = len(steps.length), steps.age.shape[1] // patch
    numbers = (steps.numbers * steps.mask[:, None]).view(n, -1, count, patch)
    place = torch.arange(patch, device=steps.codes.device) * rows
    nothing = patch * rows  # a row of zeros, for steps that do not exist
    codes = torch.where(steps.mask[:, None], steps.codes + place.repeat(count), nothing)
    table = torch.cat([folded.flatten(0, 1), folded.new_zeros(1, width)])
    bags = codes.view(n, -1, count, patch).transpose(1, 2).reshape(n * count, -1)
    coded = functional.embedding_bag(bags, table, mode="sum").view(n, count, width)
    return coded + torch.einsum("nfkp,pfw->nkw", numbers, weights)


def _compiled_embedding(steps: Steps, folded: Tensor, weights: Tensor) -> Tensor:
    result: Tensor = _Embedding.apply(steps.numbers, steps.codes, steps.length, folded, weights)  # type: ignore[no-untyped-call]
    return result


class _Embedding(torch.autograd.Function):
    """The same as :func:`tensor_embedding`, for float32 on a CPU, with its gradient."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        """Embed every row."""
        ctx.save_for_backward(*tensors)
        arrays = _arrays(tensors)
        patch, _, width = arrays[3].shape
        out = np.zeros((len(arrays[0]), arrays[0].shape[2] // patch, width), np.float32)
        in_blocks(len(out), lambda _, first, end: _embed(arrays, first, end, out))
        return torch.from_numpy(out)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the numbers, the folded table and the weights of the numbers."""
        arrays = _arrays(ctx.saved_tensors)
        numbers, _, _, folded, weights = arrays
        above = grads[0].contiguous().numpy()
        blocks = count_blocks(len(numbers))
        of_folded = np.zeros((blocks, *folded.shape), np.float32)
        of_weights = np.zeros((blocks, *weights.shape), np.float32)
        of_numbers = np.zeros_like(numbers) if ctx.needs_input_grad[0] else np.empty((0, 0, 0), np.float32)
        in_blocks(
            len(numbers),
            lambda block, first, end: _embed_backward(
                arrays, first, end, above, of_folded[block], of_weights[block], of_numbers
            ),
        )
        inputs = torch.from_numpy(of_numbers) if ctx.needs_input_grad[0] else None
        return inputs, None, None, torch.from_numpy(of_folded.sum(0)), torch.from_numpy(of_weights.sum(0))


def _arrays(tensors: tuple[Tensor, ...]) -> tuple[np.ndarray, ...]:
    return tuple(tensor.detach().contiguous().numpy() for tensor in tensors)


@numba.njit(cache=True, nogil=True, error_model="numpy")
def _embed(arrays: Any, first: int, end: int, out: Any) -> None:
    numbers, codes, length, folded, weights = arrays
    patch, _, width = folded.shape
    for i in range(first, end):
        for t in range(length[i]):
            to, place = out[i, t // patch], t % patch
            for k in range(codes.shape[1]):
                source = folded[place, codes[i, k, t]]
                for w in range(width):
                    to[w] += source[w]
            for f in range(numbers.shape[1]):
                value, weight = numbers[i, f, t], weights[place, f]
                for w in range(width):
                    to[w] += value * weight[w]


# The sum over the width may take the order that suits the machine: its only use is a gradient.
@numba.njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc", "nsz"})
def _embed_backward(
    arrays: Any, first: int, end: int, above: Any, of_folded: Any, of_weights: Any, of_numbers: Any
) -> None:
    numbers, codes, length, folded, weights = arrays
    patch, _, width = folded.shape
    for i in range(first, end):
        for t in range(length[i]):
            grad, place = above[i, t // patch], t % patch
            for k in range(codes.shape[1]):
                to = of_folded[place, codes[i, k, t]]
                for w in range(width):
                    to[w] += grad[w]
            for f in range(numbers.shape[1]):
                value, of_weight = numbers[i, f, t], of_weights[place, f]
                for w in range(width):
                    of_weight[w] += value * grad[w]
        if len(of_numbers):
            for t in range(length[i]):
                grad, place = above[i, t // patch], t % patch
                for f in range(numbers.shape[1]):
                    weight, total = weights[place, f], np.float32(0)
                    for w in range(width):
                        total += weight[w] * grad[w]
                    of_numbers[i, f, t] = total
