"""Sections of the settings about the method: storage, fitting, teacher, baselines, students, bundle, ranking, checks."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Annotated, Literal

from pydantic import Field

from finai_assets.settings.base import Positive, Section, Share
from finai_assets.settings.checks import (
    AuditSettings,
    BundleIntegritySettings,
    CalibrationSettings,
    DriftSettings,
    ExplanationPreservedSettings,
    LabelCheckSettings,
    MetricFloorSettings,
    MissingnessSettings,
    ProhibitedInputSettings,
    ProxyStrengthSettings,
    Reason,
    ReproducibleSettings,
    ShuffledFutureSettings,
    SingleColumnSettings,
    VolumeSettings,
)
from finai_assets.settings.experts import ExpertSettings

OWN_SLOT = "task_mlp"  # the name of the slot that holds a task's own expert


class LakeSettings(Section):
    """How partitions are written and how much of them is in memory at once."""

    compression: Literal["zstd", "snappy", "none"]  # codec of the stored Parquet files; none stores them uncompressed
    # level of zstd, from 1 (fast) to 19 (small): level 3 takes 1.6 times the CPU for 4 % fewer bytes; other codecs have none
    compression_level: Annotated[int, Field(ge=1, le=19)]
    # customers of a block: each worker has one in memory, so that fewer need less memory and take longer
    block_customers: Positive
    workers: Positive  # threads that compute blocks side by side; more are faster and need more memory


class FitSettings(Section):
    """How many train rows a group's fit may see."""

    # customer-months, drawn by a seeded hash from the train months, that a feature group's state is fitted on; more take longer
    rows: Positive


class InputSettings(Section):
    """The feature columns that the models may read."""

    # pattern of a column's name -> why no model reads it; the column stays, for fairness checks and statistics
    withheld: dict[str, Reason]

    def withholds(self, column: str) -> bool:
        """Return whether no model reads a column."""
        return any(fnmatch(column, pattern) for pattern in self.withheld)


class StatisticsSettings(Section):
    """How column statistics are taken."""

    # bins of a column, at train quantiles, for its population stability index; missing values have one more
    psi_bins: Annotated[int, Field(ge=2, le=100)]


class NormaliseSettings(Section):
    """When a column counts as a power law, and where standardised values end."""

    # skewness on train rows that a column must exceed to be looked at as a power law
    skewness: Annotated[float, Field(gt=0)]
    kurtosis: Annotated[float, Field(gt=0)]  # excess kurtosis that it must exceed too
    # R2 of the straight line through its upper half, log rank on log value, from which on it counts as one and gets a copy in
    # logarithms
    log_log_r2: Share
    clip: Annotated[float, Field(gt=0)]  # standard deviations from the mean at which a standardised value is cut off


class Transfer(Section):
    """What one task's tower passes to another's."""

    source: str  # task whose tower gives
    target: str  # task whose tower receives; one transfer at most
    via: Literal["output", "hidden"]  # what is passed: output for the logits, hidden for the last hidden layer


class LoopSettings(Section):
    """How the training reads rows, computes and saves.

    On a GPU the network computes in ``precision``, and in float32 where numbers need it; a CPU computes in float32.
    """

    # where the network is trained: auto takes a GPU where there is one, else the CPU
    device: Literal["auto", "cpu", "cuda"]
    # number format of the network on a GPU; a CPU computes in float32
    precision: Literal["float32", "bfloat16", "float16"]
    accumulation: Positive  # parts of a batch that are computed one after the other; more need less memory
    block_rows: Positive  # successive rows that are read from one place
    window_blocks: Positive  # blocks whose rows are mixed with each other; more mix better and need more memory
    prefetch: Annotated[int, Field(ge=0)]  # batches that are made ready ahead
    # steps from one checkpoint within an epoch to the next; 0: after each epoch alone
    checkpoint_steps: Annotated[int, Field(ge=0)]


class MechanismSettings(Section):
    """Optional mechanisms, off by default; the ablation measures what they are worth."""

    # how a task weighs experts: with softmax the weights add up to one, with sigmoid each lies between 0 and 1 by itself
    gate: Literal["softmax", "sigmoid"]
    # pcgrad projects conflicting gradients of tasks onto each other's normal plane; none leaves them
    gradient_surgery: Literal["none", "pcgrad"]
    # adatt_loss mixes a task's loss with those that pull its way, adatt_sp fuses the tasks' experts in the later layers; none
    # does neither
    task_transfer: Literal["none", "adatt_loss", "adatt_sp"]
    # weight of the other tasks' losses beside a task's own; of adatt_loss alone
    transfer_strength: Annotated[float, Field(ge=0)]
    affinity_steps: Positive  # batches from one measurement of the tasks' affinity to the next; of adatt_loss alone
    # weight of the past at each measurement; nearer to 1 the affinity changes more slowly
    affinity_decay: Annotated[float, Field(ge=0, lt=1)]
    # true: the weights between the tasks' losses are learned; false: the tasks' configured weights
    uncertainty_weighting: bool


