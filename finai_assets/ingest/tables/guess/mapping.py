"""The mapping of understood tables onto the contract: snapshots, transactions, holdings, categories."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from finai_assets.ingest.tables.guess.document import Path
from finai_assets.ingest.tables.guess.expressions import OTHER, as_flag, has_time, name_of
from finai_assets.ingest.tables.guess.joins import Join, path_to, strange
from finai_assets.ingest.tables.guess.products import Products
from finai_assets.ingest.tables.guess.profile import Column
from finai_assets.ingest.tables.guess.roles import Role, Table, directions, plain_name
from finai_assets.ingest.tables.guess.sources import Sources
from finai_resources.errors import ConfigError
from finai_resources.sql_text import literal

_OF_SNAPSHOT: tuple[Role, ...] = ("age", "income", "tenure", "active", "gender", "segment", "country", "channel")
_NAMES = {"tenure": "tenure_months", "active": "is_active"}
_MOST_CODES = 1_500
_FEW_NEGATIVE = (
    0.2  # a share of negative amounts below it is that of refunds in a file of payments, not of an account's outflows
)


@dataclass
class Mapped:
    """The section ``tables``, and what follows from it for the other sections."""

    section: dict[str, Any]
    sources: Sources
    products: Products
    mapped: set[str] = field(default_factory=set)  # columns of the snapshots, and parts of transactions
    segments: list[str] = field(default_factory=list)
    derived: dict[str, str] = field(default_factory=dict)
    categories: int = 0
    l1_categories: int = 0

    def ask(self, path: Path, question: str) -> None:
        """Record a question about a key."""
        self.sources.ask(path, question)


def map_tables(tables: Sequence[Table], bounds: Sequence[float], found: Mapped) -> Table:
    """Fill the section from tables; return the one that tells the months.

    Parameters
    ----------
    bounds
        Ascending bounds of classes of amounts, for categories where no column gives any.

    Raises
    ------
    ConfigError
        No table has a customer and either transactions or months.
    """
    transactions = max((t for t in tables if t.kind == "transactions"), key=lambda t: t.seen.rows, default=None)
    panel = max((t for t in tables if t.kind == "panel"), key=lambda t: t.seen.rows, default=None)
    base = panel or transactions
    if base is None:
        seen = "; ".join(f"{t.seen.name}: {', '.join(c.name for c in t.seen.columns[:12])}" for t in tables)
        raise ConfigError(
            f"no table was recognised as transactions (a customer, a date, an amount) or as customers by month ({seen})",
            where="finai init",
            fix="name the file that holds them, or write the data set's YAML by hand (docs/datasets.md)",
        )
    identifier = base.column("customer")
    key = identifier.name
    used = {base.seen.name}
    if transactions is not None:
        used.add(transactions.seen.name)
        _transactions(transactions, bounds, found)
    if panel is not None:
        _panel(panel, found)
    else:
        used |= _customers(tables, base, identifier, found)
    for table in tables:
        if (
            table.kind == "products"
            and table.seen.name not in used
            and (way := path_to(table.seen, identifier, _seen(tables)))
        ):
            used |= {table.seen.name, *(name for name, _ in way.by)}
            rows = _query(table, way, key, found) if way.by else table.seen.name
            found.products.add_rows(table, rows, name_of(key), found.sources)
    for table in tables:
        if table.seen.name in used:
            found.sources.add(table) if table.seen.name not in found.sources.content else None
        else:
            found.ask(("tables", "sources"), _why_unused(table, base, identifier))
    if rivals := base.rivals.get("customer"):
        found.ask(("tables", "snapshots", "customer"), f"is a customer one {key}? {', '.join(rivals)} could be it too")
    return base


def _why_unused(table: Table, base: Table, key: Column) -> str:
    unlike = [column for column in table.seen.columns if column.name == key.name and strange(column, key)]
    if unlike:
        return (
            f"{table.seen.name} is not used: its {key.name} has values such as {unlike[0].values[0][0]!r}, that of "
            f"{base.seen.name} such as {key.values[0][0]!r}. Compute one from the other under `computed`"
        )
    return f"{table.seen.name} ({table.seen.rows:,} rows) is not used: what does it tell?"


def _seen(tables: Sequence[Table]) -> list[Any]:
    return [table.seen for table in tables]


def _transactions(table: Table, bounds: Sequence[float], found: Mapped) -> None:
    found.sources.add(table)
    here: Path = ("tables", "transactions")
    amount = found.sources.column(table, "amount") or ""
    rows: dict[str, Any] = {
        "from": table.seen.name,
        "customer": found.sources.column(table, "customer"),
        "ts": found.sources.column(table, "time"),
        "amount": amount,
    }
    column = table.column("amount")
    if "direction" in table.roles:
        words = directions(table.column("direction"))
        signed = column.negative > 0
        rows["debit"] = {
            "column": name_of(table.roles["direction"]),
            "words": [word for word, way in words.items() if way == "debit"],
            "credit": [word for word, way in words.items() if way == "credit"],
            "sign": "signed" if signed else "unsigned",
        }
        unknown = [word for word, _ in table.column("direction").values if word not in words]
        if unknown:
            found.ask((*here, "debit"), f"which way does money go at {', '.join(map(repr, unknown[:5]))}?")
    elif column.negative < _FEW_NEGATIVE:
        found.ask(
            (*here, "amount"),
            f"{column.negative:.1%} of the amounts are negative, as refunds among payments are; payments have to be negative "
            "here, so that the sign is turned: is it so?"
            if column.negative
            else "no amount is negative and no column says which way money went: are all of them payments?",
        )
        rows["amount"] = f"-{amount}"
    rows["category"] = _categories(table, amount, bounds, found)
    if merchant := found.sources.column(table, "merchant"):
        rows["merchant"] = merchant
        found.mapped.add("merchants")
    time = table.column("time")
    if has_time(time.kind) or time.type.startswith("TIMESTAMP"):
        found.mapped.add("time_of_day")
    if identity := found.sources.column(table, "transaction_id"):
        rows["id"] = identity
    else:
        rows |= {"id": None, "id_absent": "no column of the table identifies a transaction"}
        found.ask(
            (*here, "id"), "no column has another value in every row, so that a row delivered twice cannot be told"
        )
    for role, names in table.rivals.items():
        if role in {"time", "amount", "category"}:
            found.ask((*here, "ts" if role == "time" else role), f"{', '.join(names)} could be the {role} too")
    found.section["transactions"] = rows


def _categories(table: Table, amount: str, bounds: Sequence[float], found: Mapped) -> str:
    """Fill the tree of categories, and return the expression that gives a transaction's."""
    if "category" not in table.roles:
        texts = [f"under_{bound:g}" for bound in bounds] + [f"from_{bounds[-1]:g}"]
        cases = " ".join(
            f"WHEN abs({amount}) < {bound:g} THEN {literal(text)}" for bound, text in zip(bounds, texts, strict=False)
        )
        half = (len(texts) + 1) // 2
        codes = {
            text: {"name": text.replace("_", " "), "l2": text, "l1": "small" if at < half else "large"}
            for at, text in enumerate(texts)
        }
        found.derived["categories"] = "classes of the amount, as the table has no category"
        found.section["categories"] = {"codes": codes, "unknown": "error"}
        found.categories, found.l1_categories = len(codes), 2 if len(codes) > 1 else 1
        return f"CASE {cases} ELSE {literal(texts[-1])} END"
    column = table.column("category")
    name = name_of(column.name)
    values = [value for value, _ in column.values][:_MOST_CODES]
    numbers = all(value.isdigit() and int(value) > 0 for value in values)
    leaves: dict[int | str, dict[str, str]] = {
        int(value) if numbers else value: _leaf(value, numbers=numbers) for value in sorted(values)
    }
    expression = name if column.is_text or numbers else f"CAST({name} AS VARCHAR)"
    if column.nulls or "" in values:
        leaves.pop("", None)
        leaves["none"] = {"name": "none", "l2": "none", "l1": "none"}
        expression = f"coalesce(nullif({expression}, ''), 'none')"
    found.ask(
        ("tables", "categories"), "what stands above each category? l2 and l1 are only placeholders, by its own name"
    )
    if column.distinct > len(values):
        found.ask(("tables", "categories"), f"{column.distinct - len(values):,} more categories are not listed")
    found.section["categories"] = {"codes": leaves, "unknown": "error"}
    found.mapped.add("categories")
    found.categories, found.l1_categories = len(leaves), len({leaf["l1"] for leaf in leaves.values()})
    return expression


