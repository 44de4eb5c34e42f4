"""The sources of a guessed mapping: how each is read, the columns that it computes, and from when on its rows are known."""

from __future__ import annotations

from typing import Any

from finai_assets.ingest.tables.guess.document import Path
from finai_assets.ingest.tables.guess.expressions import as_day, as_number, code_of, name_of
from finai_assets.ingest.tables.guess.profile import Column
from finai_assets.ingest.tables.guess.roles import Role, Table

_OF_NAMELESS: dict[Role, str] = {"customer": "customer_id", "time": "day", "amount": "amount"}
_DATES: tuple[Role, ...] = ("time", "month", "opened", "closed", "birth")
_NUMBERS: tuple[Role, ...] = ("amount", "income", "age", "tenure")
_LATE_CENTURY = 30  # a two-digit year from this on is taken to be of the twentieth century

Questions = dict[Path, list[str]]


class Sources:
    """The sources, filled table by table."""

    def __init__(self, questions: Questions) -> None:
        self.content: dict[str, dict[str, Any]] = {}
        self.questions = questions
        self.computed: dict[tuple[str, Role], str] = {}

    def ask(self, path: Path, question: str) -> None:
        """Record a question about a key."""
        asked = self.questions.setdefault(path, [])
        if question and question not in asked:
            asked.append(question)

    def add(self, table: Table) -> None:
        """Add the source of a table, with computed columns for the dates and numbers that have a role."""
        name, source = table.seen.name, dict(table.seen.source)
        here: Path = ("tables", "sources", name)
        for question in table.seen.questions:
            self.ask(here, question)
        if "columns" in source:
            source["columns"] = [self._renamed(table, column) for column in source["columns"]]
        source |= self._signs(table, here)
        if missing := self._missing(table, here):
            source["missing"] = missing
        if computed := self._computed(table, here):
            source["computed"] = computed
        source |= self._known(table, here)
        if "transaction_id" not in table.roles and table.kind == "customers" and "customer" in table.roles:
            customer = table.column("customer")
            if customer.unique:
                source["key"] = [customer.name]
        self.content[name] = source

    def column(self, table: Table, role: Role) -> str | None:
        """Return the expression that gives a role, or None where no column plays it."""
        if role not in table.roles:
            return None
        return self.computed.get((table.seen.name, role)) or name_of(self._renamed(table, table.roles[role]))

    def _renamed(self, table: Table, column: str) -> str:
        """Return a column's name; one of a file without a header is called by its role."""
        if "columns" not in table.seen.source:
            return column
        role = next((role for role, name in table.roles.items() if name == column), None)
        return _OF_NAMELESS.get(role, column) if role else column

    def _signs(self, table: Table, here: Path) -> dict[str, str]:
        numbers = [column for column in table.seen.columns if column.kind.name == "number" and column.is_text]
        decimals = {column.kind.decimal for column in numbers if not column.kind.whole or column.kind.thousands}
        thousands = {column.kind.thousands for column in numbers if column.kind.thousands}
        if len(decimals) > 1 or len(thousands) > 1:
            self.ask(here, f"columns write numbers in different ways: decimal signs {sorted(decimals)}")
        found = {}
        if decimals == {","}:
            found["decimal"] = ","
        if len(thousands) == 1:
            found["thousands"] = thousands.pop() or ""
        return found

    def _missing(self, table: Table, here: Path) -> dict[str, list[str]]:
        found = {}
        for column in table.seen.columns:
            texts = [text for text in column.kind.missing if text]
            if texts and column.kind.name != "empty":
                found[self._renamed(table, column.name)] = ["", *texts]
            for doubt in (column.kind.question, *column.doubts):
                if doubt and (column.name in table.roles.values() or texts):
                    self.ask((*here, "missing") if texts else here, f"{column.name}: {doubt}")
        return found

    def _computed(self, table: Table, here: Path) -> dict[str, str]:
        found: dict[str, str] = {}
        for role in (*_DATES, *_NUMBERS):
            if role not in table.roles:
                continue
            column = table.column(role)
            expression = self._value(table, role, column, here)
            if expression is None:
                continue
            name = code_of(f"{role}_value" if role in _NUMBERS else f"{role}_day")
            found[name] = expression.replace(name_of(column.name), name_of(self._renamed(table, column.name)))
            self.computed[table.seen.name, role] = name
        return found

    def _value(self, table: Table, role: Role, column: Column, here: Path) -> str | None:
        if role in _NUMBERS:
            return as_number(column) if column.is_text else None
        if column.kind.name == "number" and not column.kind.compact_date:
            self.ask(
                here,
                f"{column.name} looks like a {role} date, but its values are no dates, for example {column.values[0][0]!r}: "
                "write the expression that makes a DATE of it",
            )
            return None
        if column.kind.format is None and not column.kind.compact_date:
            return None  # the source has dates
        century = None
        if column.kind.compact_date or (column.kind.format or "").startswith("%y"):
            years = {int(value.zfill(6)[:2]) for value, _ in column.values if value[:2].isdigit()}
            century = 1900 if role == "birth" or min(years, default=99) >= _LATE_CENTURY else 2000
            if role == "birth" or min(years, default=99) < _LATE_CENTURY <= max(years, default=0):
                self.ask(
                    (*here, "computed"), f"{column.name} has years of two digits: are all of them {century // 100}xx?"
                )
        return as_day(column, century=century)

    def _known(self, table: Table, here: Path) -> dict[str, str]:
        role: Role | None = {"transactions": "time", "panel": "month", "products": "opened"}.get(table.kind)  # type: ignore[assignment]
        if role is not None and (known := self.column(table, role)) is not None:
            return {"known_from": known}
        if table.kind == "customers" and "opened" in table.roles:
            return {"known_from": self.column(table, "opened") or ""}
        self.ask(
            (*here, "static"),
            "since when is a row known? name its date by `known_from`, or say why no row ever changes",
        )
        return {"static": "taken as known from the beginning, as no column of it is a date of delivery"}
