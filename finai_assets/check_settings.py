"""Sections of the settings about single themes of checks: what each tolerates."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from finai_assets.section import Positive, PositiveNumber, Section, Share

Reason = Annotated[str, Field(min_length=10)]


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
    """Columns that honestly predict most of a task's label, and the mean AUC (or R2) up to which they may."""

    columns: tuple[str, ...]  # names, or shell patterns of names
    bound: Share
    reason: Reason


class SingleColumnSettings(Section):
    """When a column, a pair or a shallow tree of a group tells too much of a label."""

    threshold: Share  # AUC (of the best class), or R2
    rows: Positive  # train rows that are looked at, those of whole customers
    bins: Annotated[int, Field(ge=8, le=250)]
    pair_rows: Positive  # of these, so many are looked at to choose pairs
    class_rows: Positive  # a class with fewer rows is not judged
    expected: dict[str, ExpectedPredictor]  # task -> its expected predictor


class ShuffledFutureSettings(Section):
    """How customers exchange their futures, and what skill a model may have left."""

    customers: Annotated[int, Field(ge=50)]  # of each month
    train_months: Positive  # the last ones of train
    rounds: dict[
        Literal["binary", "regression", "multiclass"], Positive
    ]  # of the model; a multiclass one grows a tree per class
    resamples: Annotated[int, Field(ge=500)]
    tolerance: Share  # above chance, at the lower end of the interval
    class_rows: Positive  # a task with fewer validation rows of its rarer class is not judged
