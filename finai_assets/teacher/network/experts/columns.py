"""The plain columns of a routed batch side by side, which an expert reads beside its own structure."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from finai_assets.teacher.network.router import Route, Routed


def plain_width(route: Route) -> int:
    """Return the width of :func:`plain`'s rows."""
    return len(route.scalars) + sum(route.code_sizes)


def plain(batch: Routed, code_sizes: tuple[int, ...]) -> Tensor:
    """Return scalars and one-hot codes, float [n, scalars + sum of ``code_sizes``]; code 0 (missing or unseen) has its place."""
    coded = [
        functional.one_hot(batch.codes[:, index], size).to(batch.scalars.dtype) for index, size in enumerate(code_sizes)
    ]
    return torch.cat([batch.scalars, *coded], 1)
