"""Section of the settings about what lists of products are compared with."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from finai_assets.settings.base import Positive, PositiveNumber, Section
from finai_assets.settings.recommend import Grade, Kind, RuleBoost, TaskWeights

Penalties = Annotated[tuple[PositiveNumber, ...], Field(min_length=1)]
Sizes = Annotated[tuple[Positive, ...], Field(min_length=1)]


class EaseSettings(Section):
    """EASE, a linear model of which products are held together."""

    # strengths of the ridge penalty on the weights between products, among which validation chooses
    penalties: Penalties


class AlsSettings(Section):
    """ALS, factors of customers and products; validation chooses among all combinations of the parameters."""

    factors: Sizes  # numbers of factors of a product and of a customer
    regularization: Penalties  # strengths of the penalty on the factors; a greater one keeps them smaller
    confidence: Penalties  # weights of a held product; one that is not held has 1
    iterations: Sizes  # numbers of passes in which customers' and products' factors are fitted in turn


class ProductTreesSettings(Section):
    """LightGBM that learns for each product whether it is acquired."""

    rounds: Positive  # trees of a product's model, at most
    leaves: Annotated[int, Field(ge=2)]  # leaves of a tree, at most; more fit finer
    learning_rate: Annotated[float, Field(gt=0, le=1)]  # how much of each tree is taken; less needs more rounds
    # rounds without a lower validation loss that end the training; the best round is kept
    early_stopping_rounds: Positive
    min_child_rows: Positive  # train rows of a leaf, at least; more are smoother
    # share of the columns that a tree may use, drawn anew for each tree
    column_share: Annotated[float, Field(gt=0, le=1)]
    # bins into which a column's values are cut, at most; fewer are faster and coarser
    max_bin: Annotated[int, Field(ge=2, le=255)]
    threads: Positive  # CPU threads of LightGBM; where it counts by rows, figures depend on their number


class ListVariant(Section):
    """The served ranking with something altered, so that the worth of it can be told; what is null stays as it is served."""

    what: str  # what is altered, in words for the reader of the table
    # best layer of the choice model that may answer: 1 reads columns, 2 holdings alone, 3 is train counts
    shares_from: Literal[1, 2, 3] = 1
    contacts: bool = False  # true: recent messages about a product are known, which the monthly list does not ask
    task_weights: TaskWeights | None = None  # weights of the kinds of terms; null: as served
    # kind of term -> factor for customers of the segment of most value; null: as served
    top_segment: dict[Kind, Annotated[float, Field(ge=1, le=1.5)]] | None = None
    rule_boosts: tuple[RuleBoost, ...] | None = None  # rules that multiply terms; null: as served
    # risk grade -> what is subtracted from the score; null: as served
    risk_penalties: dict[Grade, Annotated[float, Field(ge=0)]] | None = None
    # factor for each recent message about a product; null: as served
    fatigue: Annotated[float, Field(gt=0, le=1)] | None = None
    relevance: Annotated[float, Field(ge=0, le=1)] | None = None  # lambda of the list's diversity; null: as served


class ExpertShareSettings(Section):
    """Shares of the teacher's experts for whoever is shown something."""

    # customers of a month for whom shares are computed, at most; of a month with more there are none, as the teacher answers
    # some sixty a second
    most_customers: Positive
    # correlation of an expert's gate weight with how far the prediction moves without it, at the lower end of its interval,
    # from which on a task's shares count as faithful
    faithful: Annotated[float, Field(ge=-1, le=1)]


class ListSettings(Section):
    """The rivals that lists of products are read beside, and the variants of our own list."""

    ease: EaseSettings
    als: AlsSettings
    lightgbm: ProductTreesSettings
    variants: dict[str, ListVariant]
    expert_shares: ExpertShareSettings  # shares of the teacher's experts, told to the bank's employee beside a list
