"""Section of the settings about what lists of products are compared with."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from finai_assets.settings.base import Positive, PositiveNumber, Section

Penalties = Annotated[tuple[PositiveNumber, ...], Field(min_length=1)]
Sizes = Annotated[tuple[Positive, ...], Field(min_length=1)]


class EaseSettings(Section):
    """Penalties among which validation chooses."""

    penalties: Penalties


class AlsSettings(Section):
    """Parameters among whose combinations validation chooses."""

    factors: Sizes
    regularization: Penalties
    confidence: Penalties  # weight of a held product; one that is not held has 1
    iterations: Sizes


class ProductTreesSettings(Section):
    """LightGBM for each product."""

    rounds: Positive
    leaves: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    early_stopping_rounds: Positive
    min_child_rows: Positive
    column_share: Annotated[float, Field(gt=0, le=1)]  # drawn anew for each tree
    max_bin: Annotated[int, Field(ge=2, le=255)]
    threads: Positive


class ListSettings(Section):
    """The rivals that lists of products are read beside."""

    ease: EaseSettings
    als: AlsSettings
    lightgbm: ProductTreesSettings
