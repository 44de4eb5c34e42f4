"""Section of the settings about the model of which product is acquired."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from finai_assets.settings.base import Positive, PositiveNumber, Section


class ChoiceSettings(Section):
    """Conditional logit whose weights have a small nuclear norm."""

    penalties: Annotated[tuple[PositiveNumber, ...], Field(min_length=1)]  # validation chooses among them
    rank: Positive  # shared directions, at most
    iterations: Positive
