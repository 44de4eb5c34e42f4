"""Sections of the settings about feature groups: a class for each, in the order of the reference."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from finai_assets.settings.base import Positive, PositiveNumber, Section, Share

PersistenceEngine = Literal["kernel", "gudhi"]  # what finds the bars of a cloud; both find the same ones


class NothingToChoose(Section):
    """A group with nothing to choose."""


class DemographicsSettings(Section):
    """Who the customer is: the borders of the groups of age and of income."""

    age_bins: tuple[int, ...]  # ages in completed years at which the age groups begin, ascending
    # groups of equally many train customers into which known incomes are cut
    income_quantiles: Annotated[int, Field(ge=2, le=20)]


class TxnBehaviorSettings(Section):
    """How the customer transacts: how far back the recent spend reaches."""

    recent_days: Positive  # days before the cutoff that the recent spend adds up


class TdaGlobalSettings(Section):
    """The shape of the customer's weeks: persistent homology of the cloud of weekly vectors."""

    weeks: Annotated[int, Field(ge=4, le=64)]  # weeks before the cutoff, each of which is a point of the cloud
    points: Positive  # longest bars that the stored diagrams keep, in each dimension
    # what finds the bars, both the same ones: the compiled kernel, or gudhi at some six times the CPU time
    engine: PersistenceEngine


class TdaLocalSettings(Section):
    """The rhythm of the customer's spend: persistent homology of the delay embedding of daily spend."""

    days: Positive  # days of spend before the cutoff
    dimension: Annotated[int, Field(ge=2, le=8)]  # days that make one point, `lag_days` apart
    lag_days: Positive  # days between two coordinates of a point
    # points that the bars are found on, chosen farthest first; fewer are faster and coarser
    landmarks: Annotated[int, Field(ge=4, le=64)]
    points: Positive  # longest bars that the stored diagrams keep, in each dimension
    # what finds the bars, both the same ones: the compiled kernel, or gudhi at some six times the CPU time
    engine: PersistenceEngine

    @model_validator(mode="after")
    def _window_holds_a_cloud(self) -> TdaLocalSettings:
        points = self.days - (self.dimension - 1) * self.lag_days
        if points < self.landmarks:
            raise ValueError(f"{self.days} days make {points} points, fewer than the {self.landmarks} landmarks")
        return self


class HmmStatesSettings(Section):
    """Hidden Markov models of monthly sequences: their states, priors for sparse data, and when the fit ends."""

    # hidden states of each of the models journey, lifecycle and behavior; each state is a column
    states: dict[str, Annotated[int, Field(ge=2, le=16)]]
    # least variance of a state, in squared standard deviations of the observations, so that repeated values give no state
    # without width
    variance_floor: PositiveNumber
    # months that the mean, the variance and each transition of all customers weigh in every state; more make states more alike
    prior_months: PositiveNumber
    # transactions at the train shares that are added to those of a month, so that one transaction is no habit
    share_prior: PositiveNumber
    fit_rows: Positive  # customers' sequences that the models are fitted on, at most
    iterations: Positive  # iterations of the fit, at most
    tolerance: PositiveNumber  # gain of the log-likelihood, in nats a month, below which the fit ends


class MambaTemporalSettings(Section):
    """The selective state-space encoder of the last transactions: its size, and its pretraining."""

    transactions: Positive  # newest transactions that the encoder reads, at most
    width: Positive  # numbers of the encoding, each of which is a column
    model_width: Positive  # width of a transaction's embedding within the encoder
    state: Positive  # numbers that each channel of the encoder remembers
    fit_rows: Positive  # customers whose sequences the encoder is pretrained on, at most
    epochs: Positive  # passes of the pretraining over those sequences
    batch_rows: Positive  # sequences of a pretraining step
    learning_rate: PositiveNumber  # greatest step size of the pretraining


class ProductHierarchySettings(Section):
    """The Poincare ball of products, and the prior of how often two are held together."""

    width: Annotated[int, Field(ge=2)]  # dimensions of the ball, each of which is a column
    # hyperbolic length of an edge of the tree; longer ones distort less, lie nearer to the rim and need more epochs
    edge_length: PositiveNumber
    # rows added to the observed and to the expected number that hold both products; more make fewer pairs stand out
    prior_rows: PositiveNumber
    epochs: Positive  # gradient steps over all pairs of nodes
    learning_rate: PositiveNumber  # length of a node's first steps, in edges of the tree; it falls to zero by a cosine


