"""Sections of the settings about single themes of checks: the tolerances of each."""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatch
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

from finai_assets.settings.base import Positive, PositiveNumber, Section, Share

Reason = Annotated[str, Field(min_length=10)]


def _known_timezone(name: str) -> str:
    """Return the name; refuse one that the time zone database does not hold."""
    if name not in available_timezones():
        raise ValueError(f"there is no time zone {name!r}; for example Asia/Seoul")
    return name


class DriftSettings(Section):
    """When a column's distribution counts as drifted away from train."""

    warn: PositiveNumber  # population stability index
    fail: PositiveNumber  # of an important column
    chance_share: (
        Share  # fewer rows than keep the index expected by chance below this share of the threshold are no evidence
    )
    declared: dict[str, Reason]  # pattern of a column, or of group/column -> why it drifts: listed, not counted

    @model_validator(mode="after")
    def _ordered(self) -> DriftSettings:
        if self.fail < self.warn:
            raise ValueError(f"fail ({self.fail}) must not be below warn ({self.warn})")
        return self


class VolumeSettings(Section):
    """How far a month's volume may lie from the median of the months before."""

    months: Annotated[int, Field(ge=3)]  # how many of the last months are compared with
    deviations: PositiveNumber  # median absolute deviations, scaled to standard deviations of a normal
    floor_share: Share  # of the median: a smaller distance never counts


class MissingnessSettings(Section):
    """How far a column's share of missing values may move."""

    months: Annotated[int, Field(ge=3)]  # how many of the last months are compared with, beside train
    deviations: PositiveNumber  # median absolute deviations of those months' shares, scaled, that are no jump
    jump: Share


class ExpectedPredictor(Section):
    """Columns that legitimately predict most of a task's label, and the mean AUC (or R2) up to which they may."""

    columns: tuple[str, ...]  # names, or shell patterns of names
    bound: Share
    reason: Reason


class SingleColumnSettings(Section):
    """When a column, a pair or a shallow tree of a group predicts a label too well."""

    threshold: Share  # AUC (of the best class), or R2
    rows: Positive  # train rows that are looked at, those of whole customers
    bins: Annotated[int, Field(ge=8, le=250)]
    pair_rows: Positive  # those of them that pairs are chosen on
    class_rows: Positive  # a class with fewer rows is not judged
    expected: dict[str, ExpectedPredictor]  # task -> its expected predictor


class ShuffledFutureSettings(Section):
    """How customers' futures are swapped, and the skill that a model may retain."""

    customers: Annotated[int, Field(ge=50)]  # of each month
    train_months: Positive  # the last ones of train
    rounds: dict[
        Literal["binary", "regression", "multiclass"], Positive
    ]  # of the model; a multiclass one grows a tree per class
    resamples: Annotated[int, Field(ge=500)]
    tolerance: Share  # above chance, at the lower end of the interval
    class_rows: Positive  # a task with fewer validation rows of its rarer class is not judged


class DeniedTrait(Section):
    """A trait that no model may read."""

    names: tuple[str, ...]  # shell patterns of names of features, and of raw columns that features are made from
    law: str
    reason: Reason


class PermittedTrait(Section):
    """Columns that carry a protected attribute and that models may still read."""

    columns: tuple[str, ...]
    reason: Reason


class ProhibitedInputSettings(Section):
    """Inputs that teacher and students must not read."""

    customers: Annotated[
        int, Field(ge=50)
    ]  # of the last train month, whose columns are compared with protected attributes
    one_to_one: Share  # Goodman and Kruskal's lambda, in both directions, from which a column is an exact proxy
    probe_rows: Positive  # matrix rows in which prohibited inputs are altered
    denied: dict[str, DeniedTrait]
    permitted: dict[str, PermittedTrait]  # protected attribute -> what may carry it

    def trait(self, name: str) -> str | None:
        """Return the denied trait whose patterns match a name, or None."""
        for trait, entry in self.denied.items():
            if any(fnmatch(name.lower(), pattern) for pattern in entry.names):
                return trait
        return None

    def permits(self, attribute: str, column: str) -> bool:
        """Return whether a column may carry a protected attribute."""
        entry = self.permitted.get(attribute)
        return entry is not None and column in entry.columns


