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

    channels: Positive  # channels of the selective state space that reads every transaction
    states: Positive  # numbers that each channel remembers
    step_rank: Positive  # numbers from which each transaction sets how long the memory stays
    reads: Positive  # ways in which the last state is read at once
    # successive transactions that the transformer and the liquid cell read as one; the sequence's length is a multiple of it
    patch: Positive
    code_width: Positive  # width of a code's embedding, before its place in the patch is known
    width: Positive  # width of a patch's embedding; a multiple of `heads`
    heads: Positive  # attention heads of the transformer
    layers: Positive  # attention blocks of the transformer
    units: Positive  # units of the liquid cell
    view: Positive  # width of each of the three views of the sequence, which a gate mixes by row
    hidden: tuple[Positive, ...]  # units of the hidden layers of the perceptron that ends the expert

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} does not share out among {self.heads} heads: choose a multiple")
        return self


class HgcnSettings(Section):
    """Sizes of the graph convolution on the merchant tree."""

    width: Annotated[int, Field(ge=2)]  # dimensions of the ball that the merchant tree lies in
    layers: Positive  # convolutions; each mixes a node with its neighbours in the tree once more
    edge_length: PositiveNumber  # hyperbolic length of an edge of the tree as the training begins
    hidden: tuple[Positive, ...]  # units of the hidden layers of the perceptron that ends the expert


class PersLaySettings(Section):
    """Sizes of the vectorisation of persistence diagrams."""

    gaussians: Positive  # learned Gaussians, summed over the points of each diagram and dimension
    tents: Positive  # learned tents, of which the greatest counts, for each diagram and dimension
    hidden: tuple[Positive, ...]  # units of the hidden layers of the perceptron that ends the expert


class LightGcnSettings(Section):
    """Sizes of the propagation on the customer-product graph."""

    width: Positive  # width of a product's learned embedding
    # steps of propagation; three are the least that reach from a product to another customer's products
    layers: Annotated[int, Field(ge=3)]
    hidden: tuple[Positive, ...]  # units of the hidden layers of the perceptron that ends the expert


class CausalSettings(Section):
    """Sizes and penalties of the structural model."""

    # variables into which the plain columns are compressed, and between which causes are learned
    variables: Annotated[int, Field(ge=2)]
    hidden: tuple[Positive, ...]  # units of the hidden layers of the perceptron that ends the expert
    momentum: Annotated[float, Field(gt=0, le=1)]  # weight of a batch in the running moments of the variables
    lasso: Annotated[float, Field(ge=0)]  # penalty on the standardised weights; more leaves fewer edges
    threshold: Annotated[float, Field(ge=0, lt=1)]  # a smaller standardised weight is no edge
    pressure: PositiveNumber  # greatest multiplier and penalty on acyclicity between the ends of two epochs


class OptimalTransportSettings(Section):
    """Sizes of the comparison with prototype measures."""

    prototypes: Positive  # learned measures on the merchant categories that a customer's spend is compared with
    # entropic regularisation in units of the longest path through the tree; less is nearer to the true cost and converges more
    # slowly
    epsilon: PositiveNumber
    iterations: Positive  # Sinkhorn's iterations; at 8 the shipped error is below 1e-4
    hidden: tuple[Positive, ...]  # units of the hidden layers of the perceptron that ends the expert


class ExpertSettings(Section):
    """What each expert's own section says."""

    temporal: TemporalSettings
    hgcn: HgcnSettings
    perslay: PersLaySettings
    lightgcn: LightGcnSettings
    causal: CausalSettings
    optimal_transport: OptimalTransportSettings
