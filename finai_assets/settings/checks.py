"""Sections of the settings about single themes of checks: the tolerances of each."""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatch
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, Field, model_validator

from finai_assets.settings.base import Positive, PositiveNumber, Section, Share

Reason = Annotated[str, Field(min_length=10)]


def known_timezone(name: str) -> str:
    """Return the name; refuse one that the time zone database does not hold."""
    if name not in available_timezones():
        raise ValueError(f"there is no time zone {name!r}; for example Asia/Seoul")
    return name


class DriftSettings(Section):
    """When a column's distribution counts as drifted away from train."""

    # population stability index of a column against train from which on the column counts as drifted
    warn: PositiveNumber
    # population stability index from which on an important column, one that students read, counts as drifted
    fail: PositiveNumber
    # a month of so few rows that chance alone makes more than this share of the threshold is no evidence
    chance_share: Share
    # pattern of a column, or of group/column -> why it drifts: it is listed, and does not count
    declared: dict[str, Reason]

    @model_validator(mode="after")
    def _ordered(self) -> DriftSettings:
        if self.fail < self.warn:
            raise ValueError(f"fail ({self.fail}) must not be below warn ({self.warn})")
        return self


class VolumeSettings(Section):
    """How far a month's volume may lie from the median of the months before."""

    months: Annotated[int, Field(ge=3)]  # how many of the last months a month is compared with
    # distance from their median that counts, in median absolute deviations scaled to standard deviations of a normal
    # distribution; the default is from Iglewicz and Hoaglin, How to detect and handle outliers (1993)
    deviations: PositiveNumber
    floor_share: Share  # share of the median below which a distance never counts


class MissingnessSettings(Section):
    """How far a column's share of missing values may move."""

    months: Annotated[int, Field(ge=3)]  # how many of the last months a month is compared with, beside train
    deviations: PositiveNumber  # scaled median absolute deviations of those months' shares that are no jump yet
    # difference of two shares of missing values, beyond its sampling error and those deviations, from which on it counts
    jump: Share


class ExpectedPredictor(Section):
    """Columns that legitimately predict most of a task's label, and the mean AUC (or R2) up to which they may."""

    columns: tuple[str, ...]  # names of columns, or shell patterns of names
    bound: Share  # mean AUC over the classes, or R2, up to which the columns may predict the label
    reason: Reason  # why they legitimately do, in ten characters at least


class SingleColumnSettings(Section):
    """When a column, a pair or a shallow tree of a group predicts a label too well."""

    # AUC (of the class that is told best), or R2, from which on a column, a pair or a tree predicts a label too well
    threshold: Share
    rows: Positive  # train rows of whole customers that are looked at; more know the figures better and take longer
    # bins into which a column's values are cut; more see narrower ranges that give a label away
    bins: Annotated[int, Field(ge=8, le=250)]
    pair_rows: Positive  # of those rows, the ones on which pairs of columns are chosen
    # a class of fewer customers is not judged where its task has a larger one: by luck an honest column tells them too well
    class_customers: Positive
    task_customers: Positive  # a task none of whose classes has so many customers, inside and outside, cannot be judged
    expected: dict[str, ExpectedPredictor]  # task -> columns that may predict most of its label


class ShuffledFutureSettings(Section):
    """How customers' futures are swapped, and the skill that a model may retain."""

    # customers of each month whose futures are swapped; more show smaller leaks
    customers: Annotated[int, Field(ge=50)]
    train_months: Positive  # last months of train that the model learns from
    # rounds of boosting by kind of task; of several classes a round is a tree for each class
    rounds: dict[Literal["binary", "regression", "multiclass"], Positive]
    resamples: Annotated[int, Field(ge=500)]  # resamples of the customers behind the interval of the skill
    tolerance: Share  # skill above chance, at the lower end of its interval, that a model may retain
    class_rows: Positive  # rows outside the main class, in train and in validation, that a task needs to be judged


class DeniedTrait(Section):
    """A trait that no model may read."""

    names: tuple[str, ...]  # shell patterns of names of features, and of raw columns that features are made from
    law: str  # law and article that the trait is protected by, as a failed check tells it
    reason: Reason  # why no model may read it, in ten characters at least


class PermittedTrait(Section):
    """Columns that carry a protected attribute and that models may still read."""

    columns: tuple[str, ...]  # names of the columns that may carry the attribute openly
    reason: Reason  # why they may, in ten characters at least; the check tells it


class ProhibitedInputSettings(Section):
    """Inputs that teacher and students must not read."""

    # customers of the last train month whose columns are compared with protected attributes
    customers: Annotated[int, Field(ge=50)]
    # Goodman and Kruskal's lambda, in both directions, from which on a column counts as an exact proxy of an attribute
    one_to_one: Share
    # rows of the training matrix in which prohibited inputs are altered, to see that no prediction follows
    probe_rows: Positive
    # trait -> patterns of names that no model may read, of features and of the raw columns that they are made from
    denied: dict[str, DeniedTrait]
    permitted: dict[str, PermittedTrait]  # protected attribute -> columns that may carry it

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

    id: Annotated[str, Field(min_length=3)]  # number or name under which the bank keeps the assessment
    reason: Reason  # its conclusion, in ten characters at least
    expires: date  # last day on which it counts, as 2027-12-31


