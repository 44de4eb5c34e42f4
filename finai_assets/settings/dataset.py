"""Sections of the settings about the data: months, splits, data set, products and merchant categories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from finai_assets.settings.adapters import require_known
from finai_assets.settings.base import Positive, Section
from finai_resources.months import Month, month_range


def _month(value: object) -> object:
    return Month.parse(value) if isinstance(value, str) else value


MonthField = Annotated[Month, BeforeValidator(_month)]


class MonthSpan(Section):
    """Months from ``first`` to ``last``, both included; written ``[2015-01, 2015-11]``."""

    first: MonthField
    last: MonthField

    @model_validator(mode="before")
    @classmethod
    def _from_pair(cls, value: object) -> object:
        if isinstance(value, list):
            if len(value) != 2:
                raise ValueError("write a span of months as [first, last]")
            return {"first": value[0], "last": value[1]}
        return value

    @model_validator(mode="after")
    def _ordered(self) -> MonthSpan:
        if self.last < self.first:
            raise ValueError(f"the span ends ({self.last}) before it begins ({self.first})")
        return self

    def __iter__(self) -> Iterator[Month]:  # type: ignore[override] # a span is iterated by month, not by field
        return month_range(self.first, self.last)

    def __contains__(self, month: object) -> bool:
        return isinstance(month, Month) and self.first <= month <= self.last

    def __len__(self) -> int:
        return self.last.ordinal - self.first.ordinal + 1


class SplitSettings(Section):
    """Snapshot months of each split; what lies between them is purged."""

    train: MonthSpan
    validation: MonthSpan
    test: MonthSpan


class DatasetSettings(Section):
    """Where the data come from and which months they cover."""

    name: str
    adapter: Annotated[str, AfterValidator(require_known)]  # one of the product, or of an installed package
    source: str | None
    real_customers: bool
    currency: str
    raw_months: MonthSpan
    snapshot_months: MonthSpan
    splits: SplitSettings
    segments: tuple[str, ...]
    # Lower bounds of every segment but the first, where the adapter derives the segment from an amount.
    segment_thresholds: tuple[float, ...] = ()
    sentinels: dict[str, tuple[float, ...]]
    unknown_mcc: Literal["error", "other"]
    unavailable_columns: dict[str, str]
    unavailable_tasks: dict[str, str]
    # Raw tables that the source has not, each with its reason.
    unavailable_tables: dict[Literal["risk_profiles", "consents", "contacts", "asset_bands"], str]
    asset_bands: tuple[str, ...] = ()  # ascending

    @model_validator(mode="after")
    def _months_agree(self) -> DatasetSettings:
        if self.snapshot_months.first < self.raw_months.first or self.snapshot_months.last >= self.raw_months.last:
            raise ValueError(
                f"snapshot_months {self.snapshot_months.first}..{self.snapshot_months.last} must lie within raw_months "
                f"{self.raw_months.first}..{self.raw_months.last} and leave its last month as a label month"
            )
        for name in ("train", "validation", "test"):
            span: MonthSpan = getattr(self.splits, name)
            if span.first not in self.snapshot_months or span.last not in self.snapshot_months:
                raise ValueError(f"splits.{name} {span.first}..{span.last} lies outside snapshot_months")
        return self

    @model_validator(mode="after")
    def _bands_fit_tables(self) -> DatasetSettings:
        if len(set(self.asset_bands)) != len(self.asset_bands):
            raise ValueError("asset_bands: a band occurs twice")
        if bool(self.asset_bands) == ("asset_bands" in self.unavailable_tables):
            raise ValueError(
                "list asset_bands in ascending order, or declare the table in unavailable_tables: one of them"
            )
        return self

    @model_validator(mode="after")
    def _thresholds_fit_segments(self) -> DatasetSettings:
        bounds = self.segment_thresholds
        if bounds and (len(bounds) != len(self.segments) - 1 or list(bounds) != sorted(set(bounds))):
            raise ValueError("segment_thresholds needs one ascending bound fewer than there are segments")
        return self


ProductClass = Literal["deposit", "loan", "investment", "insurance", "card", "account"]


class Benefit(Section):
    """What a product gives on payments in a merchant category, an L2 or L1 of the tree; a noun phrase in both languages."""

    category: str
    ko: str
    en: str


class ProductTerms(Section):
    """The terms that a customer would ask about; None where they are not known or do not apply.

    ``minimum_age`` and ``maximum_age`` are the first and the last age at which it may be opened; rates are percent a year;
    ``fee`` is a year's, in the account currency; ``disclosures`` are ids of what has to be told beside an offer.
    """

    minimum_age: Annotated[int, Field(ge=0, le=130)] | None = None
    maximum_age: Annotated[int, Field(ge=0, le=130)] | None = None
    minimum_asset_band: str | None = None
    rate_low: float | None = None
    rate_high: float | None = None
    period_months: Positive | None = None
    open_ended: bool = False
    fee: Annotated[float, Field(ge=0)] | None = None
    disclosures: tuple[str, ...] = ()
    benefits: tuple[Benefit, ...] = ()


class Product(Section):
    """One product of the catalogue; its id is its position in the list."""

    code: str
    name: str
    name_ko: str
    family: str
    product_class: ProductClass
    risk_grade: Annotated[int, Field(ge=1, le=6)] | None
    terms: ProductTerms = ProductTerms()


class MerchantCategory(Section):
    """One leaf of the merchant tree; the ids of its L2 and L1 nodes follow the order of first appearance."""

    mcc: Annotated[int, Field(ge=0, le=9999)]
    name: str
    name_ko: str
    l2: str
    l1: str
