"""The section of the settings about the teacher's explanations and how their faithfulness is measured."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from finai_assets.settings.base import Positive, Section, Share


class ExplanationSettings(Section):
    """How many rows are explained, how finely, and how the explanations are tested."""

    rows: Positive  # test rows of whole customers that are attributed and masked
    ablation_rows: Positive  # test rows of whole customers on which experts are removed
    train_rows: Positive  # of whole customers, whose mean is the baseline and stands in for an expert
    steps: Annotated[int, Field(ge=2)]  # of the integral along the path
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...]  # of the inputs that are masked, ascending
    random_orders: Positive  # random maskings; the attributions are compared with their mean
    tolerance: Share  # mean gap of the completeness, over the mean change of the output, up to which it counts as met
    top: Positive  # inputs stored for each row and task
    batch_rows: Positive

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.shares or any(after <= before for before, after in pairwise(self.shares)):
            raise ValueError(f"shares {list(self.shares)} must ascend")
        return self
