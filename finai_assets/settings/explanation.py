"""The section of the settings about the teacher's explanations and how their faithfulness is measured."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field, model_validator

from finai_assets.settings.base import Positive, Section, Share


class ExplanationSettings(Section):
    """How many rows are explained, how finely, and how the explanations are tested."""

    rows: Positive  # test rows of whole customers that are attributed and masked; 512 cost about a minute of one core
    ablation_rows: Positive  # test rows of whole customers on which experts are removed, to see what each is worth
    # train rows of whole customers; their mean is the baseline of attributions and stands in for a removed expert
    train_rows: Positive
    # points on the way from the baseline to the row; more bring the attributions' sum nearer to the change of the output
    steps: Annotated[int, Field(ge=2)]
    # shares of the inputs that are masked one after the other, ascending
    shares: tuple[Annotated[float, Field(gt=0, le=1)], ...]
    random_orders: Positive  # random orders of masking; the order by attributions is compared with their mean
    # mean gap between the sum of attributions and the change of the output, as a share of the mean change, up to which the sum
    # counts as complete
    tolerance: Share
    top: Positive  # strongest inputs that are stored for each row and task
    batch_rows: Positive  # rows that are explained at once; more need more memory

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if not self.shares or any(after <= before for before, after in pairwise(self.shares)):
            raise ValueError(f"shares {list(self.shares)} must ascend")
        return self
