"""Settings of ranking (FD-TVS), of diversity and of the depth of explanations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from finai_assets.settings.base import Section

Kind = Literal["any_acquisition", "nba_primary", "will_acquire"]
Grade = Annotated[int, Field(ge=1, le=6)]
Span = tuple[float | None, float | None]  # from, below; null is open


class TaskWeights(Section):
    """Weight of each kind of term; at least one is positive, and a task whose kinds have weight 0 is not asked."""

    any_acquisition: Annotated[float, Field(ge=0)]
    nba_primary: Annotated[float, Field(ge=0)]
    will_acquire: Annotated[float, Field(ge=0)]

    @model_validator(mode="after")
    def _one_is_positive(self) -> TaskWeights:
        if self.any_acquisition + self.nba_primary + self.will_acquire <= 0:
            raise ValueError("all weights are 0, so that no product would have a score")
        return self


class BoostConditions(Section):
    """What must hold of a customer; a condition about something unknown does not hold."""

    age: Span | None = None
    held_count: Span | None = None
    holds_class: str | None = None
    holds_no_class: str | None = None
    segment: tuple[str, ...] | None = None


class RuleBoost(Section):
    """A factor on the terms of the products of some classes, for the customers of whom all conditions hold."""

    id: str
    when: BoostConditions
    classes: tuple[str, ...]
    factor: Annotated[float, Field(gt=0)]

    def declared(self) -> dict[str, Any]:
        """Return the boost as a bundle holds it: only the conditions that it has."""
        return {**self.model_dump(mode="json"), "when": self.when.model_dump(mode="json", exclude_none=True)}


class DiversitySettings(Section):
    """Maximal marginal relevance: ``relevance`` is its lambda, 1 leaves the ranking as it is."""

    relevance: Annotated[float, Field(ge=0, le=1)]
    same_family: Annotated[float, Field(ge=0, le=1)]
    same_class: Annotated[float, Field(ge=0, le=1)]


class RecommendSettings(Section):
    """Ranking of products and depth of explanations."""

    top_k: Annotated[int, Field(ge=1, le=20)]
    attributions: Annotated[int, Field(ge=1, le=20)]
    task_weights: TaskWeights
    segment_multipliers: dict[str, dict[Kind, Annotated[float, Field(ge=1, le=1.5)]]]
    rule_boosts: tuple[RuleBoost, ...]
    risk_penalties: dict[Grade, Annotated[float, Field(ge=0)]]  # a product without a grade has none
    fatigue: Annotated[float, Field(gt=0, le=1)]
    diversity: DiversitySettings
    share_smoothing: Annotated[float, Field(gt=0)]
    held_products: Literal["exclude", "allow"]