def _leaf(value: str, *, numbers: bool) -> dict[str, str]:
    """Return the place of a category in the tree: below the first digits of a number, or by itself."""
    if numbers:
        return {"name": value, "l2": f"group_{value[:2]}", "l1": f"group_{value[:1]}"}
    return {"name": value, "l2": plain_name(value) or OTHER, "l1": plain_name(value) or OTHER}


def _panel(table: Table, found: Mapped) -> None:
    found.sources.add(table)
    found.section["snapshots"] = {
        "from": table.seen.name,
        "customer": found.sources.column(table, "customer"),
        "month": found.sources.column(table, "month"),
        "columns": _attributes(table, found),
    }
    found.products.add_flags(table, found.sources)
    _protected(table, found)


def _customers(tables: Sequence[Table], base: Table, identifier: Column, found: Mapped) -> set[str]:
    """Fill the snapshots from tables of customers, or from the transactions alone; return the tables that were used."""
    customer = found.sources.column(base, "customer") or ""
    queries = found.section.setdefault("queries", {})
    queries["first_seen"] = (
        f"SELECT {customer} AS customer, min({found.sources.column(base, 'time')}) AS first_day "
        f"FROM {base.seen.name} GROUP BY 1"
    )
    key = identifier.name
    joined, used = ["first_seen"], set()
    columns: dict[str, str] = {}
    for table in tables:
        way = path_to(table.seen, identifier, _seen(tables)) if table.kind in {"customers", "products"} else None
        if way is None or table is base or not _attributes_of(table):
            continue
        found.sources.add(table)
        used |= {table.seen.name, *(name for name, _ in way.by)}
        rows = _query(table, way, key, found) if way.by else table.seen.name
        attributes = _attributes(table, found, prefix=f"{rows}.")
        columns |= {name: text for name, text in attributes.items() if name not in columns}
        joined.append(f"LEFT JOIN {rows} ON {rows}.{name_of(key)} = first_seen.customer")
        _protected(table, found, prefix=f"{rows}.")
    columns.setdefault("tenure_months", "date_diff('month', first_seen.first_day, month_start())")
    found.mapped.add("tenure_months")
    found.section["snapshots"] = {"from": " ".join(joined), "customer": "first_seen.customer", "columns": columns}
    found.ask(
        ("tables", "snapshots"),
        "a customer is there from the first transaction on: does a table say from when, and to when?",
    )
    return used


