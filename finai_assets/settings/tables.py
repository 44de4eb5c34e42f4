"""The section `tables`: how a bank's own tables become those of the data contract; its reference is docs/datasets.md.

A text called an expression is DuckDB SQL on the columns of the rows beside it. What it names is checked when the sources' columns
are known; that the section is whole is checked here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from finai_assets.settings.base import Section
from finai_assets.settings.dataset import DatasetSettings

Expression = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Code = int | str


class SourceSettings(Section):
    """Where the rows of one source lie, how they are read, and from when on each is known."""

    # file, glob or folder below the source folder, or an absolute path, or `s3://`; several are read one after the other. null
    # where `url` is given
    path: str | tuple[str, ...] | None = None
    # address of a database instead of files; `${NAME}` in it stands for a variable of the environment. null where `path` is given
    url: str | None = None
    table: str | None = None  # table of the database; instead of `query`
    query: str | None = None  # SQL that the database answers; instead of `table`
    # how the files are written; null: told by the ends of their names
    format: Literal["csv", "parquet", "arrow", "fixed_width"] | None = None
    # what stands between two fields of a text file; null: the one common sign that splits the first lines evenly
    delimiter: str | None = None
    quote: str | None = '"'  # sign around a field that holds a delimiter or a line end; null: none
    encoding: str = "utf-8"  # encoding of a text file, as utf-8 or cp949
    decimal: str = "."  # sign before the decimals of a number; `number(text)` reads by it
    thousands: str | None = None  # sign between the thousands of a number; null: none
    header: bool = True  # whether the first line names the columns; where it does not, `columns` does
    # names of the columns in order, in place of those that a header gives; empty: as in the header
    columns: tuple[str, ...] = ()
    # characters of each column of a fixed-width file, from the left and without gaps
    widths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    skip_rows: Annotated[int, Field(ge=0)] = 0  # lines that are left out at the top of each file
    # lines, blank ones not counted, that are left out at the end of each file
    skip_footer: Annotated[int, Field(ge=0)] = 0
    # what to do with a text file whose last line has no line end, so that it may have been cut off: note or refuse it
    unterminated: Literal["note", "refuse"] = "note"
    # what to do with times finer than a microsecond, in columns of Parquet and Arrow: refuse them, or cut them off
    nanoseconds: Literal["refuse", "truncate"] = "refuse"
    union: bool = False  # whether files of the source may have different columns; a column that one lacks is null there
    # texts that mean missing: in every column, or by column
    missing: tuple[str, ...] | dict[str, tuple[str, ...]] = ("",)
    optional: tuple[str, ...] = ()  # columns that the source may lack; they are null then
    # column -> expression on the source's columns and on those computed before; a value that it cannot read is refused with its
    # rows
    computed: dict[str, Expression] = Field(default_factory=dict)
    # expression, a date or a time: a row is visible in the months whose cutoff lies after it; instead of `static`
    known_from: Expression | None = None
    static: str | None = None  # why the rows hold for all time; instead of `known_from`
    # columns in which no two rows agree, unless one of the columns is null; empty: not checked
    key: tuple[str, ...] = ()
    # column -> `source.column`, one of whose values it must have; null is allowed
    references: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_whole(self) -> SourceSettings:
        if (self.path is None) == (self.url is None):
            raise ValueError("a source has either `path` (files) or `url` (a database)")
        if self.url is not None and (self.table is None) == (self.query is None):
            raise ValueError("a source with a `url` has either `table` or `query`")
        if self.path is not None and (self.table or self.query):
            raise ValueError("`table` and `query` belong to a source with a `url`")
        if (self.known_from is None) == (self.static is None):
            raise ValueError(
                "a source has either `known_from` (the expression that dates when a row became known) or `static` (why its "
                "rows hold for all time): without one of them a month could read its own future"
            )
        if self.format == "fixed_width" and len(self.widths) != len(self.columns):
            raise ValueError("a fixed-width source needs `columns` and one of `widths` for each")
        if not self.header and not self.columns:
            raise ValueError("a source without a header needs `columns`, the names of its columns in order")
        return self


class RowsSettings(Section):
    """Rows of customers: from where, which, and whose."""

    # names of the sources or queries that the rows are from, joined as in SQL
    from_: Annotated[str, Field(alias="from")]
    where: Expression | None = None  # condition that a row must meet; null: all rows
    customer: Expression  # expression that gives the customer's own identifier, which a token replaces


SnapshotColumn = Literal[
    "age", "income", "tenure_months", "is_active", "gender", "segment", "country", "channel"
]  # fmt: skip


class SnapshotRows(RowsSettings):
    """One row for each customer, or for each customer and month."""

    # expression, a date within the month that a row is of; null: a row holds for every month from when it is known
    month: Expression | None = None
    # column of the contract -> expression; one that is not mapped counts as lacking
    columns: dict[SnapshotColumn, Expression] = Field(default_factory=dict)


class DebitSettings(Section):
    """Words that say which way money went."""

    column: Expression  # expression that gives the word
    # words of debits; a word that is neither here nor in `credit` is refused
    words: Annotated[tuple[str, ...], Field(min_length=1)]
    credit: Annotated[tuple[str, ...], Field(min_length=1)]  # words of credits
    # unsigned: the words alone carry the sign, so that an amount below 0 contradicts them; signed: the amount has it too, so
    # that a debit above 0 or a credit below 0 does. Rows that contradict themselves are refused
    sign: Literal["unsigned", "signed"] = "unsigned"

    @model_validator(mode="after")
    def _words_differ(self) -> DebitSettings:
        if both := set(self.words) & set(self.credit):
            raise ValueError(f"debit: a word stands for debits and credits: {', '.join(sorted(both))}")
        return self


class TransactionRows(RowsSettings):
    """Transactions, each with its identity."""

    ts: Expression  # expression, a date or a time: when it happened
    amount: Expression  # expression; signed as the account sees it, unless `debit` gives the sign
    debit: DebitSettings | None = None  # words that give the sign of the amount; null: the amount has it
    category: Expression  # expression whose values are the codes of `tables.categories`
    # expression that names the merchant; a text becomes a token. null: no merchant is named
    merchant: Expression | None = None
    # expression, the identity of a transaction; rows with the same one are refused. null: there is none
    id: Expression | None
    id_absent: str | None = None  # why there is no `id`, or why it is null in some rows
    # expression that orders a customer's transactions at the same time before their id and values do: `source_row` for the
    # order in the source
    order: Expression | None = None
    # what to do with a transaction of a customer who has no row in the month's snapshot: error refuses it, leave_out leaves it
    # out and reports it
    unknown_customer: Literal["error", "leave_out"] = "error"

    @model_validator(mode="after")
    def _has_identity(self) -> TransactionRows:
        if self.id is None and self.id_absent is None:
            raise ValueError(
                "transactions have `id`, the expression that identifies one, or `id: null` and `id_absent`, the reason why not"
            )
        return self


class FlagColumns(Section):
    """Columns of the snapshot's rows that say whether a product is held, with the product's code."""

    # expression on the snapshot's rows that is true where the product is held -> the product's code
    columns: dict[Expression, str]


class HoldingRows(RowsSettings):
    """Rows that say from when, and until when, a product is held."""

    product: Expression  # expression that gives the product's code, or one of `words`
    # value of `product` -> code of the catalogue; a value that is not listed is refused. null: the values are codes
    words: dict[str, str] | None = None
    opened: Expression  # expression, the first day on which it is held
    closed: Expression | None = None  # expression, the first day on which it is held no longer; null: no end is known


class HoldingSettings(Section):
    """How it is known which products are held: any of three ways, mixed."""

    flags: FlagColumns | None = None  # columns of the snapshots that say what is held; null: none do
    rows: tuple[HoldingRows, ...] = ()  # rows with opening and closing dates
    # product's code -> condition on `ts`, `amount`, `category` and `merchant` of the mapped transactions: held from the first
    # one that meets it
    derived: dict[str, Expression] = Field(default_factory=dict)


class CategorySettings(Section):
    """A category and what stands above it in the tree."""

    name: str  # name of the category
    l2: str  # category that it belongs to, one level up
    l1: str  # top category that `l2` belongs to


class CategoryRows(Section):
    """Categories that a source lists, one row each."""

    # names of the sources or queries that the rows are from, joined as in SQL
    from_: Annotated[str, Field(alias="from")]
    code: Expression  # expression that gives the code by which transactions name the category
    name: Expression  # expression that gives its name
    l2: Expression  # expression that gives the category one level up
    l1: Expression  # expression that gives the top category


class CategoryTree(Section):
    """The categories of transactions: listed by ``codes``, or ``rows`` of a source."""

    # code -> the category; positive numbers are kept as they are, other codes are numbered from 1 in order
    codes: dict[Code, CategorySettings] = Field(default_factory=dict)
    rows: CategoryRows | None = None  # rows of a source that list the categories, in place of `codes`
    # what to do with a transaction of another category: error refuses it, other puts it under code 0, and the month's figures
    # tell the share
    unknown: Literal["error", "other"] = "error"

    @model_validator(mode="after")
    def _listed_once(self) -> CategoryTree:
        if bool(self.codes) == (self.rows is not None):
            raise ValueError("categories are listed by `codes` or read by `rows`: one of them")
        return self


class AttributeRows(Section):
    """Attributes of the snapshot's rows that only fairness checks read, as expressions."""

    # name of a protected attribute -> expression on the snapshot's rows
    columns: Annotated[dict[Name, Expression], Field(min_length=1)]


