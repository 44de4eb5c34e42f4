"""Sections of the settings about feature groups: a class for each, in the order of the reference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from finai_assets.settings.base import Positive, PositiveNumber, Section, Share

PersistenceEngine = Literal["kernel", "gudhi"]  # what finds the bars of a cloud; both find the same ones


class NothingToChoose(Section):
    """A group without parameters."""


class DemographicsSettings(Section):
    """Bins of the two derived categories."""

    age_bins: tuple[int, ...]
    income_quantiles: Annotated[int, Field(ge=2, le=20)]


class TxnBehaviorSettings(Section):
    """How far back the recent spend reaches."""

    recent_days: Positive


class TdaGlobalSettings(Section):
    """The cloud of weekly vectors."""

    weeks: Annotated[int, Field(ge=4, le=64)]
    points: Positive  # of the stored diagrams, in each dimension
    engine: PersistenceEngine


class TdaLocalSettings(Section):
    """The delay embedding of daily spend."""

    days: Positive
    dimension: Annotated[int, Field(ge=2, le=8)]
    lag_days: Positive
    landmarks: Annotated[int, Field(ge=4, le=64)]
    points: Positive
    engine: PersistenceEngine

    @model_validator(mode="after")
    def _window_holds_a_cloud(self) -> TdaLocalSettings:
        points = self.days - (self.dimension - 1) * self.lag_days
        if points < self.landmarks:
            raise ValueError(f"{self.days} days make {points} points, fewer than the {self.landmarks} landmarks")
        return self


class HmmStatesSettings(Section):
    """Hidden states of each model, priors for sparse data, and when the fit ends."""

    states: dict[str, Annotated[int, Field(ge=2, le=16)]]
    variance_floor: PositiveNumber  # of a state, in squared standard deviations of the observations
    prior_months: PositiveNumber  # weight of the whole's mean, variance and of each transition in every state
    share_prior: PositiveNumber  # transactions at the train shares, beside those of a month
    fit_rows: Positive
    iterations: Positive
    tolerance: PositiveNumber  # nats a month


class MambaTemporalSettings(Section):
    """The encoder's size, and its pretraining."""

    transactions: Positive
    width: Positive
    model_width: Positive
    state: Positive
    fit_rows: Positive
    epochs: Positive
    batch_rows: Positive
    learning_rate: PositiveNumber


class ProductHierarchySettings(Section):
    """The Poincare ball of products, and the prior of how often two are held together."""

    width: Annotated[int, Field(ge=2)]
    edge_length: PositiveNumber  # hyperbolic, of an edge of the tree
    prior_rows: PositiveNumber  # added to the observed and to the expected number of rows that hold both products
    epochs: Positive
    learning_rate: PositiveNumber


class MerchantHierarchySettings(Section):
    """The Poincare ball of merchant categories, and how spend weighs in it."""

    width: Annotated[int, Field(ge=2)]
    l1_categories: Positive
    leaves: Positive  # of the stored spend measure
    half_life_days: PositiveNumber
    edge_length: PositiveNumber  # hyperbolic, of an edge of the tree
    epochs: Positive
    learning_rate: PositiveNumber


class GraphCollaborativeSettings(Section):
    """LightGCN and its training."""

    width: Positive
    layers: Positive
    steps: Positive  # of Adam, each on a batch of edges
    batch_edges: Positive
    learning_rate: PositiveNumber
    regularisation: Annotated[float, Field(ge=0)]


class GmmClusteringSettings(Section):
    """The mixture and its fit."""

    components: Annotated[int, Field(ge=2)]
    min_weight: Share  # a component below it is re-seeded
    starts: Positive  # of the k-means that gives the first components
    iterations: Positive
    reseeds: Positive  # after so many, the fit ends before the step that would starve a component
    tolerance: PositiveNumber  # gain of the mean log-likelihood, in nats
    prior_rows: Annotated[float, Field(ge=0)]  # for which each component's covariance counts as that of all rows
    variance_floor: PositiveNumber  # of each component along every axis, in squared standard deviations

    @model_validator(mode="after")
    def _halves_live(self) -> GmmClusteringSettings:
        if self.min_weight * 2 * self.components > 1:
            raise ValueError("min_weight may be at most 1 / (2 components), as a re-seeded one is half of another")
        return self


class ModelDerivedSettings(Section):
    """Cluster centres, the Beta prior of acquisitions, and the liquid reservoir."""

    centres: Annotated[int, Field(ge=2)]
    starts: Positive  # of the k-means
    prior_acquired: PositiveNumber
    prior_not_acquired: PositiveNumber
    units: Positive
    transactions: Positive  # the newest that the reservoir runs over


class TxnLagTensorSettings(Section):
    """Length of the sequence."""

    transactions: Positive


class TxnRollingStatsSettings(Section):
    """Windows before the cutoff."""

    windows_days: tuple[Positive, ...]


class NbaHistoryMultihotSettings(Section):
    """How far back acquisitions count."""

    months: Positive


class MccTop30MultihotSettings(Section):
    """How many categories have a column of their own, and how far back they count."""

    top: Positive
    window_days: Positive


class FeatureGroupSettings(Section):
    """The 17 groups; the order of the fields is that of the columns."""

    demographics: DemographicsSettings
    product_holdings: NothingToChoose
    txn_behavior: TxnBehaviorSettings
    derived_temporal: NothingToChoose
    tda_global: TdaGlobalSettings
    tda_local: TdaLocalSettings
    hmm_states: HmmStatesSettings
    mamba_temporal: MambaTemporalSettings
    product_hierarchy: ProductHierarchySettings
    merchant_hierarchy: MerchantHierarchySettings
    graph_collaborative: GraphCollaborativeSettings
    gmm_clustering: GmmClusteringSettings
    model_derived: ModelDerivedSettings
    txn_lag_tensor: TxnLagTensorSettings
    txn_rolling_stats: TxnRollingStatsSettings
    nba_history_multihot: NbaHistoryMultihotSettings
    mcc_top30_multihot: MccTop30MultihotSettings

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Return the groups in order."""
        return tuple(cls.model_fields)
