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

    compression: Literal["zstd", "snappy", "none"]
    compression_level: Annotated[int, Field(ge=1, le=19)]
    block_customers: Positive
    workers: Positive


class FitSettings(Section):
    """How many train rows a group's fit may see."""

    rows: Positive


class InputSettings(Section):
    """The feature columns that the models may read."""

    withheld: dict[str, Reason]  # pattern of a column's name -> why no model reads it

    def withholds(self, column: str) -> bool:
        """Return whether no model reads a column."""
        return any(fnmatch(column, pattern) for pattern in self.withheld)


class StatisticsSettings(Section):
    """How column statistics are taken."""

    psi_bins: Annotated[int, Field(ge=2, le=100)]


class NormaliseSettings(Section):
    """When a column counts as a power law, and where standardised values end."""

    skewness: Annotated[float, Field(gt=0)]
    kurtosis: Annotated[float, Field(gt=0)]
    log_log_r2: Share
    clip: Annotated[float, Field(gt=0)]


class Transfer(Section):
    """What one task's tower passes to another's: its logits (``output``) or its last hidden layer (``hidden``)."""

    source: str
    target: str
    via: Literal["output", "hidden"]


class LoopSettings(Section):
    """How the training reads rows, computes and saves.

    On a GPU the network computes in ``precision``, and in float32 where numbers need it; a CPU computes in float32.
    """

    device: Literal["auto", "cpu", "cuda"]
    precision: Literal["float32", "bfloat16", "float16"]
    accumulation: Positive  # parts of a batch that are computed one after the other
    block_rows: Positive  # rows that are read from one place
    window_blocks: Positive  # blocks whose rows are mixed
    prefetch: Annotated[int, Field(ge=0)]  # batches made ready ahead
    checkpoint_steps: Annotated[int, Field(ge=0)]  # 0: after each epoch alone


class MechanismSettings(Section):
    """Optional mechanisms, off by default; the ablation measures what they are worth."""

    gate: Literal["softmax", "sigmoid"]
    gradient_surgery: Literal["none", "pcgrad"]
    task_transfer: Literal["none", "adatt_loss", "adatt_sp"]
    transfer_strength: Annotated[float, Field(ge=0)]  # of adatt_loss
    affinity_steps: Positive  # batches from one measurement of affinity to the next
    affinity_decay: Annotated[float, Field(ge=0, lt=1)]
    uncertainty_weighting: bool  # false: the tasks' configured weights


class TeacherSettings(Section):
    """Architecture and training of the PLE teacher."""

    expert_dim: Positive
    experts: tuple[str, ...]
    task_expert_hidden: tuple[Positive, ...]
    routing: dict[str, tuple[str, ...]]
    unread_groups: dict[str, Reason] = Field(default_factory=dict)  # group -> why no expert reads it
    layers: Annotated[int, Field(ge=1, le=8)]
    transfers: tuple[Transfer, ...]
    field_dim: Positive
    newest: Positive
    pool_half_lives: tuple[Annotated[float, Field(gt=0)], ...]
    pool_windows: tuple[Annotated[float, Field(gt=0)], ...]
    deep_hidden: tuple[Positive, ...]
    expert: ExpertSettings
    tower_hidden: tuple[Positive, ...]
    dropout: Annotated[float, Field(ge=0, lt=1)]
    input_dropout: Annotated[float, Field(ge=0, lt=1)]  # of the values of a row, one by one
    batch_rows: Positive
    epochs: Positive
    patience: Positive
    learning_rate: Annotated[float, Field(gt=0)]
    weight_decay: Annotated[float, Field(ge=0)]
    warmup_share: Share
    average_epochs: Annotated[float, Field(ge=0)]  # time constant of the weights' running average; 0: the last weights
    gradient_clip: Annotated[float, Field(gt=0)]
    max_train_rows: Positive
    uncertainty_clamp: Annotated[float, Field(gt=0)]
    huber_delta: Annotated[float, Field(gt=0)]
    auxiliary_weight: Annotated[float, Field(ge=0)]  # weight of the experts' auxiliary losses
    mechanisms: MechanismSettings
    loop: LoopSettings
    normalise: NormaliseSettings
    threads: Positive

    @property
    def read_groups(self) -> frozenset[str]:
        """Return the groups that an expert reads, the tasks' own experts included."""
        return frozenset(group for name in (*self.experts, OWN_SLOT) for group in self.routing.get(name, ()))


class PerKind(Section):
    """One whole number for each kind of task."""

    binary: Positive
    regression: Positive
    multiclass: Positive


class BaselineSettings(Section):
    """The LightGBM baselines that stand beside every teacher metric."""

    raw_groups: tuple[str, ...]
    rounds: PerKind
    leaves: PerKind
    learning_rate: dict[Literal["binary", "regression", "multiclass"], Annotated[float, Field(gt=0, le=1)]]
    early_stopping_rounds: Positive
    min_child_rows: Positive
    column_share: Annotated[float, Field(gt=0, le=1)]
    max_bin: Annotated[int, Field(ge=2, le=255)]
    threads: Positive


class BinaryThreshold(Section):
    """The minimum skill of a teacher on a binary task for distillation."""

    average_precision_over_prevalence: float
    up_to_prevalence: Share  # above it the average precision is not asked to double
    auc: Share