class MerchantHierarchySettings(Section):
    """The Poincare ball of merchant categories, and how spend weighs in it."""

    width: Annotated[int, Field(ge=2)]  # dimensions of the ball, each of which is a column
    l1_categories: Positive  # top categories of the tree: must be the number that the data set's catalogue has
    # merchant categories of the stored spend measure: must be the number that the data set's catalogue has
    leaves: Positive
    half_life_days: PositiveNumber  # age in days at which a payment counts half for the customer's place in the ball
    # hyperbolic length of an edge of the tree; longer ones distort less, lie nearer to the rim and need more epochs
    edge_length: PositiveNumber
    epochs: Positive  # gradient steps over all pairs of nodes
    learning_rate: PositiveNumber  # length of a node's first steps, in edges of the tree; it falls to zero by a cosine


class GraphCollaborativeSettings(Section):
    """LightGCN, the embedding of the customer-product graph, and its training."""

    width: Positive  # numbers of the embedding, each of which is a column
    layers: Positive  # steps of propagation through the graph
    steps: Positive  # steps of Adam, each on a batch of edges
    batch_edges: Positive  # holdings that a step learns from
    learning_rate: PositiveNumber  # step size of Adam
    regularisation: Annotated[float, Field(ge=0)]  # penalty on the squared embeddings; more keeps them smaller


class GmmClusteringSettings(Section):
    """The Gaussian mixture that clusters customers, and its fit."""

    components: Annotated[int, Field(ge=2)]  # clusters; the probability of each is a column
    min_weight: Share  # share of the rows below which a component is re-seeded as half of the heaviest one
    starts: Positive  # starts of the k-means that gives the first components; the best one is taken
    iterations: Positive  # iterations of the fit, at most
    reseeds: Positive  # re-seeded components after which the fit ends before the step that would starve another
    tolerance: PositiveNumber  # gain of the mean log-likelihood, in nats, below which the fit ends
    # rows for which the covariance of all rows counts in each component's; more make clusters rounder
    prior_rows: Annotated[float, Field(ge=0)]
    variance_floor: PositiveNumber  # least variance of a component along any axis, in squared standard deviations

    @model_validator(mode="after")
    def _halves_live(self) -> GmmClusteringSettings:
        if self.min_weight * 2 * self.components > 1:
            raise ValueError("min_weight may be at most 1 / (2 components), as a re-seeded one is half of another")
        return self


class ModelDerivedSettings(Section):
    """Cluster centres, the Beta prior of acquisitions, and the liquid reservoir."""

    centres: Annotated[int, Field(ge=2)]  # cluster centres; the distance to each is a column
    starts: Positive  # starts of the k-means; the best one is taken
    prior_acquired: PositiveNumber  # customers who acquire, added to those of a cluster in each class of products
    # customers who do not acquire, added likewise: 1 and 99 begin at 1 % until a cluster tells otherwise
    prior_not_acquired: PositiveNumber
    units: Positive  # units of the liquid reservoir, each of which is a column
    transactions: Positive  # newest transactions that the reservoir runs over, at most


class TxnLagTensorSettings(Section):
    """The customer's last transactions as columns: how many."""

    transactions: Positive  # newest transactions that have places in the sequence; each has four columns


class TxnRollingStatsSettings(Section):
    """Amounts and activity in windows before the cutoff: how long the windows are."""

    windows_days: tuple[Positive, ...]  # days of each window before the cutoff; each has five columns


class NbaHistoryMultihotSettings(Section):
    """Which products were acquired lately: how far back acquisitions count."""

    months: Positive  # last months, the snapshot month included, whose acquisitions are marked


class MccTop30MultihotSettings(Section):
    """Which frequent merchant categories were used lately: how many have a column of their own, and how far back they count."""

    top: Positive  # most frequent categories of train that have a column of their own; all others share one
    window_days: Positive  # days before the cutoff in which a category counts as used


class FeatureGroupSettings(Section):
    """The 17 groups; the order of the fields is that of the columns."""

    demographics: DemographicsSettings
    product_holdings: NothingToChoose  # which products the customer holds at the snapshot; nothing to choose
    txn_behavior: TxnBehaviorSettings
    # how the customer's holdings moved over the look-back; there is nothing to choose
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
