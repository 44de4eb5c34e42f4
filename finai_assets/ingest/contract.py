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

KEY = "customer_id"  # ascends in every table of customers
# Where `unknown_mcc: other` puts a category that the catalogue does not list; no source may use the code itself.
OTHER_MCC = 0
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
    unique : bool
        Whether a customer has one row a month; otherwise rows of a customer ascend by ``ts``.
    """

    name: str
    schema: pa.Schema
    unique: bool
    rules: tuple[Rule, ...]


def snapshots_contract(settings: Settings) -> TableContract:
    """Return the contract of ``raw/snapshots``."""
    segments = tuple(settings.dataset.segments)
    in_segments = OneOf("segment", "unknown segment", "add it to dataset.segments, in order of value", segments)
    return TableContract(
        "snapshots",
        SNAPSHOTS,
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
    return TableContract("protected_attributes", schema, unique=True, rules=())


def _range(column: str, low: float, high: float) -> Range:
    fix = f"a missing {column} is null; list a marker in dataset.sentinels.{column}"
    return Range(column, f"value outside {low:g}..{high:g} or not finite", fix, low, high)
