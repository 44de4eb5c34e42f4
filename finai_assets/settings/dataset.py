"""Sections of the settings about the data: months, splits, data set, products and merchant categories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

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


# Raw tables that a source may be without. What is made from them is derived to be unavailable.
OptionalTable = Literal[
    "transactions", "merchant_categories", "products", "product_terms", "protected_attributes", "risk_profiles", "consents",
    "contacts", "asset_bands",
]  # fmt: skip
# Parts of the other raw tables that a source may be without: columns of the snapshots, what transactions tell, and changes of
# the products that are held.
Part = Literal[
    "age", "income", "tenure_months", "is_active", "gender", "segment", "country", "channel", "time_of_day", "merchants",
    "categories", "acquisitions", "closures",
]  # fmt: skip


class DatasetSettings(Section):
    """Where the data come from, which months they cover, and what they are without.

    What a source lacks is declared here with the reason, and completed from the rest of the settings
    (:mod:`finai_assets.settings.lacks`); which columns, groups and tasks cannot be carried follows from it
    (:mod:`finai_assets.ingest.derive`). ``unavailable_columns`` and ``unavailable_tasks`` are for what follows from nothing.
    """

    name: str
    adapter: Literal["synthetic", "tables"]
    source: str | None
    real_customers: bool
    currency: str
    raw_months: MonthSpan
    snapshot_months: MonthSpan
    splits: SplitSettings
    segments: tuple[str, ...]
    sentinels: dict[str, tuple[float, ...]]
    unknown_mcc: Literal["error", "other"]
    lacks: dict[Part, str] = Field(default_factory=dict)
    # Patterns of product codes: nobody holds it in the train months; it is held, but nobody comes to hold it in them.
    never_held: dict[str, str] = Field(default_factory=dict)
    never_acquired: dict[str, str] = Field(default_factory=dict)
    # What the source has not and the mapping makes from something else: how.
    derived: dict[Literal["categories", "products", "segment"], str] = Field(default_factory=dict)
    unavailable_columns: dict[str, str] = Field(default_factory=dict)  # patterns of column names
    unavailable_tasks: dict[str, str] = Field(default_factory=dict)
    unavailable_tables: dict[OptionalTable, str] = Field(default_factory=dict)
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
        if self.asset_bands and "asset_bands" in self.unavailable_tables:
            raise ValueError(
                "asset_bands lists bands of a table that unavailable_tables declares absent: keep one of them"
            )
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