def _attributes_of(table: Table) -> set[Role]:
    """Return the roles of a table that tell something of a customer; a birth that is no date tells nothing yet."""
    roles = set(table.roles) & {"birth", *_OF_SNAPSHOT}
    if "birth" in roles and table.column("birth").kind.name != "date" and not table.column("birth").kind.compact_date:
        roles.discard("birth")
    return roles


def _query(table: Table, way: Join, key: str, found: Mapped) -> str:
    """Add the query that joins a table to the customer's identifier, and return its name."""
    name = f"{table.seen.name}_of_customer"
    text = f"SELECT {table.seen.name}.*, {way.by[-1][0]}.{name_of(key)} FROM {table.seen.name}"
    for other, column in way.by:
        text += f" JOIN {other} USING ({name_of(column)})"
    found.section.setdefault("queries", {})[name] = text
    if not way.one_to_one:
        found.ask(
            ("tables", "queries", name),
            f"one row of {table.seen.name} may belong to several customers, or several rows to one: which one counts?",
        )
    return name


def _attributes(table: Table, found: Mapped, prefix: str = "") -> dict[str, str]:
    """Return the expressions of the columns of the snapshots that a table gives."""
    columns: dict[str, str] = {}
    if (born := found.sources.computed.get((table.seen.name, "birth"))) or (
        "birth" in table.roles and table.column("birth").type.startswith("DATE")
    ):
        columns["age"] = f"date_sub('year', {prefix}{born or name_of(table.roles['birth'])}, cutoff() - INTERVAL 1 DAY)"
    for role in _OF_SNAPSHOT:
        expression = found.sources.column(table, role)
        name = _NAMES.get(role, role)
        if expression is None or name in columns:
            continue
        column = table.column(role)
        if role == "active":
            expression = as_flag(column) if column.kind.name == "flag" else f"{expression} = 1"
        elif role in {"gender", "segment", "country", "channel"} and not column.is_text:
            expression = f"CAST({prefix}{expression} AS VARCHAR)"
        columns[name] = f"{prefix}{expression}" if "(" not in expression else expression
        if role == "segment":
            found.segments = sorted(value for value, _ in column.values if value not in column.kind.missing)
            found.ask(("dataset", "segments"), "in ascending order of value?")
    if "age" not in columns and "birth" in table.roles:
        found.ask(
            ("tables", "snapshots"), f"{table.seen.name}.{table.roles['birth']} tells the age: write the expression"
        )
    found.mapped |= set(columns)
    return columns


def _protected(table: Table, found: Mapped, prefix: str = "") -> None:
    if (gender := found.sources.column(table, "gender")) is not None:
        found.section.setdefault("protected", {"columns": {}})["columns"]["gender"] = f"{prefix}{gender}"