class Assessment(Section):
    """Reference to the assessment that models may read predictors of a protected attribute."""

    id: Annotated[str, Field(min_length=3)]
    reason: Reason
    expires: date


class ProxyStrengthSettings(Section):
    """How well the models' inputs may predict a protected attribute, and the model that measures it."""

    threshold: Share  # AUC of the group that is best distinguished from the rest
    customers: Annotated[int, Field(ge=100)]  # of the last train month
    group_customers: Annotated[int, Field(ge=10)]  # a group with fewer, or with fewer outside, is not judged
    folds: Annotated[int, Field(ge=2)]
    rounds: Positive
    leaves: Annotated[int, Field(ge=2)]
    learning_rate: Annotated[float, Field(gt=0, le=1)]
    column_share: Annotated[float, Field(gt=0, le=1)]  # drawn anew for each tree
    bins: Annotated[int, Field(ge=8, le=250)]
    assessments: dict[str, Assessment]  # protected attribute -> its assessment


class MetricFloorSettings(Section):
    """The minimum skill of every deployed model on test rows, at the lower end of its interval."""

    binding: bool  # false: a failure warns
    positives: Positive  # test rows of the rarer outcome, below which nothing is judged
    binary_auc: Share
    regression_r2: Annotated[float, Field(ge=0, lt=1)]
    declared: dict[str, Reason]  # task -> why its student serves below the floor


class CalibrationSettings(Section):
    """How far a student's probabilities may be from what happens."""

    ece: Share  # expected calibration error on test rows, at most


class ExplanationPreservedSettings(Section):
    """How far a copy's reasons must agree with its teacher's, on explained test rows."""

    overlap: Share  # of what both name first, at least
    sign_agreement: Share  # among those that both name, at least


class BundleIntegritySettings(Section):
    """How long a fresh process may take to load the bundle."""

    cold_start_ms: PositiveNumber  # of CPU time, from the start of the interpreter
    processes: Positive  # that are measured, the least of which counts


class ReproducibleSettings(Section):
    """Requirements on the provenance and the reproduction of models."""

    require_clean: bool  # true: a model made from a tree that is not a clean commit does not pass the gates
    fingerprint_steps: Positive  # first steps of the teacher's training, which are run again
    prediction_batches: Positive  # of the teacher's predictions, which are computed again


class AuditDue(Section):
    """When an audit is missed."""

    every_days: Positive  # after the content was last audited, or first checked
    grace_days: Annotated[int, Field(ge=0)]  # in which a missed audit is told and closes no gate yet


class AuditSettings(Section):
    """The schedule of the checks that are too expensive for every run, and of the verification of what is stored."""

    cron: Annotated[str, Field(pattern=r"^[\d*/,\-]+( [\dA-Za-z*/,\-]+){4}$")]  # of the nightly schedules
    timezone: Annotated[str, AfterValidator(_known_timezone)]  # in which the cron expression is read
    due: AuditDue | None  # null: one that was not made closes no gate; one that failed always does


class LabelRate(Section):
    """The share of events that a month's label may have, and of customers for whom it is not defined."""

    low: Share
    high: Share
    nulls: Share
    reason: str = ""

    @model_validator(mode="after")
    def _ordered(self) -> LabelRate:
        if self.high < self.low:
            raise ValueError(f"high ({self.high}) must not be below low ({self.low})")
        return self


class LastingLabel(Section):
    """A label that legitimately stays as it was in the month before."""

    bound: Share | None  # of agreeing events; null: told and not judged
    reason: Reason


class LabelCheckSettings(Section):
    """What a month's labels may look like beside the definition, which they must follow exactly."""

    rates: dict[Literal["binary", "multiclass", "regression"], LabelRate]
    declared_rates: dict[str, LabelRate]  # task -> limits of its own
    same_as_before: Share  # of the events that are the same in the month before, which features see
    lasting: dict[str, LastingLabel]  # task -> bound of its own

    def rate(self, task: str, kind: Literal["binary", "multiclass", "regression"]) -> LabelRate:
        """Return the limits of a task."""
        return self.declared_rates.get(task, self.rates[kind])
