"""Sections of the settings about the data: months, splits, data set, products and merchant categories."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

from finai_assets.settings.adapters import require_known
from finai_assets.settings.base import Positive, Section
from finai_resources.months import Month, month_range


def _month(value: object) -> object:
    return Month.parse(value) if isinstance(value, str) else value


MonthField = Annotated[Month, BeforeValidator(_month)]


class MonthSpan(Section):
    """Months from ``first`` to ``last``, both included; written ``[2015-01, 2015-11]``."""

    first: MonthField  # first month, as 2015-01
    last: MonthField  # last month, as 2015-11; it belongs to the span

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


class DataMonths(MonthSpan):
    """Months from ``first`` to ``last``, both included; written ``[2015-01, null]`` where they go on as far as the source does.

    Whoever reads the settings finds a ``last`` month all the same (:mod:`finai_assets.settings.months`). Dumped it is null, as it
    is written, so that no version depends on a month that moves on.
    """

    _goes_on: bool = PrivateAttr(default=False)

    @model_validator(mode="wrap")
    @classmethod
    def _without_end(cls, value: object, handler: ModelWrapValidatorHandler[DataMonths]) -> DataMonths:
        pair = (
            dict(zip(("first", "last"), value, strict=True)) if isinstance(value, list) and len(value) == 2 else value
        )
        if not isinstance(pair, dict) or pair.get("first") is None or pair.get("last", "") is not None:
            return handler(value)
        span = handler({**pair, "last": pair["first"]})
        span._goes_on = True
        return span

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = dump(self)
        return written | {"last": None} if "last" in written and self.goes_on else written

    @property
    def goes_on(self) -> bool:
        """Whether the span was written without a last month."""
        return self._goes_on


class SplitSettings(Section):
    """Snapshot months of each split; what lies between them is purged."""

    train: MonthSpan  # snapshot months that states and models are fitted on
    validation: MonthSpan  # snapshot months that choose among models and end their training
    test: MonthSpan  # snapshot months that published figures are measured on


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
    (:mod:`finai_assets.ingest.derive`).
    """

    name: str  # name of the data set, the same as that of its file
    # what brings the rows: one of the product (synthetic, tables), or of an installed package
    adapter: Annotated[str, AfterValidator(require_known)]
    # folder of the source's files, unless `--source` or FINAI_SOURCE names another; null: there is none to read
    source: str | None
    # true: real people, so that tokens need a pseudonym key of your own; false: the published demo key is used
    real_customers: bool
    currency: str  # currency of all amounts, as KRW; it must have a written form in configs/reason_templates.yaml
    # months of the raw tables: a look-back before the first snapshot, and a label window after the last one; null as the last:
    # they go on, to the last full month of the source
    raw_months: DataMonths
    # months that have features, and labels once their window has passed; within `raw_months`, whose last month they leave as a
    # label month; null as the last: they go on with `raw_months`, to their last month
    snapshot_months: DataMonths
    splits: SplitSettings
    # grades of customers, in ascending order of value; with fewer than two there is nothing to tell apart
    segments: tuple[str, ...]
    sentinels: dict[str, tuple[float, ...]]  # column of a raw table -> numbers that mean missing there and become null
    # what to do with a merchant category that is not listed: error refuses it, other puts it under code 0
    unknown_mcc: Literal["error", "other"]
    # part of a raw table that the source does not have -> why; columns and tasks that need it are left out
    lacks: dict[Part, str] = Field(default_factory=dict)
    # pattern of product codes that nobody holds in the train months -> why
    never_held: dict[str, str] = Field(default_factory=dict)
    # pattern of product codes that are held, but that nobody comes to hold in the train months -> why
    never_acquired: dict[str, str] = Field(default_factory=dict)
    # part that the source has not and the mapping makes from something else -> how
    derived: dict[Literal["categories", "products", "segment"], str] = Field(default_factory=dict)
    # pattern of feature columns that are left out -> why, where it follows from nothing else
    unavailable_columns: dict[str, str] = Field(default_factory=dict)
    # task that is left out -> why, where it follows from nothing else
    unavailable_tasks: dict[str, str] = Field(default_factory=dict)
    # raw table that the source does not have -> why; columns and tasks that need it are left out
    unavailable_tables: dict[OptionalTable, str] = Field(default_factory=dict)
    # bands of what a customer has with the bank, ascending; empty: there is no such table
    asset_bands: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _months_agree(self) -> DatasetSettings:
        raw, snapshots = self.raw_months, self.snapshot_months
        if (raw.goes_on or snapshots.goes_on) and self.adapter == "synthetic":
            raise ValueError(
                "raw_months and snapshot_months: a generated panel has the months that are written: write the last ones too"
            )
        late = not snapshots.goes_on and not raw.goes_on and snapshots.last >= raw.last
        if snapshots.first < raw.first or late:
            raise ValueError(
                f"snapshot_months {_written(snapshots)} must lie within raw_months {_written(raw)} and leave its last month as a "
                "label month"
            )
        for name in ("train", "validation", "test"):
            span: MonthSpan = getattr(self.splits, name)
            past = (not snapshots.goes_on and span.last > snapshots.last) or (not raw.goes_on and span.last >= raw.last)
            if span.first < snapshots.first or past:
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


