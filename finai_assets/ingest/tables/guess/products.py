"""Products of a guessed mapping: flags of a panel, and rows with the day on which a product was opened."""

from __future__ import annotations

import re
from itertools import takewhile
from typing import Any

from finai_assets.ingest.tables.guess.expressions import OTHER, as_flag, code_of, name_of
from finai_assets.ingest.tables.guess.profile import Column
from finai_assets.ingest.tables.guess.roles import Table, plain_name
from finai_assets.ingest.tables.guess.sources import Sources

_CLASSES = (
    ("loan", r"loan|mortgage|credit_line|overdraft|prest|hip|lending|pension_loan|대출"),
    ("card", r"card|tarj|tjcr|카드"),
    ("insurance", r"insur|seguro|life|annuity|보험"),
    ("investment", r"fund|fond|secur|valo|stock|bond|plan|invest|펀드|증권"),
    ("deposit", r"deposit|deco|deme|dela|saving|ahor|예금|적금"),
)
# Which sets of acquisitions the classes of products make up.
_SETS = {
    "deposits": "deposit",
    "investments": "investment",
    "accounts": "account",
    "lending": "loan",
    "payments": "card",
}


class Products:
    """The catalogue and the section ``holdings``, filled table by table."""

    def __init__(self) -> None:
        self.catalogue: list[dict[str, Any]] = []
        self.holdings: dict[str, Any] = {}
        self.closes = False

    def add_flags(self, table: Table, sources: Sources) -> None:
        """Add a product for each flag of a panel that has no other role."""
        flags = [
            column for column in table.seen.columns if _is_flag(column) and column.name not in table.roles.values()
        ]
        if not flags:
            return
        names = [plain_name(column.name) for column in flags]
        shared = _shared_ends(names) if len(names) > 2 else ("", "")
        columns = {}
        for column, name in zip(flags, names, strict=True):
            own = name.removeprefix(shared[0]).removesuffix(shared[1])
            code = self._add(code_of(own), _title(own))
            columns[as_flag(column)] = code
        self.holdings["flags"] = {"columns": columns}
        self.closes = True
        sources.ask(
            ("products",), "are all of these flags products? names, classes and families are guessed from the columns"
        )

    def add_rows(self, table: Table, rows: str, customer: str, sources: Sources) -> None:
        """Add the products of a table in which a row is a product that a customer opened."""
        here = ("tables", "holdings", "rows")
        sources.add(table)
        entry: dict[str, Any] = {"from": rows, "customer": customer}
        if "product" in table.roles:
            column = table.column("product")
            words = {
                value: self._add(code_of(f"{value}_{table.seen.name}"), f"{value} {table.seen.name}")
                for value, _ in column.values
            }
            entry |= {"product": name_of(column.name), "words": words}
        else:
            entry["product"] = f"'{self._add(code_of(table.seen.name), table.seen.name)}'"
        entry["opened"] = sources.column(table, "opened")
        if (closed := sources.column(table, "closed")) is None and (length := sources.column(table, "duration")):
            entry["closed"] = f"{entry['opened']} + to_months(CAST({length} AS INTEGER))"
            self.closes = True
            sources.ask(here, f"{rows}: {table.roles['duration']} is taken as months from the opening: is it?")
        elif closed:
            entry["closed"] = closed
            self.closes = True
            sources.ask(
                here, f"{rows}: is {table.roles['closed']} the first day on which the product is no longer held?"
            )
        else:
            sources.ask(here, f"{rows}: when does a product end? no column says so, so that it is held for ever")
        self.holdings.setdefault("rows", []).append(entry)
        sources.ask(("products",), "names, classes and families are guessed from the words of the tables")

    def sections(self) -> dict[str, Any]:
        """Return ``families``, ``products`` and ``acquisition_sets``."""
        families = list(dict.fromkeys(product["family"] for product in self.catalogue))
        sets = {
            name: [product["code"] for product in self.catalogue if product["product_class"] == kind]
            for name, kind in _SETS.items()
        }
        return {
            "families": families,
            "products": self.catalogue,
            "acquisition_sets": {name: members for name, members in sets.items() if members},
        }

    def _add(self, code: str, name: str) -> str:
        kind = next((kind for kind, pattern in _CLASSES if re.search(pattern, plain_name(name))), "account")
        code = kind if code == OTHER else code  # a name without a Latin letter
        taken = {product["code"] for product in self.catalogue}
        chosen, count = code, 2
        while chosen in taken:
            chosen, count = f"{code}_{count}", count + 1
        self.catalogue.append(
            {"code": chosen, "name": name, "name_ko": name, "family": kind, "product_class": kind, "risk_grade": None}
        )
        return chosen


def _title(name: str) -> str:
    """Return the name of a product from the part of a column's name that is its own."""
    return name.replace("_", " ").strip().capitalize()


def _is_flag(column: Column) -> bool:
    known = {value for value, _ in column.values if value not in column.kind.missing}
    return column.kind.name == "flag" or (
        column.kind.name == "number" and bool(known) and known <= {"0", "1", "0.0", "1.0"}
    )


def _shared_ends(names: list[str]) -> tuple[str, str]:
    """Return what all names begin and end with, up to an underscore."""
    first, last = _shared_start(names), _shared_start([name[::-1] for name in names])[::-1]
    return first[: first.rfind("_") + 1], last[last.find("_") :] if "_" in last else ""


def _shared_start(names: list[str]) -> str:
    return "".join(letters[0] for letters in takewhile(lambda each: len(set(each)) == 1, zip(*names, strict=False)))
