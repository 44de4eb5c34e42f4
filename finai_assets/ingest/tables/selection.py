"""Rows of a view of the sources, and expressions of them as columns of the data contract's types."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from finai_assets.ingest.conform import Violation, Violations
from finai_assets.ingest.tables import language
from finai_assets.ingest.tables.database import INTEGERS, NESTED, POSITION, tried
from finai_assets.ingest.tables.views import MonthViews
from finai_assets.settings.tables import RowsSettings
from finai_resources.errors import ContractError
from finai_resources.sql_text import quoted

_FIX = "correct the values at the source, list what means missing, or leave the rows out by `where`"


class Selection:
    """The rows of customers that a part of the mapping reads.

    Parameters
    ----------
    views : MonthViews
    rows : RowsSettings
        From where, which, and whose.
    where : str
        The part's place in the settings, for errors.

    Raises
    ------
    ConfigError
        An expression is not allowed, or gives no identifier.
    ContractError
        An expression does not fit the rows.
    """

    def __init__(self, views: MonthViews, rows: RowsSettings, where: str) -> None:
        self.views, self.where = views, where
        self.relation = language.relation(rows.from_, where=f"{where}.from", names=views.names)
        views.run(f"DESCRIBE SELECT * FROM {self.relation}", rows.from_, where=f"{where}.from", source=rows.from_)
        self.tables = [name for name in language.tables_of(self.relation) if name in views.tables.sources]
        self.source = " + ".join(views.rows[name].shown for name in self.tables) or rows.from_
        self.condition = "true"
        self._conditions: list[tuple[str, str]] = []
        if rows.where is not None:
            checked = self.checked(rows.where, "where")
            self.condition = f"{tried(checked)}.v"
            self._conditions.append((checked, "where"))
        self.customer = rows.customer

    def checked(self, sql: str, name: str) -> str:
        """Return an expression on these rows as it will run."""
        shown = self.source_of(language.columns_of(language.expression(sql, where=f"{self.where}.{name}")))
        return self.views.bound(sql, self.relation, where=f"{self.where}.{name}", source=shown)

    def source_of(self, columns: list[str]) -> str:
        """Return how errors name the source of some columns: the one that has them all, else all that are joined."""
        for name in self.tables:
            if columns and set(columns) <= set(self.views.columns(quoted(name))):
                return self.views.rows[name].shown
        return self.source

    def kind(self, checked: str) -> str:
        """Return the type of a checked expression."""
        return self.views.kind(checked, self.relation)

    def value(self, sql: str, name: str, kind: pa.DataType) -> str:
        """Return an expression converted to the type of a column of the contract; what does not fit is refused by row.

        Raises
        ------
        ContractError
            The expression gives a nested value.
        """
        checked = self.checked(sql, name)
        found, t = self.kind(checked), pa.types
        if found.startswith(NESTED) or found.endswith("]"):
            columns = language.columns_of(checked)
            raise ContractError(
                f"wrong type {found}, not {kind}: {self.where}.{name} is no single value",
                where=f"{self.source_of(columns)}, column {', '.join(columns)}",
                fix="name the part of it that is meant, as column.part",
            )
        if t.is_timestamp(kind) or t.is_date(kind):
            local = self.views.local_time(checked, self.relation, where=f"{self.where}.{name}")
            return f"CAST({local} AS DATE)" if t.is_date(kind) else local
        if t.is_boolean(kind):
            return f"flag({checked})" if found == "VARCHAR" else f"CAST({checked} AS BOOLEAN)"
        if t.is_integer(kind):
            number = self._number(checked) if found == "VARCHAR" else checked
            whole = number if found in INTEGERS | {"BOOLEAN"} else f"whole_number({number})"
            return f"CAST({whole} AS {_INTEGER[kind.bit_width]})"
        if t.is_floating(kind):
            return self._number(checked) if found == "VARCHAR" else f"CAST({checked} AS DOUBLE)"
        return f"CAST({checked} AS VARCHAR)"

    def _number(self, checked: str) -> str:
        """Return a text as a number, by the signs of the one source that its columns are of."""
        columns = set(language.columns_of(checked))
        own = [name for name in self.tables if columns and columns <= set(self.views.columns(quoted(name)))]
        return f"{quoted(f'number_{own[0]}' if own else 'number')}({checked})"

    def identifier(self, sql: str, name: str) -> str:
        """Return an identifier as the whole text of an expression.

        Raises
        ------
        ContractError
            The expression gives a floating number, which does not keep every digit, or a nested value.
        """
        checked = self.checked(sql, name)
        found = self.kind(checked)
        whole = found in INTEGERS | {"VARCHAR", "UUID", '"NULL"'} or (
            found.startswith("DECIMAL") and found.endswith(",0)")
        )
        if not whole:
            columns = language.columns_of(checked)
            raise ContractError(
                f"wrong type {found} of an identifier: {self.where}.{name} has to be a whole number or a text",
                where=f"{self.source_of(columns)}, column {', '.join(columns)}",
                fix="store it as text or as a whole number at the source: a floating number loses digits from the 16th on",
            )
        return f"CAST({checked} AS VARCHAR)"

    def stage(
        self,
        table: str,
        values: Mapping[str, str],
        out: Violations,
        *,
        within: str = "true",
        required: tuple[str, ...] = (),
    ) -> str:
        """Store the values of the rows as a table of structs, null where one cannot be read, and count what is wrong.

        Parameters
        ----------
        values
            Columns of the table, as expressions that :meth:`value` or :meth:`identifier` gave.
        within
            An SQL condition that the rows meet too.
        required
            Columns that may not be null.

        Returns
        -------
        str
            The table's name as SQL.
        """
        name = f"mapped.{quoted(table)}"
        names = [row[0] for row in self.views.db.execute(f"DESCRIBE SELECT * FROM {self.relation}").fetchall()]
        numbered = names.count(POSITION) == 1 and f"{POSITION}_1" not in names
        position = POSITION if numbered else f"CAST(NULL AS BIGINT) AS {POSITION}"
        columns = {"identifier": self.identifier(self.customer, "customer"), **values}
        rows = f"FROM {self.relation} WHERE {self.condition} AND {within}"
        listed = ", ".join(f"{tried(sql)} AS {quoted(column)}" for column, sql in columns.items())
        self.views.run(
            f"CREATE TABLE {name} AS SELECT {position}, {listed} {rows}", name, where=self.where, source=self.source
        )
        for checked, part in self._conditions:
            where = f"{self.where}.{part}"
            self.views.unreadable(
                out, checked, self.relation, f"{tried(checked)} IS NULL", where=where, source=self.source
            )
        sums = ", ".join(f"count(*) - count({quoted(c)}), count({quoted(c)}) - count({quoted(c)}.v)" for c in columns)
        counts = self.views.one(f"SELECT {sums} FROM {name}")
        for (column, sql), unread, absent in zip(columns.items(), counts[::2], counts[1::2], strict=True):
            named = language.columns_of(sql)
            shown = self.source_of(named)
            if unread:
                broken = f"{self.condition} AND {within} AND {tried(sql)} IS NULL"
                self.views.unreadable(out, sql, self.relation, broken, where=f"{self.where}.{column}", source=shown)
            if absent and column in required:
                broken = f"{self.condition} AND {within} AND {tried(sql)} IS NOT NULL AND {tried(sql)}.v IS NULL"
                self.broken(out, sql, broken, f"{self.where}.{column}: null in a required column", _FIX)
        blank = "identifier.v IS NULL OR trim(identifier.v) = '' OR contains(identifier.v, chr(0))"
        if self.views.one(f"SELECT count(*) FROM {name} WHERE {blank}")[0]:
            text = columns["identifier"]
            again = f"{tried(text)}.v IS NULL OR trim({tried(text)}.v) = '' OR contains({tried(text)}.v, chr(0))"
            rule = f"{self.where}.customer: an identifier that is missing, blank, or holds a NUL"
            self.broken(out, text, f"{self.condition} AND {within} AND ({again})", rule, _FIX)
        return name

    def broken(self, out: Violations, sql: str, condition: str, rule: str, fix: str) -> None:
        """Count the rows in which a condition is true; the columns of an expression are shown."""
        named = language.columns_of(sql)
        violation = Violation(self.source_of(named), ", ".join(named) or self.where, rule, fix)
        self.views.count(out, violation, self.relation, condition, named)


_INTEGER = {8: "TINYINT", 16: "SMALLINT", 32: "INTEGER", 64: "BIGINT"}