class ProxyStrengthSettings(Section):
    """How well the models' inputs may predict a protected attribute, and the model that measures it."""

    threshold: Share  # AUC of the group that is told best from the rest, above which an assessment is needed
    customers: Annotated[int, Field(ge=100)]  # customers of the last train month that the measuring model sees
    group_customers: Annotated[int, Field(ge=10)]  # customers that a group needs inside and outside to be judged
    folds: Annotated[int, Field(ge=2)]  # parts of the customers, each of which is predicted by a model of the others
    rounds: Positive  # rounds of boosting of the measuring model
    leaves: Annotated[int, Field(ge=2)]  # leaves of a tree, at most
    learning_rate: Annotated[float, Field(gt=0, le=1)]  # how much of each tree is taken
    # share of the columns that a tree may use, drawn anew for each tree
    column_share: Annotated[float, Field(gt=0, le=1)]
    bins: Annotated[int, Field(ge=8, le=250)]  # bins into which a column's values are cut, at most
    assessments: dict[str, Assessment]  # protected attribute -> the assessment that its predictors may be read


class MetricFloorSettings(Section):
    """The minimum skill of every deployed model on test rows, at the lower end of its interval."""

    binding: bool  # true: a model below the floor fails the check; false: it warns
    positives: Positive  # test rows of the rarer outcome that a task needs to be judged
    # AUC that the lower end of the interval must exceed; at 0.55 the one who acts is found 55 times in 100 pairs
    binary_auc: Share
    # R2 that the lower end of the interval must exceed; above 0 a model is better than the mean. Of several classes the floor
    # is the trivial forecast's log-loss
    regression_r2: Annotated[float, Field(ge=0, lt=1)]
    declared: dict[str, Reason]  # task -> why its student serves below the floor


class CalibrationSettings(Section):
    """How far a student's probabilities may be from what happens."""

    # expected calibration error of a student's served probabilities on test rows, at most: 0.05 is five points off on average
    ece: Share
    # how many times more, or fewer, rows may come true than a student's served probabilities add up to, by the whole interval
    in_the_large: Annotated[float, Field(gt=1)]


class ExplanationPreservedSettings(Section):
    """How far a copy's reasons must agree with its teacher's, on explained test rows."""

    overlap: Share  # share of the reasons named first that copy and teacher have in common, at least
    sign_agreement: Share  # share of the reasons named by both that point the same way, at least


class BundleIntegritySettings(Section):
    """How long a fresh process may take to load the bundle."""

    # CPU time in milliseconds from the start of the interpreter until the bundle is loaded, at most
    cold_start_ms: PositiveNumber
    processes: Positive  # processes that are measured; the fastest of them counts


class ReproducibleSettings(Section):
    """Requirements on the provenance and the reproduction of models."""

    # true: a model made from a tree that is not a clean commit does not pass the gates; to be set where models are promoted
    # from
    require_clean: bool
    fingerprint_steps: Positive  # first steps of the teacher's training that are run again and compared
    prediction_batches: Positive  # batches of the teacher's predictions that are computed again and compared


class AuditDue(Section):
    """When an audit is missed."""

    every_days: Positive  # days after which an audit is missed, from when the content was last audited or first checked
    grace_days: Annotated[int, Field(ge=0)]  # days after that in which a missed audit is told and closes no gate yet


class AuditSettings(Section):
    """The schedule of the checks that are too expensive for every run, and of the verification of what is stored."""

    # when the schedules nightly_audit and nightly_verify_home run, once they are switched on: minute, hour, day, month, weekday
    cron: Annotated[str, Field(pattern=r"^[\d*/,\-]+( [\dA-Za-z*/,\-]+){4}$")]
    timezone: Annotated[str, AfterValidator(known_timezone)]  # time zone in which the cron expression is read
    # when an audit counts as missed; null: one that was not made closes no gate. One that failed always does
    due: AuditDue | None


class LabelRate(Section):
    """The share of events that a month's label may have, and of customers for whom it is not defined."""

    low: Share  # least share of events: positives, or values other than the most frequent one
    high: Share  # greatest share of events
    nulls: Share  # greatest share of customers without a label
    reason: str = ""  # why a task has limits of its own; empty for those of a kind of task

    @model_validator(mode="after")
    def _ordered(self) -> LabelRate:
        if self.high < self.low:
            raise ValueError(f"high ({self.high}) must not be below low ({self.low})")
        return self


class LastingLabel(Section):
    """A label that legitimately stays as it was in the month before."""

    # greatest share of events that may be the same as in the month before; null: told and not judged
    bound: Share | None
    reason: Reason  # why the label legitimately stays, in ten characters at least


class LabelCheckSettings(Section):
    """What a month's labels may look like beside the definition, which they must follow exactly."""

    rates: dict[Literal["binary", "multiclass", "regression"], LabelRate]  # kind of task -> limits of a month's labels
    declared_rates: dict[str, LabelRate]  # task -> limits of its own
    # greatest share of events that may be the same in the month before, which features see; a label that is what already
    # happened agrees in all
    same_as_before: Share
    lasting: dict[str, LastingLabel]  # task -> bound of its own

    def rate(self, task: str, kind: Literal["binary", "multiclass", "regression"]) -> LabelRate:
        """Return the limits of a task."""
        return self.declared_rates.get(task, self.rates[kind])