def _written(span: DataMonths) -> str:
    return f"{span.first}.." if span.goes_on else f"{span.first}..{span.last}"


ProductClass = Literal["deposit", "loan", "investment", "insurance", "card", "account"]


class Benefit(Section):
    """What a product gives on payments in a merchant category."""

    category: str  # L2 or L1 category of the merchant tree whose payments the benefit is for
    ko: str  # the benefit in Korean, as a noun phrase
    en: str  # the benefit in English, as a noun phrase


class ProductTerms(Section):
    """The terms that a customer would ask about; null where they are not known or do not apply."""

    # first age in completed years at which it may be opened; null: any
    minimum_age: Annotated[int, Field(ge=0, le=130)] | None = None
    # last age in completed years at which it may be opened; null: any
    maximum_age: Annotated[int, Field(ge=0, le=130)] | None = None
    minimum_asset_band: str | None = None  # lowest of `dataset.asset_bands` that it is open to; null: any
    rate_low: float | None = None  # lowest rate in percent a year; null: unknown, or it has none
    rate_high: float | None = None  # highest rate in percent a year; null: unknown, or it has none
    period_months: Positive | None = None  # months after which it ends; null: unknown, or it does not end
    open_ended: bool = False  # true: it runs until it is closed; a rate needs either this or a period
    # yearly fee in the data set's currency; null: unknown, or it has none
    fee: Annotated[float, Field(ge=0)] | None = None
    disclosures: tuple[str, ...] = ()  # ids of what has to be told beside an offer
    # what it gives on payments in merchant categories; reasons tell those that meet the customer's spend
    benefits: tuple[Benefit, ...] = ()


class Product(Section):
    """One product of the catalogue; its id is its position in the list."""

    code: str  # identifier of the product, by which columns, settings and errors name it
    name: str  # name in English
    name_ko: str  # name in Korean
    family: str  # one of `families`
    product_class: ProductClass  # kind of product; rules, risk profiles and class posteriors go by it
    # from 1 (riskiest) to 6 (safest); null: it carries no investment risk
    risk_grade: Annotated[int, Field(ge=1, le=6)] | None
    terms: ProductTerms = ProductTerms()  # what a customer would ask about it


class MerchantCategory(Section):
    """One leaf of the merchant tree; the ids of its L2 and L1 nodes follow the order of first appearance."""

    mcc: Annotated[int, Field(ge=0, le=9999)]  # code of the category by ISO 18245
    name: str  # name in English
    name_ko: str  # name in Korean
    l2: str  # category that it belongs to, one level up
    l1: str  # top category that `l2` belongs to
