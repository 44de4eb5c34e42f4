"""The data contract as data: the schema of each raw table, its key, and the rules of its columns.

This is the only statement of the rules. ``contract_checker`` refuses rows by it; the Great Expectations suite of check C05 and
the tables of ``docs/datasets.md`` are made from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import pyarrow as pa

from finai_assets.settings import Settings
from serving_lambda.standing import CHANNELS, RISKIEST, SAFEST

KEY = "customer_id"  # ascends in every table of customers
# Where `unknown_mcc: other` puts a category that the catalogue does not list; no source may use the code itself.
OTHER_MCC = 0
MARKETING, AUTOMATED_DECISION, DO_NOT_CONTACT = PURPOSES = ("marketing", "automated_decision", "do_not_contact")
PRODUCT_CLASSES = ("deposit", "loan", "investment", "insurance", "card", "account")


def _required(name: str, kind: pa.DataType) -> pa.Field:
    return pa.field(name, kind, nullable=False)


SNAPSHOTS = pa.schema(
    [
        _required("customer_id", pa.int64()),
        _required("snapshot_month", pa.date32()),
        pa.field("age", pa.int16()),
        pa.field("income", pa.float64()),
        pa.field("tenure_months", pa.int16()),
        pa.field("is_active", pa.bool_()),
        pa.field("gender", pa.string()),
        pa.field("segment", pa.string()),
        pa.field("country", pa.string()),
        pa.field("channel", pa.string()),
        _required("held", pa.list_(pa.int16())),
    ]
)
TRANSACTIONS = pa.schema(
    [
        _required("customer_id", pa.int64()),
        _required("ts", pa.timestamp("us")),
        _required("amount", pa.float64()),
        _required("mcc", pa.int32()),
        pa.field("merchant_id", pa.int64()),
    ]
)
PRODUCTS = pa.schema(
    [
        _required("product_id", pa.int16()),
        _required("name", pa.string()),
        _required("family", pa.int8()),
        _required("product_class", pa.string()),
        pa.field("risk_grade", pa.int8()),
        _required("terms", pa.string()),
    ]
)
MERCHANT_CATEGORIES = pa.schema(
    [
        _required("mcc", pa.int32()),
        _required("name", pa.string()),
        _required("l2", pa.int16()),
        _required("l1", pa.int8()),
    ]
)
RISK_PROFILES = pa.schema(
    [
        _required("customer_id", pa.int64()),
        _required("grade", pa.int8()),
        _required("assessed_on", pa.date32()),
        _required("expires_on", pa.date32()),
    ]
)
CONSENTS = pa.schema(
    [
        _required("customer_id", pa.int64()),
        _required("purpose", pa.string()),
        pa.field("channel", pa.string()),
        _required("given_on", pa.date32()),
        pa.field("withdrawn_on", pa.date32()),
    ]
)
CONTACTS = pa.schema(
    [
        _required("customer_id", pa.int64()),
        _required("ts", pa.timestamp("us")),
        _required("channel", pa.string()),
        pa.field("product_id", pa.int16()),
    ]
)
ASSET_BANDS = pa.schema([_required("customer_id", pa.int64()), _required("band", pa.string())])
BENEFIT = pa.struct([_required("category", pa.string()), _required("ko", pa.string()), _required("en", pa.string())])
PRODUCT_TERMS = pa.schema(
    [
        _required("product_id", pa.int16()),
        pa.field("minimum_age", pa.int16()),
        pa.field("maximum_age", pa.int16()),
        pa.field("minimum_asset_band", pa.string()),
        pa.field("rate_low", pa.float64()),
        pa.field("rate_high", pa.float64()),
        pa.field("period_months", pa.int16()),
        _required("open_ended", pa.bool_()),
        pa.field("fee", pa.float64()),
        _required("disclosures", pa.list_(pa.string())),
        _required("benefits", pa.list_(BENEFIT)),
    ]
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of a column's values; null keeps it.

    Parameters
    ----------
    text : str
        What is wrong with a row that breaks the rule; ``{month}`` stands for the month of the table.
    fix : str
        What the owner of the source can do; ``{end}`` stands for the day after the month.
    """

    column: str
    text: str
    fix: str


@dataclass(frozen=True, slots=True)
class Range(Rule):
    """The value is finite and lies in ``low..high``, both ends included."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class OneOf(Rule):
    """The value is one of a list."""

    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FirstOfMonth(Rule):
    """The date is the first day of the table's month."""


@dataclass(frozen=True, slots=True)
class WithinMonth(Rule):
    """The time lies in the table's month. ``text`` is of times before it, ``late`` of times after it."""

    late: str


@dataclass(frozen=True, slots=True)
class BeforeCutoff(Rule):
    """The date lies before the month's end: nothing of a month knows what comes after it."""


@dataclass(frozen=True, slots=True)
class After(Rule):
    """The date is after that of another column, or on the same day where ``or_same``."""

    other: str
    or_same: bool


@dataclass(frozen=True, slots=True)
class OnlyWith(Rule):
    """There is a value in exactly the rows in which another column holds ``value``."""

    other: str
    value: str


@dataclass(frozen=True, slots=True)
class KnownProducts(Rule):
    """Every product id of the list is one of the catalogue, ``0..products - 1``."""

    products: int


@dataclass(frozen=True, slots=True)
class AscendingProducts(Rule):
    """The product ids of the list ascend, each once."""


@dataclass(frozen=True, slots=True)
class KnownCategory(Rule):
    """The code is one of the catalogue of merchant categories."""