class TeacherSettings(Section):
    """Architecture and training of the PLE teacher."""

    expert_dim: Positive  # width of every expert's output, which gates mix and towers read
    experts: tuple[str, ...]  # shared experts; one whose feature groups the data set does not have is left out
    # units of the hidden layers of each task's own expert, and of all experts of the later layers
    task_expert_hidden: tuple[Positive, ...]
    # expert -> feature groups that it reads; task_mlp is the expert that each task has of its own
    routing: dict[str, tuple[str, ...]]
    # group -> why no expert reads it; every other group must be in the route of an expert
    unread_groups: dict[str, Reason] = Field(default_factory=dict)
    layers: Annotated[int, Field(ge=1, le=8)]  # CGC layers; the first one gates over the named experts
    transfers: tuple[Transfer, ...]  # what one task's tower passes to another's, where the data set has both tasks
    field_dim: Positive  # width of the embeddings of DeepFM's fields
    newest: Positive  # newest transactions that are fields of DeepFM of their own
    # in transactions: half-lives of the weights with which DeepFM pools the whole sequence, newest first
    pool_half_lives: tuple[Annotated[float, Field(gt=0)], ...]
    # in days before the cutoff: windows in which DeepFM counts transactions and their different codes
    pool_windows: tuple[Annotated[float, Field(gt=0)], ...]
    deep_hidden: tuple[Positive, ...]  # units of the hidden layers of DeepFM's deep part
    expert: ExpertSettings  # sizes of the experts other than DeepFM, each in its own section
    tower_hidden: tuple[Positive, ...]  # units of the hidden layers of each task's tower
    dropout: Annotated[float, Field(ge=0, lt=1)]  # share of hidden units that are left out at random in a training step
    # share of a row's values that are left out at random, one by one, in a training step: most columns say little of a rare
    # event, and with fewer at a time they are not learned by heart
    input_dropout: Annotated[float, Field(ge=0, lt=1)]
    batch_rows: Positive  # rows of a training step, and of a step of prediction
    epochs: Positive  # passes over the train rows, at most
    patience: Positive  # epochs without a better validation that end the training; the best epoch is kept
    # greatest step size of AdamW; it rises to it in the warm-up and falls to zero by a cosine
    learning_rate: Annotated[float, Field(gt=0)]
    # pull of AdamW on weight matrices towards zero; biases and norms have none
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_share: Share  # share of the planned steps in which the step size rises
    # time constant, in epochs, of the running average of the weights, which is what is validated and kept; 0: the last weights
    average_epochs: Annotated[float, Field(ge=0)]
    # greatest length of a step's gradient; a longer one is shortened to it
    gradient_clip: Annotated[float, Field(gt=0)]
    # train rows that teacher and baselines learn from, at most; of more, a seeded sample of whole customers
    max_train_rows: Positive
    # greatest distance from 0 of the logarithm that sets a task's learned weight
    uncertainty_clamp: Annotated[float, Field(gt=0)]
    # error from which on a regression's loss grows linearly, in standard deviations of the label; at 1 a rare event moves the
    # median, not the mean that is asked for
    huber_delta: Annotated[float, Field(gt=0)]
    # weight of what experts ask to be made small beside the tasks' losses; 0 leaves it out
    auxiliary_weight: Annotated[float, Field(ge=0)]
    mechanisms: MechanismSettings  # optional parts of the teacher; what they are worth is measured by the ablation
    loop: LoopSettings
    normalise: NormaliseSettings
    threads: Positive  # CPU threads of the training; figures depend on their number

    @property
    def read_groups(self) -> frozenset[str]:
        """Return the groups that an expert reads, the tasks' own experts included."""
        return frozenset(group for name in (*self.experts, OWN_SLOT) for group in self.routing.get(name, ()))


class PerKind(Section):
    """One whole number for each kind of task."""

    binary: Positive  # for a task whose answer is yes or no
    regression: Positive  # for a task whose answer is a number
    multiclass: Positive  # for a task whose answer is one of several classes