class MulticlassThreshold(Section):
    """The minimum skill of a teacher on a multiclass task: macro-F1 of this many times 1/K, and a log-loss below the prior's."""

    macro_f1_times_classes: float
    up_to_majority: Share  # where one class is more than this, macro-F1 is not asked to double


class RegressionThreshold(Section):
    """The minimum skill of a teacher on a regression task."""

    r2: float


class TeacherThreshold(Section):
    """The teacher's validation skill from which a task is distilled."""

    binary: BinaryThreshold
    multiclass: MulticlassThreshold
    regression: RegressionThreshold


class FidelitySettings(Section):
    """Floors and ceilings of a student's agreement with its teacher on test rows (students/fidelity_measures.py)."""

    kl: Annotated[float, Field(gt=0)]
    binary: dict[
        Literal[
            "auc_gap", "agreement", "jsd", "calibration_gap", "kl_share", "explained_variance", "pair_order", "decile_overlap",
            "rank_correlation", "agreement_exact", "decile_overlap_exact",
        ],
        float,
    ]  # fmt: skip
    multiclass: dict[Literal["agreement", "jsd", "macro_f1_gap", "kl_share", "explained_variance"], float]
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

    rounds: Positive
    rows: Positive  # train rows that they see, of whole customers


class TaskNoise(Section):
    """How much a teacher's predictions of a task depend on the seed of its training.

    ``noise`` is the standard deviation of its output between seeds, ``figures`` what one teacher as the copy of another reaches
    on test rows, by measure.
    """

    noise: Annotated[float, Field(ge=0)]
    figures: dict[str, float]


class NoiseCeiling(Section):
    """What ``python -m benchmarks.students ceiling`` has measured: no copy need be closer to its teacher than another teacher."""

    teacher: str = ""  # hash of the teacher's settings
    seeds: tuple[int, ...] = ()
    rows: Annotated[int, Field(ge=0)] = 0
    tasks: dict[str, TaskNoise] = Field(default_factory=dict)


class StudentSettings(Section):
    """Distillation of the LightGBM students."""

    alpha: Annotated[float, Field(ge=0, lt=1)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    rounds: PerKind
    leaves: PerKind
    column_share: Annotated[float, Field(gt=0, le=1)]  # drawn anew for each tree
    max_bin: Annotated[int, Field(ge=2, le=255)]
    early_stopping_rounds: Positive
    least_explained: Annotated[
        float, Field(ge=0, lt=1)
    ]  # by a thousand more leaves of a copy; fewer are not worth them
    transfer_rows: Positive  # of purged months, at most, that a copy learns from too
    probe: ProbeSettings
    cumulative_gain: dict[AimName, Share]  # of the probe's gain, at which a model's columns are enough
    min_columns: Positive
    max_columns: dict[AimName, Positive]  # of one model
    max_columns_in_all: Positive
    mandatory_columns: tuple[str, ...]
    min_child_rows: Positive
    calibration: Literal["isotonic", "platt", "none"]
    policy: Literal["better", "replicate"]
    assurance: Annotated[float, Field(ge=0.5, lt=1)]
    deciding_decile: dict[str, Literal["highest", "lowest"]]
    threads: Positive
    max_leaves: Positive
    max_megabytes: Annotated[float, Field(gt=0)]
    spare_share: Annotated[float, Field(ge=0, lt=1)]
    teacher_threshold: TeacherThreshold
    fidelity: FidelitySettings
    noise_ceiling: NoiseCeiling = NoiseCeiling()
    minimum_copies: Annotated[int, Field(ge=0)]  # fewer copies keep a bundle from being promoted
    accepted: dict[str, str]  # task -> why it may be served by something else than a copy


class MetricSettings(Section):
    """Bootstrap intervals of every published metric."""

    bootstrap_samples: Positive
    confidence: Annotated[float, Field(gt=0.5, lt=1)]


class BundleSettings(Section):
    """The golden rows that the bundle holds beside the models."""

    golden_rows: Positive
    golden_tolerance: Annotated[float, Field(gt=0)]


class CheckSettings(Section):
    """Thresholds of the asset checks, with a section for each theme that has its own."""

    max_constant_columns: Annotated[int, Field(ge=0)]
    replay_customers: Positive  # customers of a month whose features are recomputed
    probe_customers: Positive  # customers of a month in which each raw column is altered
    refit_in_audit: tuple[str, ...]  # feature groups whose states the audit alone fits again
    replay_recommendations: Positive  # customers of a month who are answered again one by one
    matrix_rows: Positive  # of each month of the training matrix, compared with what is stored
    refit_rounding: Annotated[
        float, Field(ge=0)
    ]  # greatest distance of a refitted calibration of the teacher from the stored one
    single_column: SingleColumnSettings
    shuffled_future: ShuffledFutureSettings
    drift: DriftSettings
    volume: VolumeSettings
    missingness: MissingnessSettings
    denied_names: tuple[str, ...]  # shell patterns of column names that no customer's row may carry
    prohibited_inputs: ProhibitedInputSettings
    proxy_strength: ProxyStrengthSettings
    metric_floor: MetricFloorSettings
    labels: LabelCheckSettings
    bundle: BundleIntegritySettings
    calibration: CalibrationSettings
    explanation_preserved: ExplanationPreservedSettings
    reproducible: ReproducibleSettings
    audits: AuditSettings