@dataclass(frozen=True, slots=True)
class TableContract:
    """The schema, key and rules of a monthly table.

    Parameters
    ----------
    order : tuple of str
        The columns by which a customer's rows ascend; null comes first.
    unique : bool
        Whether no two rows of a customer agree in those columns: without any, a customer has one row a month.
    filled : bool
        Whether a month has rows.
    """

    name: str
    schema: pa.Schema
    order: tuple[str, ...]
    unique: bool
    rules: tuple[Rule, ...]
    filled: bool = True


def snapshots_contract(settings: Settings) -> TableContract:
    """Return the contract of ``raw/snapshots``."""
    segments = tuple(settings.dataset.segments)
    in_segments = OneOf("segment", "unknown segment", "add it to dataset.segments, in order of value", segments)
    return TableContract(
        "snapshots",
        SNAPSHOTS,
        order=(),
        unique=True,
        rules=(
            FirstOfMonth("snapshot_month", "snapshot outside {month}", "deliver the row with its own month"),
            _range("age", 0, 130),
            _range("income", 0, inf),
            _range("tenure_months", 0, 1500),
            KnownProducts(
                "held",
                "unknown product id",
                "use the ids of the product catalogue, dense from 0",
                len(settings.products),
            ),
            AscendingProducts(
                "held", "product ids not ascending and distinct", "list each held product once, ascending"
            ),
            *([in_segments] if segments else []),
        ),
    )


def transactions_contract() -> TableContract:
    """Return the contract of ``raw/transactions``."""
    return TableContract(
        "transactions",
        TRANSACTIONS,
        order=("ts",),
        unique=False,
        rules=(
            WithinMonth(
                "ts",
                "transaction outside its month (before {month})",
                "deliver it with its own month, or correct its time; {month} ends before {end}",
                late="transaction outside its month (in the future of {month})",
            ),
            Range("amount", "amount is not finite", "correct the amount, or leave the row out", -inf, inf),
            KnownCategory(
                "mcc", "unknown MCC", "add the code to the merchant categories, or set dataset.unknown_mcc: other"
            ),
        ),
    )


def protected_contract(attributes: Sequence[str]) -> TableContract:
    """Return the contract of ``raw/protected_attributes`` with these string columns."""
    schema = pa.schema([_required(KEY, pa.int64()), *(pa.field(name, pa.string()) for name in attributes)])
    return TableContract("protected_attributes", schema, order=(), unique=True, rules=())


def risk_profiles_contract() -> TableContract:
    """Return the contract of ``raw/risk_profiles``: the riskiest product grade that suits a customer, and until when."""
    return TableContract(
        "risk_profiles",
        RISK_PROFILES,
        order=(),
        unique=True,
        rules=(
            _range("grade", RISKIEST, SAFEST),
            _before_cutoff("assessed_on"),
            After(
                "expires_on",
                "risk profile expires on or before the day of its assessment",
                "deliver the first day on which the profile no longer counts",
                "assessed_on",
                or_same=False,
            ),
        ),
        filled=False,
    )


def consents_contract() -> TableContract:
    """Return the contract of ``raw/consents``: who consents to what, or objects to being contacted."""
    return TableContract(
        "consents",
        CONSENTS,
        order=("purpose", "channel"),
        unique=True,
        rules=(
            _one_of("purpose", PURPOSES),
            _one_of("channel", CHANNELS),
            OnlyWith(
                "channel",
                f"channel missing for {MARKETING}, or given for another purpose",
                f"a consent to {MARKETING} is to one channel each, any other row has none",
                "purpose",
                MARKETING,
            ),
            _before_cutoff("given_on"),
            _before_cutoff("withdrawn_on"),
            After(
                "withdrawn_on",
                "consent given after its withdrawal",
                "deliver the consent as it stands at the month's end: one given anew is not withdrawn",
                "given_on",
                or_same=True,
            ),
        ),
        filled=False,
    )


def contacts_contract(settings: Settings) -> TableContract:
    """Return the contract of ``raw/contacts``: the messages of a month."""
    known = (0, len(settings.products) - 1)
    return TableContract(
        "contacts",
        CONTACTS,
        order=("ts",),
        unique=False,
        rules=(
            WithinMonth(
                "ts",
                "contact outside its month (before {month})",
                "deliver it with its own month, or correct its time; {month} ends before {end}",
                late="contact outside its month (in the future of {month})",
            ),
            _one_of("channel", CHANNELS),
            Range("product_id", "unknown product id", "use the ids of the product catalogue, dense from 0", *known),
        ),
        filled=False,
    )


def asset_bands_contract(settings: Settings) -> TableContract:
    """Return the contract of ``raw/asset_bands``: how much a customer has with the bank, as a band."""
    bands = settings.dataset.asset_bands
    unknown = OneOf("band", "unknown asset band", "add it to dataset.asset_bands, in ascending order", bands)
    return TableContract("asset_bands", ASSET_BANDS, order=(), unique=True, rules=(unknown,), filled=False)


def offer_contracts(settings: Settings) -> tuple[TableContract, ...]:
    """Return the contracts of the tables for offering that the data set has."""
    every = (
        risk_profiles_contract(),
        consents_contract(),
        contacts_contract(settings),
        asset_bands_contract(settings),
    )
    return tuple(contract for contract in every if contract.name not in settings.dataset.unavailable_tables)


def _one_of(column: str, values: tuple[str, ...]) -> OneOf:
    return OneOf(column, f"unknown {column}", f"deliver one of {', '.join(values)}", values)


def _before_cutoff(column: str) -> BeforeCutoff:
    fix = "deliver a month as it was known at its end; {month} ends before {end}"
    return BeforeCutoff(column, "date in the future of {month}", fix)


def _range(column: str, low: float, high: float) -> Range:
    fix = f"a missing {column} is null; list a marker in dataset.sentinels.{column}"
    return Range(column, f"value outside {low:g}..{high:g} or not finite", fix, low, high)