class BaselineSettings(Section):
    """The LightGBM baselines that stand beside every teacher metric."""

    # feature groups that the baseline of raw columns reads, beside one that reads all; their columns count as important for
    # drift where no student reads any
    raw_groups: tuple[str, ...]
    rounds: PerKind  # rounds of boosting, at most; of several classes a round is a tree for each class
    leaves: PerKind  # leaves of a tree, at most; more fit finer
    # how much of each tree is taken; less needs more rounds
    learning_rate: dict[Literal["binary", "regression", "multiclass"], Annotated[float, Field(gt=0, le=1)]]
    # rounds without a lower validation loss that end the training; the best round is kept
    early_stopping_rounds: Positive
    min_child_rows: Positive  # train rows of a leaf, at least; more are smoother
    # share of the columns that a tree may use, drawn anew for each tree; of the baseline of all columns
    column_share: Annotated[float, Field(gt=0, le=1)]
    # the same share by task, for those that take another: the trees of a round of many classes cover the columns together
    column_share_of: dict[str, Annotated[float, Field(gt=0, le=1)]]
    # bins into which a column's values are cut, at most; fewer are faster and coarser
    max_bin: Annotated[int, Field(ge=2, le=255)]
    threads: Positive  # CPU threads of LightGBM; where it counts by rows, figures depend on their number


class BinaryThreshold(Section):
    """The minimum skill of a teacher on a binary task for distillation."""

    # average precision on validation, at least, as a multiple of the share of positives
    average_precision_over_prevalence: float
    up_to_prevalence: Share  # share of positives above which the average precision is not asked for
    auc: Share  # AUC on validation, at least


class MulticlassThreshold(Section):
    """The minimum skill of a teacher on a multiclass task, whose log-loss must be below the prior's too."""

    macro_f1_times_classes: float  # macro-F1 on validation, at least, as a multiple of 1/K with K classes
    up_to_majority: Share  # share of one class above which macro-F1 is not asked for


class RegressionThreshold(Section):
    """The minimum skill of a teacher on a regression task."""

    r2: float  # R2 on validation, at least


class TeacherThreshold(Section):
    """The teacher's validation skill from which a task is distilled."""

    binary: BinaryThreshold
    multiclass: MulticlassThreshold
    regression: RegressionThreshold


class FidelitySettings(Section):
    """Floors and ceilings of a student's agreement with its teacher on test rows (students/fidelity_measures.py)."""

    # Kullback-Leibler divergence from the teacher's predictions in nats, at most, for every kind of task
    kl: Annotated[float, Field(gt=0)]
    # measure -> bound: what ends in `_gap`, `jsd` and `kl_share` at most, all others at least
    binary: dict[
        Literal[
            "auc_gap", "agreement", "jsd", "calibration_gap", "kl_share", "explained_variance", "pair_order", "decile_overlap",
            "rank_correlation", "agreement_exact", "decile_overlap_exact",
        ],
        float,
    ]  # fmt: skip
    # measure -> bound: `macro_f1_gap`, `jsd` and `kl_share` at most, all others at least
    multiclass: dict[Literal["agreement", "jsd", "macro_f1_gap", "kl_share", "explained_variance"], float]
    # measure -> bound: what ends in `_gap` at most, in standard deviations of the label, all others at least
    regression: dict[
        Literal[
            "quartile_agreement", "mae_gap", "rmse_gap", "explained_variance", "pair_order", "decile_overlap",
            "rank_correlation", "quartile_agreement_exact", "decile_overlap_exact",
        ],
        float,
    ]  # fmt: skip


AimName = Literal["copy", "direct"]  # what a student learns


class ProbeSettings(Section):
    """The short models of all columns whose gain chooses the students' columns."""

    rounds: Positive  # rounds of boosting of a probe; more rank the columns more surely and take longer
    rows: Positive  # train rows of whole customers that a probe sees


class TaskNoise(Section):
    """How much a teacher's predictions of a task depend on the seed of its training."""

    # standard deviation of a teacher's output between seeds; customers nearer to each other are not told apart
    noise: Annotated[float, Field(ge=0)]
    figures: dict[str, float]  # measure -> what one teacher as the copy of another reaches on test rows


class NoiseCeiling(Section):
    """What ``python -m benchmarks.students ceiling`` has measured: no copy need be closer to its teacher than another teacher."""

    # hash of the teacher's settings that it was measured with; with others the check asks to measure again
    teacher: str = ""
    seeds: tuple[int, ...] = ()  # seeds of the teachers that were compared with each other
    rows: Annotated[int, Field(ge=0)] = 0  # test rows that they were compared on
    # task -> what was measured; where a task is missing, customers are judged whom the teacher may not tell apart
    tasks: dict[str, TaskNoise] = Field(default_factory=dict)


