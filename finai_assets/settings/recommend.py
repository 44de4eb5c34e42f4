"""Settings of ranking (FD-TVS), of diversity and of the depth of explanations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from finai_assets.settings.base import Section

Kind = Literal["any_acquisition", "nba_primary", "will_acquire"]
Grade = Annotated[int, Field(ge=1, le=6)]
Span = tuple[float | None, float | None]  # from, below; null is open


class TaskWeights(Section):
    """Weight of each kind of term of a product's score; one at least is positive."""

    # weight of the probability that anything at all is acquired (1 - P(nothing) of nba_primary), shared out among all open
    # products; 0: not asked
    any_acquisition: Annotated[float, Field(ge=0)]
    # weight of a family's probability of being the next best action, shared out among the family's products; 0: not asked
    nba_primary: Annotated[float, Field(ge=0)]
    # weight of the probability that something of an acquisition set is acquired, shared out among its products; 0: not asked
    will_acquire: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _one_is_positive(self) -> TaskWeights:
        if self.any_acquisition + self.nba_primary + self.will_acquire <= 0:
            raise ValueError("all weights are 0, so that no product would have a score")
        return self


class BoostConditions(Section):
    """What must hold of a customer; a condition about something unknown does not hold."""

    age: Span | None = None  # [from, below) in completed years, null for an open end; null: any age
    held_count: Span | None = None  # [from, below) in products held, null for an open end; null: any number
    holds_class: str | None = None  # product class of which something must be held; null: not asked
    holds_no_class: str | None = None  # product class of which nothing may be held; null: not asked
    segment: tuple[str, ...] | None = None  # segments of which the customer's must be one; null: any


class RuleBoost(Section):
    """A factor on the terms of the products of some classes, for the customers of whom all conditions hold."""

    id: str  # name of the rule, by which errors tell which one is meant
    when: BoostConditions  # conditions that must all hold of the customer
    classes: tuple[str, ...]  # product classes whose terms are multiplied
    # what the terms are multiplied with: above 1 favours the classes, below 1 holds them back; rules that meet multiply
    factor: Annotated[float, Field(gt=0)]

    def declared(self) -> dict[str, Any]:
        """Return the boost as a bundle holds it: only the conditions that it has."""
        return {**self.model_dump(mode="json"), "when": self.when.model_dump(mode="json", exclude_none=True)}


class DiversitySettings(Section):
    """Maximal marginal relevance: how far a list avoids products that are alike."""

    # lambda: 1 leaves the ranking as it is; the smaller, the more a list avoids products that are alike
    relevance: Annotated[float, Field(ge=0, le=1)]
    # how alike two products of one family count, from 0 (not at all) to 1
    same_family: Annotated[float, Field(ge=0, le=1)]
    # how alike two products of one class, but not of one family, count, from 0 (not at all) to 1
    same_class: Annotated[float, Field(ge=0, le=1)]


class RecommendSettings(Section):
    """Ranking of products and depth of explanations."""

    top_k: Annotated[int, Field(ge=1, le=20)]  # products in a customer's list, at most
    # strongest contributions of columns that are kept for each product of a list, to explain it
    attributions: Annotated[int, Field(ge=1, le=20)]
    # weight of each kind of term of a product's score, chosen on validation (docs/decisions/0014)
    task_weights: TaskWeights
    # segment -> kind of term -> factor on such terms of its customers; whoever is not named has 1
    segment_multipliers: dict[str, dict[Kind, Annotated[float, Field(ge=1, le=1.5)]]]
    # rules that multiply the terms of some product classes; those that hold of a customer multiply each other
    rule_boosts: tuple[RuleBoost, ...]
    # risk grade (1 is the riskiest) -> what is subtracted from the score of its products; a product without a grade has none
    risk_penalties: dict[Grade, Annotated[float, Field(ge=0)]]
    # factor on a product's score for each recent message about it, where a contact history is given; 1: messages change nothing
    fatigue: Annotated[float, Field(gt=0, le=1)]
    # how far a list avoids products that are alike; its worth has not been measured, so that it is off as shipped
    diversity: DiversitySettings
    # where no choice model answers: added to each product's number of train acquisitions; more makes the products' shares more
    # alike
    share_smoothing: Annotated[float, Field(gt=0)]
    # exclude: what the customer holds is not offered; allow: it may be offered again
    held_products: Literal["exclude", "allow"]