class OfferRows(RowsSettings):
    """Rows of a table for offering: an expression for each of its columns but the customer."""

    columns: dict[str, Expression]  # column of the contract's table (docs/datasets.md) -> expression


class TablesSettings(Section):
    """The mapping of a bank's own tables onto the data contract."""

    # name -> where its rows lie; expressions and queries know them by this name
    sources: Annotated[dict[Name, SourceSettings], Field(min_length=1)]
    # vocabularies: name -> word -> meaning; `words('name', expression)` gives the meaning, and refuses an unknown word with its
    # rows
    words: dict[Name, dict[str, str]] = Field(default_factory=dict)
    # name -> a SELECT in DuckDB SQL over the sources and the queries before it
    queries: dict[Name, Expression] = Field(default_factory=dict)
    # time zone in which the bank's day begins; needed where times carry an offset, else null
    time_zone: str | None = None
    snapshots: SnapshotRows  # who the customers are in a month, and what is known of them
    transactions: TransactionRows | None = None  # payments; null: the source has none, and no categories either
    holdings: HoldingSettings = HoldingSettings()
    categories: CategoryTree | None = None  # the tree of merchant categories; null: there are no transactions
    protected: AttributeRows | None = None  # attributes that only fairness checks read; null: none are known
    risk_profiles: OfferRows | None = None  # assessments of customers' appetite for risk; null: the source has none
    consents: OfferRows | None = None  # consents and objections; null: the source has none
    contacts: OfferRows | None = None  # messages that customers were sent; null: the source has none
    asset_bands: OfferRows | None = None  # band of what each customer has with the bank; null: the source has none

    @model_validator(mode="after")
    def _parts_agree(self) -> TablesSettings:
        if twice := set(self.sources) & set(self.queries):
            raise ValueError(f"queries: a source has the same name: {', '.join(sorted(twice))}")
        if (self.transactions is None) != (self.categories is None):
            raise ValueError("`transactions` and `categories` belong together: give both or neither")
        if self.transactions is None and self.holdings.derived:
            raise ValueError(
                "holdings.derived are told by transactions: give `transactions`, or hold products by rows or flags"
            )
        return self


