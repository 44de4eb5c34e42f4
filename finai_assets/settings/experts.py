"""Sections of the settings about the teacher's experts, one each."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from finai_assets.settings.base import Positive, PositiveNumber, Section

# An expert -> the feature groups of which it needs one; every other expert is built from any group of its route.
NEEDED_GROUPS = {
    "temporal": ("txn_lag_tensor",),
    "hgcn": ("merchant_hierarchy",),
    "optimal_transport": ("merchant_hierarchy",),
    "perslay": ("tda_global", "tda_local"),
    "lightgcn": ("product_holdings",),
}


class TemporalSettings(Section):
    """Sizes of the expert that reads the transaction sequence."""

    channels: Positive  # of the selective state space
    states: Positive  # of each channel
    step_rank: Positive  # numbers that set how long a step stays
    reads: Positive  # ways in which the last state is read at once
    patch: Positive  # transactions
    code_width: Positive  # of a code's embedding, before its place in the patch is known
    width: Positive  # of a patch
    heads: Positive
    layers: Positive  # of the transformer
    units: Positive  # of the liquid cell
    view: Positive  # of each of the three views of the sequence
    hidden: tuple[Positive, ...]

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not share out among {self.heads} heads: choose a multiple")
        return self


class HgcnSettings(Section):
    """Sizes of the graph convolution on the merchant tree."""

    width: Annotated[int, Field(ge=2)]  # of the ball
    layers: Positive
    edge_length: PositiveNumber  # hyperbolic, of an edge of the tree as the training begins
    hidden: tuple[Positive, ...]


class PersLaySettings(Section):
    """Sizes of the vectorisation of persistence diagrams."""

    gaussians: Positive  # of each diagram and dimension
    tents: Positive  # of each diagram and dimension
    hidden: tuple[Positive, ...]


class LightGcnSettings(Section):
    """Sizes of the propagation on the customer-product graph."""

    width: Positive
    layers: Annotated[int, Field(ge=3)]  # the least that reach from a product to another customer's products
    hidden: tuple[Positive, ...]


class CausalSettings(Section):
    """Sizes and penalties of the structural model."""

    variables: Annotated[int, Field(ge=2)]
    hidden: tuple[Positive, ...]
    momentum: Annotated[float, Field(gt=0, le=1)]  # of a batch in the running moments
    lasso: Annotated[float, Field(ge=0)]  # on the standardised weights
    threshold: Annotated[float, Field(ge=0, lt=1)]  # a smaller standardised weight is no edge
    pressure: PositiveNumber  # greatest multiplier and penalty on acyclicity between the ends of two epochs


class OptimalTransportSettings(Section):
    """Sizes of the comparison with prototype measures."""

    prototypes: Positive
    epsilon: PositiveNumber  # entropic regularisation, in units of the longest path through the tree
    iterations: Positive
    hidden: tuple[Positive, ...]


class ExpertSettings(Section):
    """What each expert's own section says."""

    temporal: TemporalSettings
    hgcn: HgcnSettings
    perslay: PersLaySettings
    lightgcn: LightGcnSettings
    causal: CausalSettings
    optimal_transport: OptimalTransportSettings
