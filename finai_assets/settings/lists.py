"""Section of the settings about what lists of products are compared with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finai_assets.settings.base import Positive, PositiveNumber, Section
from finai_assets.settings.recommend import Grade, Kind, RuleBoost, TaskWeights

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


class ListVariant(Section):
    """The served ranking with something altered, so that the worth of it can be told; what is None stays as it is served."""

    what: str  # is altered, for the reader of the table
    shares_from: Literal[1, 2, 3] = 1  # best layer of the choice model: columns, holdings alone, train counts
    contacts: bool = False  # whether recent messages about a product are known, which the monthly list does not ask
    task_weights: TaskWeights | None = None
    top_segment: dict[Kind, Annotated[float, Field(ge=1, le=1.5)]] | None = (
        None  # multipliers of the segment of most value
    )
    rule_boosts: tuple[RuleBoost, ...] | None = None
    risk_penalties: dict[Grade, Annotated[float, Field(ge=0)]] | None = None
    fatigue: Annotated[float, Field(gt=0, le=1)] | None = None
    relevance: Annotated[float, Field(ge=0, le=1)] | None = None


class ExpertShareSettings(Section):
    """Shares of the teacher's experts for whoever is shown something."""

    most_customers: Positive  # of a month; beyond them there are none, as the teacher answers some sixty a second
    faithful: Annotated[float, Field(ge=-1, le=1)]  # least correlation of gate weight and movement of the prediction


class ListSettings(Section):
    """The rivals that lists of products are read beside, and the variants of our own list."""

    ease: EaseSettings
    als: AlsSettings
    lightgbm: ProductTreesSettings
    variants: dict[str, ListVariant]
    expert_shares: ExpertShareSettings