def require_agreement(tables: TablesSettings | None, dataset: DatasetSettings, codes: Iterable[str]) -> None:
    """Refuse a mapping that contradicts the rest of the settings.

    Parameters
    ----------
    codes
        The codes of the products of the catalogue.

    Raises
    ------
    ValueError
        The section is there without its adapter, or the other way round; names a product that the catalogue lacks; maps a table
        that is declared absent; or says otherwise than ``dataset.unknown_mcc`` what to do with unknown categories.
    """
    if (dataset.adapter == "tables") != (tables is not None):
        raise ValueError(
            "dataset.adapter: tables and the section `tables`, which says how to read them, belong together: give both or neither"
        )
    if tables is None:
        return
    held = tables.holdings
    named = {*(held.flags.columns.values() if held.flags else ()), *held.derived}
    named |= {code for rows in held.rows for code in (rows.words or {}).values()}
    if unknown := sorted(named - set(codes)):
        raise ValueError(f"tables.holdings: unknown products {unknown}: add them to `products`")
    if tables.categories is not None and tables.categories.unknown != dataset.unknown_mcc:
        raise ValueError(
            f"dataset.unknown_mcc is {dataset.unknown_mcc}, tables.categories.unknown is {tables.categories.unknown}: "
            "remove dataset.unknown_mcc"
        )
    for name in ("transactions", "risk_profiles", "consents", "contacts", "asset_bands"):
        if getattr(tables, name) is not None and name in dataset.unavailable_tables:
            raise ValueError(
                f"tables.{name} maps a table that dataset.unavailable_tables declares absent: remove one of them"
            )
