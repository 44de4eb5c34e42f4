"""Section of the settings about the model of which product is acquired."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from finai_assets.settings.base import Positive, PositiveNumber, Section


class ChoiceSettings(Section):
    """Conditional logit whose weights have a small nuclear norm."""

    # strengths of the penalty on the weights, one fit each; a greater one makes products more alike, and validation chooses
    penalties: Annotated[tuple[PositiveNumber, ...], Field(min_length=1)]
    # directions in which customers differ and that all products share, at most; fewer are simpler and smaller
    rank: Positive
    iterations: Positive  # steps of the optimiser of one fit, at most
