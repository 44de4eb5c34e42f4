"""What the columns and tables of a bank stand for, by their names and by what their values are.

Names are compared in English, Korean, Spanish, German and Czech, as published bank tables have them. A role is taken by the best
column alone; one that two columns could play becomes a question.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

from finai_assets.ingest.tables.guess.look import Seen
from finai_assets.ingest.tables.guess.profile import Column

Role = Literal[
    "customer", "time", "month", "amount", "direction", "category", "merchant", "transaction_id", "birth", "age", "gender",
    "income", "tenure", "active", "segment", "country", "channel", "opened", "closed", "duration", "product",
]  # fmt: skip
TableKind = Literal["panel", "transactions", "products", "customers", "other"]

_COUNTRY_LIKE = 300  # more values than that name no country, channel or segment
_FEW = 1_500  # more values than that are no tree of categories
_DEBIT = (
    "debit",
    "withdraw",
    "vydaj",
    "vyber",
    "outflow",
    "expense",
    "payment_out",
    "출금",
    "지급",
    "lastschrift",
    "cargo",
)
_CREDIT = ("credit", "deposit", "prijem", "vklad", "inflow", "income", "입금", "gutschrift", "abono")
_EXACT_WORDS = {"d": "debit", "dr": "debit", "c": "credit", "cr": "credit", "h": "credit", "s": "debit"}


def _kinds(*names: str) -> Callable[[Column], bool]:
    return lambda column: column.kind.name in names


def _dated(column: Column) -> bool:
    return column.kind.name == "date" or column.kind.compact_date


def _named_few(limit: int) -> Callable[[Column], bool]:
    return lambda column: 1 < column.distinct <= limit and column.kind.name in {"text", "number", "flag"}


# Names in the order in which they are preferred; a pattern is looked for in the plain name of a column.
_PATTERNS: dict[Role, tuple[tuple[str, ...], Callable[[Column], bool]]] = {
    "customer": (
        (
            r"^(customer|client|cust|cif|member|user|party|person|holder|household)(_?(id|no|num|nr|key|code|number))?$",
            r"ncodpers",
            r"고객.*(번호|id|아이디)?$",
            r"회원",
            r"kunden?(_?(id|nr|nummer))?$",
            r"cliente",
            r"household_key",
            r"(customer|client|cust)_?(id|no|num|key)",
            r"account(_?(id|no|num|number))?$",
            r"계좌.*",
        ),
        _kinds("number", "text"),
    ),
    "time": (
        (
            r"^(ts|timestamp|datetime)$",
            r"(trans|transaction|txn|booking|posting|order|purchase|event|거래|buchung).*"
            r"(date|time|dt|day|일자|일시|ts|tag)",
            r"^(date|dt|day|fecha|datum|일자|일시|날짜)$",
            r"(date|time|_dt|일자|일시)$",
        ),
        _dated,
    ),
    "month": (
        (
            r"fecha_dato",
            r"(snapshot|base|report|as_of|partition).*",
            r"^(month|yyyymm|year_month|yearmonth|ym|기준.*월?|mes|monat)$",
        ),
        _dated,
    ),
    "amount": (
        (
            r"^(amount|amt|betrag|importe|castka|금액|거래금액)$",
            r"(amount|amt|금액)$",
            r"(value|price|total|spend|sales|sum|payment)",
        ),
        _kinds("number"),
    ),
    "category": (
        (
            r"^mcc$",
            r"mcc",
            r"(category|kategorie|categoria|업종|분류)",
            r"^(operation|k_symbol|department|sector|purpose|commodity.*)$",
            r"(type|kind|art|종류)$",
        ),
        _named_few(_FEW),
    ),
    "merchant": (
        (r"merchant", r"가맹점", r"^(store|shop|payee|vendor|counterparty)", r"store_id"),
        _kinds("number", "text"),
    ),
    "transaction_id": (
        (r"(trans|transaction|txn|거래|승인).*(id|no|num|key|번호)$", r"^(id|uuid|reference|ref|basket_id|order_id)$"),
        lambda column: column.unique,
    ),
    "birth": ((r"(birth|born|dob|geburt|nacimiento|생년월일|생일)",), lambda c: _dated(c) or c.kind.name == "number"),
    "age": ((r"^(age|edad|alter|나이|연령)$", r"(^|_)age$"), _kinds("number")),
    "gender": ((r"^(gender|sex|sexo|geschlecht|성별)$", r"(gender|sex)"), lambda column: 1 < column.distinct <= 6),
    "income": ((r"(income|renta|salary|wage|einkommen|소득|연봉)",), _kinds("number")),
    "tenure": ((r"(tenure|antiguedad|seniority|months_on_book)",), _kinds("number")),
    "active": ((r"(is_active|ind_actividad|^active$|active_flag|활동)",), _kinds("flag", "number")),
    "segment": ((r"(segment|segmento|tier|등급)", r"(^|_)grade$"), _named_few(50)),
    "country": ((r"(country|pais|nation|land$|국가)",), _named_few(_COUNTRY_LIKE)),
    "channel": ((r"(channel|canal|kanal|채널)",), _named_few(_COUNTRY_LIKE)),
    "opened": (
        (
            r"(open|start|issue|grant|begin|fecha_alta|alta|개설|발급|가입|eroeffnung).*",
            r"^date$",
            r"(from_date|valid_from)",
        ),
        _dated,
    ),
    "closed": ((r"(clos|end_|end$|cancel|matur|expir|terminat|baja|해지|만기|valid_to|valid_until)",), _dated),
    "duration": ((r"(duration|term_months|laufzeit|plazo|기간)",), _kinds("number")),
    "product": ((r"(product|상품)", r"^(type|kind|card_type|loan_type|account_type|frequency)$"), _named_few(200)),
}
# Which roles the columns of a kind of table may play.
_ROLES_OF: dict[TableKind, tuple[Role, ...]] = {
    "panel": (
        "customer",
        "month",
        "birth",
        "age",
        "gender",
        "income",
        "tenure",
        "active",
        "segment",
        "country",
        "channel",
    ),
    "transactions": ("transaction_id", "customer", "time", "amount", "direction", "category", "merchant"),
    "products": ("customer", "opened", "closed", "duration", "product"),
    "customers": ("customer", "birth", "age", "gender", "income", "tenure", "active", "segment", "country", "channel"),
    "other": ("customer",),
}


@dataclass(frozen=True)
class Table:
    """A table with the roles of its columns: role -> name of the column; ``rivals`` could have played it too."""

    seen: Seen
    kind: TableKind
    roles: dict[Role, str] = field(default_factory=dict)
    rivals: dict[Role, tuple[str, ...]] = field(default_factory=dict)

    def column(self, role: Role) -> Column:
        """Return the column that plays a role."""
        return self.seen.column(self.roles[role])


def plain_name(name: str) -> str:
    """Return a column's name without case, brackets and blanks."""
    return re.sub(r"[^0-9a-z가-힣]+", "_", name.casefold()).strip("_")


