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
    """Where the rows of one source lie, how they are read, and from when on each is known.

    Parameters
    ----------
    path
        File, glob or folder below the source folder; also absolute or ``s3://``. Several are read one after the other.
    url, table, query
        A database instead of files; ``${NAME}`` in the URL stands for a variable of the environment.
    unterminated
        What to do with a text file whose last line has no line end, so that it may have been cut off: note it, or refuse it.
    nanoseconds
        What to do with those below a microsecond, in columns of Parquet and Arrow.
    union
        Whether files of the source may have different columns, a column that one lacks being null there.
    missing
        Texts that mean missing: in every column, or by column.
    optional
        Columns that the source may lack; they are null then.
    computed
        Columns to add, as expressions on the source's columns and on those computed before; a value that an expression cannot
        read is refused with its rows.
    known_from
        Expression, a date or a time: a row is visible in the months whose cutoff lies after it.
    static
        Why the rows hold for all time; instead of ``known_from``.
    key
        Columns in which no two rows agree, unless one of the columns is null.
    references
        Columns whose values another source must have, as ``source.column``; null is allowed.
    """

    path: str | tuple[str, ...] | None = None
    url: str | None = None
    table: str | None = None
    query: str | None = None
    format: Literal["csv", "parquet", "arrow", "fixed_width"] | None = None
    delimiter: str | None = None
    quote: str | None = '"'
    encoding: str = "utf-8"
    decimal: str = "."
    thousands: str | None = None
    header: bool = True
    columns: tuple[str, ...] = ()
    widths: tuple[Annotated[int, Field(ge=1)], ...] = ()
    skip_rows: Annotated[int, Field(ge=0)] = 0
    skip_footer: Annotated[int, Field(ge=0)] = 0
    unterminated: Literal["note", "refuse"] = "note"
    nanoseconds: Literal["refuse", "truncate"] = "refuse"
    union: bool = False
    missing: tuple[str, ...] | dict[str, tuple[str, ...]] = ("",)
    optional: tuple[str, ...] = ()
    computed: dict[str, Expression] = Field(default_factory=dict)
    known_from: Expression | None = None
    static: str | None = None
    key: tuple[str, ...] = ()
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

    from_: Annotated[str, Field(alias="from")]
    where: Expression | None = None
    customer: Expression


SnapshotColumn = Literal[
    "age", "income", "tenure_months", "is_active", "gender", "segment", "country", "channel"
]  # fmt: skip


class SnapshotRows(RowsSettings):
    """One row for each customer, and for each month where ``month`` says of which month a row is."""

    month: Expression | None = None
    columns: dict[SnapshotColumn, Expression] = Field(default_factory=dict)


class DebitSettings(Section):
    """Words that say which way money went.

    Parameters
    ----------
    column
        Expression that gives the word.
    words, credit
        The words of debits, and those of credits; any other word is refused.
    sign
        ``unsigned`` where the words alone carry the sign, so that an amount below 0 contradicts them; ``signed`` where the amount
        has it too, so that a debit above 0 or a credit below 0 does. Rows that contradict themselves are refused.
    """

    column: Expression
    words: Annotated[tuple[str, ...], Field(min_length=1)]
    credit: Annotated[tuple[str, ...], Field(min_length=1)]
    sign: Literal["unsigned", "signed"] = "unsigned"

    @model_validator(mode="after")
    def _words_differ(self) -> DebitSettings:
        if both := set(self.words) & set(self.credit):
            raise ValueError(f"debit: a word stands for debits and credits: {', '.join(sorted(both))}")
        return self


class TransactionRows(RowsSettings):
    """Transactions, each with its identity.

    Parameters
    ----------
    ts
        Expression, a date or a time.
    amount
        Expression; signed as the account sees it, unless ``debit`` gives the sign.
    category
        Expression whose values are the codes of ``categories``.
    id
        Expression, the identity of a transaction. Rows with the same id are refused.
    id_absent
        Why there is no ``id``, or why it is null in some rows.
    order
        Expression that orders the transactions of a customer at the same time before their id and values do: ``source_row`` for
        the order in the source.
    unknown_customer
        What to do with a transaction of a customer who has no row in the month's snapshot.
    """

    ts: Expression
    amount: Expression
    debit: DebitSettings | None = None
    category: Expression
    merchant: Expression | None = None
    id: Expression | None
    id_absent: str | None = None
    order: Expression | None = None
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

    columns: dict[Expression, str]


class HoldingRows(RowsSettings):
    """Rows that say from when a product is held; until ``closed``, the first day on which it no longer is.

    ``words`` translates the values of ``product`` to codes of the catalogue; a word that it lacks is refused.
    """

    product: Expression
    words: dict[str, str] | None = None
    opened: Expression
    closed: Expression | None = None


class HoldingSettings(Section):
    """How it is known which products are held: any of three ways, mixed.

    ``derived`` gives an expression for each product, on the columns that the mapping gives transactions (``ts``, ``amount``,
    ``category``, ``merchant``): it is held from the first transaction that meets it.
    """

    flags: FlagColumns | None = None
    rows: tuple[HoldingRows, ...] = ()
    derived: dict[str, Expression] = Field(default_factory=dict)


class CategorySettings(Section):
    """A category and what stands above it in the tree."""

    name: str
    l2: str
    l1: str


class CategoryRows(Section):
    """Categories that a source lists, one row each."""

    from_: Annotated[str, Field(alias="from")]
    code: Expression
    name: Expression
    l2: Expression
    l1: Expression


class CategoryTree(Section):
    """The categories of transactions: listed by ``codes``, or ``rows`` of a source.

    Codes that are positive numbers are kept; others are numbered from 1, in order. A transaction of another category is refused
    where ``unknown`` is ``error``; where it is ``other`` it goes under code 0, and the month's figures tell the share.
    """

    codes: dict[Code, CategorySettings] = Field(default_factory=dict)
    rows: CategoryRows | None = None
    unknown: Literal["error", "other"] = "error"

    @model_validator(mode="after")
    def _listed_once(self) -> CategoryTree:
        if bool(self.codes) == (self.rows is not None):
            raise ValueError("categories are listed by `codes` or read by `rows`: one of them")
        return self


class AttributeRows(Section):
    """Attributes of the snapshot's rows that only fairness checks read, as expressions."""

    columns: Annotated[dict[Name, Expression], Field(min_length=1)]


class OfferRows(RowsSettings):
    """Rows of a table for offering: an expression for each of its columns but the customer."""

    columns: dict[str, Expression]


class TablesSettings(Section):
    """The mapping of a bank's own tables onto the data contract.

    Parameters
    ----------
    sources, queries
        Names of rows. A query is DuckDB SQL over sources and the queries before it.
    words
        Vocabularies: ``words('name', expression)`` gives the meaning of a word; an unknown word is refused with its rows.
    time_zone
        Where the bank's day begins; needed where times carry an offset.
    """

    sources: Annotated[dict[Name, SourceSettings], Field(min_length=1)]
    words: dict[Name, dict[str, str]] = Field(default_factory=dict)
    queries: dict[Name, Expression] = Field(default_factory=dict)
    time_zone: str | None = None
    snapshots: SnapshotRows
    transactions: TransactionRows | None = None
    holdings: HoldingSettings = HoldingSettings()
    categories: CategoryTree | None = None
    protected: AttributeRows | None = None
    risk_profiles: OfferRows | None = None
    consents: OfferRows | None = None
    contacts: OfferRows | None = None
    asset_bands: OfferRows | None = None

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
            "dataset.adapter: tables and the section `tables`, which says how they are read, belong together: give both or neither"
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
