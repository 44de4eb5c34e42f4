"""Sections of the settings about the teacher's experts, one each."""

from __future__ import annotations

from finai_assets.section import Section


class TemporalSettings(Section):
    """Sizes of the expert that reads the transaction sequence."""


class HgcnSettings(Section):
    """Sizes of the graph convolution on the merchant tree."""


class PersLaySettings(Section):
    """Sizes of the vectorisation of persistence diagrams."""


class LightGcnSettings(Section):
    """Sizes of the propagation on the customer-product graph."""


class CausalSettings(Section):
    """Sizes and penalties of the structural model."""


class OptimalTransportSettings(Section):
    """Sizes of the comparison with prototype measures."""


class ExpertSettings(Section):
    """What each expert's own section says."""

    temporal: TemporalSettings
    hgcn: HgcnSettings
    perslay: PersLaySettings
    lightgcn: LightGcnSettings
    causal: CausalSettings
    optimal_transport: OptimalTransportSettings