def candidates(columns: Iterable[Column], role: Role) -> list[str]:
    """Return the columns that may play a role, the likeliest first."""
    patterns, fits = _PATTERNS[role]
    found: list[tuple[int, str]] = []
    for column in columns:
        if column.kind.name in {"empty", "nested"} or not fits(column):
            continue
        name = plain_name(column.name)
        rank = next((at for at, pattern in enumerate(patterns) if re.search(pattern, name)), None)
        if rank is not None:
            found.append((rank, column.name))
    best = min((rank for rank, _ in found), default=0)
    return [name for rank, name in sorted(found, key=lambda each: each[0]) if rank == best] + [
        name for rank, name in sorted(found, key=lambda each: each[0]) if rank > best
    ]


def understand(tables: Iterable[Seen]) -> list[Table]:
    """Return the tables with what they and their columns stand for; one without names is told by its values."""
    return [_table(seen) for seen in tables]


def _table(seen: Seen) -> Table:
    if all(re.fullmatch(r"column_\d+", column.name) for column in seen.columns):
        return _nameless(seen)
    kind = _kind(seen)
    roles: dict[Role, str] = {}
    rivals: dict[Role, tuple[str, ...]] = {}
    for role in _ROLES_OF[kind]:
        if role == "direction":
            found = [column.name for column in seen.columns if directions(column)]
        else:
            found = candidates(seen.columns, role)
        free = [name for name in found if name not in roles.values()]
        if free:
            roles[role] = free[0]
            if len(free) > 1 and role in {"customer", "time", "amount", "category"}:
                rivals[role] = tuple(free[1:])
    return Table(seen, kind, roles, rivals)


def _kind(seen: Seen) -> TableKind:
    columns = seen.columns
    customer = candidates(columns, "customer")
    if not customer:  # it may reach one by another table
        return "products" if candidates(columns, "opened") and candidates(columns, "product") else "other"
    by_name = {column.name: column for column in columns}
    repeated = not by_name[customer[0]].unique
    flags = sum(column.kind.name == "flag" for column in columns)
    months = [name for name in candidates(columns, "month") if 1 < by_name[name].distinct <= 600]
    if months and repeated and (flags > 2 or not candidates(columns, "amount")):
        return "panel"
    amount, time = candidates(columns, "amount"), candidates(columns, "time")
    if amount and time and (candidates(columns, "transaction_id") or repeated) and not candidates(columns, "closed"):
        durations = [column.name for column in columns if re.search(r"duration|maturity|term", plain_name(column.name))]
        if not durations:
            return "transactions"
    if candidates(columns, "opened") and (candidates(columns, "product") or repeated or amount):
        return "products"
    return "customers" if not repeated else "other"


def _nameless(seen: Seen) -> Table:
    """Return a table without a header as transactions where its values allow one reading of it."""
    dates = [column.name for column in seen.columns if column.kind.name == "date"]
    numbers = [column for column in seen.columns if column.kind.name in {"number", "text"} and column.name not in dates]
    ids = [
        column
        for column in numbers
        if column.kind.whole or (column.kind.name == "text" and 1 < column.distinct < seen.rows)
    ]
    fractions = [column.name for column in numbers if column.kind.name == "number" and not column.kind.whole]
    if not dates or not ids or not fractions:
        return Table(seen, "other")
    customer = max(ids, key=lambda column: column.distinct)
    return Table(seen, "transactions", {"customer": customer.name, "time": dates[0], "amount": fractions[0]})


def directions(column: Column) -> dict[str, str]:
    """Return which words of a column say that money left or came, or nothing where it says no such thing."""
    if column.kind.name != "text" or not 1 < column.distinct <= 12:
        return {}
    found = {}
    for word, _ in column.values:
        plain = plain_name(word)
        if exact := _EXACT_WORDS.get(plain):
            found[word] = exact
        elif any(part in plain for part in _DEBIT):
            found[word] = "debit"
        elif any(part in plain for part in _CREDIT):
            found[word] = "credit"
    return found if set(found.values()) == {"debit", "credit"} and 2 * len(found) >= column.distinct else {}