class StudentSettings(Section):
    """Distillation of the LightGBM students."""

    alpha: Annotated[float, Field(ge=0, lt=1)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]  # how much of each tree is taken; less needs more rounds
    rounds: PerKind  # rounds of boosting, at most; copies stop earlier where leaves are worth more elsewhere
    leaves: PerKind  # leaves of a tree, at most; more fit finer
    # share of the columns that a tree may use, drawn anew for each tree
    column_share: Annotated[float, Field(gt=0, le=1)]
    # bins into which a column's values are cut, at most; fewer are faster and coarser
    max_bin: Annotated[int, Field(ge=2, le=255)]
    # rounds without a validation loss that is lower by enough, which end the training; the best round is kept
    early_stopping_rounds: Positive
    # share of what a constant leaves unexplained that a thousand more leaves must explain for a model to grow on; more gives
    # smaller students
    least_explained: Annotated[float, Field(ge=0, lt=1)]
    # rows of purged months, without labels, at most, in which a copy learns from the teacher's answers too
    transfer_rows: Positive
    probe: ProbeSettings  # short models of all columns, whose gain chooses the columns of the students
    # what a model learns -> share of its probe's gain at which its columns are enough; 1: it reads all columns that are chosen
    # for any
    cumulative_gain: dict[AimName, Share]
    min_columns: Positive  # columns of a model, at least
    # what a model learns -> its columns, at most; a copy may read all that a request brings anyway
    max_columns: dict[AimName, Positive]
    max_columns_in_all: Positive  # columns of all models and rules together, at most, so that a request stays small
    mandatory_columns: tuple[str, ...]  # columns that every student reads, whatever their gain
    min_child_rows: Positive  # train rows of a leaf, at least; more are smoother
    # how the predictions of a direct student become probabilities: by steps (isotonic), by a logistic curve (platt) or not at
    # all; a copy is as calibrated as its teacher
    calibration: Literal["isotonic", "platt", "none"]
    # replicate: a faithful copy serves; better: unless a student that learns from labels is significantly better
    policy: Literal["better", "replicate"]
    # probability, at least, with which as many other rows would show again that what serves beats the trivial forecast and is
    # faithful; at 0.5 the interval itself decides
    assurance: Annotated[float, Field(ge=0.5, lt=1)]
    # task -> the tenth of the customers that a decision is about; of a task that is not named the highest
    deciding_decile: dict[str, Literal["highest", "lowest"]]
    threads: Positive  # CPU threads of LightGBM; where it counts by rows, figures depend on their number
    max_leaves: Positive  # leaves of all models of a bundle together, at most, so that it loads in a second
    max_megabytes: Annotated[float, Field(gt=0)]  # megabytes of all models of a bundle together, at most
    # share of leaves, megabytes and columns that students leave to the choice model
    spare_share: Annotated[float, Field(ge=0, lt=1)]
    # validation skill that a teacher needs for its task to be distilled: twice the random baseline where a metric can be
    # doubled (docs/decisions/0013)
    teacher_threshold: TeacherThreshold
    fidelity: FidelitySettings
    noise_ceiling: NoiseCeiling = NoiseCeiling()
    # faithful copies that a bundle needs to be promoted; each other task needs a reason in `accepted`
    minimum_copies: Annotated[int, Field(ge=0)]
    accepted: dict[str, str]  # task -> why it may be served by something else than a copy


class MetricSettings(Section):
    """Bootstrap intervals of every published metric."""

    # resamples behind an interval, of customers and not of rows; more make its ends steadier
    bootstrap_samples: Positive
    confidence: Annotated[float, Field(gt=0.5, lt=1)]  # level of every published interval: 0.95 for 95 %


class BundleSettings(Section):
    """The golden rows that the bundle holds beside the models."""

    # test rows that a bundle holds with their predictions, so that it can be seen to predict the same elsewhere
    golden_rows: Positive
    golden_tolerance: Annotated[float, Field(gt=0)]  # difference of such a prediction from the stored one, at most


class CheckSettings(Section):
    """Thresholds of the asset checks, with a section for each theme that has its own."""

    # columns of a feature group that may have one value in all rows, at most
    max_constant_columns: Annotated[int, Field(ge=0)]
    replay_customers: Positive  # customers of a month whose features are computed again one by one
    probe_customers: Positive  # customers of a month in which each raw column is altered
    # feature groups whose states the audit alone fits again, as they take more than some seconds each
    refit_in_audit: tuple[str, ...]
    replay_recommendations: Positive  # customers of a month whose lists are answered again one by one
    # rows of each month of the training matrix that are compared with what is stored of the month
    matrix_rows: Positive
    # difference of a refitted calibration of the teacher from the stored one, at most
    refit_rounding: Annotated[float, Field(ge=0)]
    single_column: SingleColumnSettings
    shuffled_future: ShuffledFutureSettings
    drift: DriftSettings
    volume: VolumeSettings
    missingness: MissingnessSettings
    denied_names: tuple[str, ...]  # shell patterns of names of columns that no customer's row may carry
    prohibited_inputs: ProhibitedInputSettings
    proxy_strength: ProxyStrengthSettings
    metric_floor: MetricFloorSettings
    labels: LabelCheckSettings
    bundle: BundleIntegritySettings
    calibration: CalibrationSettings  # how far a student's served probabilities may be from what happens on test rows
    explanation_preserved: ExplanationPreservedSettings
    reproducible: ReproducibleSettings
    audits: AuditSettings
