"""One month of a bank's own tables as the raw tables of the contract: what is wrong with it first, then its rows in order.

Everything is computed from the views of the month, so that nothing known at or after its cutoff can reach it; every table is
sorted by its key and then by its values, so that the order of the source's rows does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from finai_assets.ingest.adapter import MonthTables, Piece
from finai_assets.ingest.conform import Violation, Violations
from finai_assets.ingest.contract import (
    OTHER_MCC,
    SNAPSHOTS,
    TRANSACTIONS,
    TableContract,
    offer_contracts,
    protected_contract,
)
from finai_assets.ingest.pseudonym import pseudonymise
from finai_assets.ingest.tables.database import POSITION, tried
from finai_assets.ingest.tables.language import columns_of
from finai_assets.ingest.tables.selection import Selection
from finai_assets.ingest.tables.views import MonthViews, check_sources
from finai_assets.settings import Settings
from finai_assets.settings.tables import DebitSettings, HoldingRows, OfferRows, SnapshotRows, TransactionRows
from finai_resources.months import Month
from finai_resources.sql_text import literal, quoted

_BATCH = (
    1 << 16
)  # rows of a piece; a multiple of DuckDB's vectors of 2,048, so that pieces have the same rows everywhere


class MonthMapping:
    """The tables of one month.

    Parameters
    ----------
    views : MonthViews
        The sources as known at the month's cutoff.
    settings : Settings
    categories : Arrow table of ``code`` string, ``mcc`` int32
    key : bytes
        Pseudonym key.
    out : Violations
        Takes what is wrong; when it has something, :meth:`tables` must not be stored.
    """

    def __init__(
        self, views: MonthViews, settings: Settings, categories: pa.Table, key: bytes, month: Month, out: Violations
    ) -> None:
        self.views, self.settings, self.month, self.key, self.out = views, settings, month, key, out
        self.mapping = views.tables
        self.sources: dict[str, str] = {}
        self.figures: dict[str, dict[str, Any]] = {}
        check_sources(views, out)
        self._store("categories", categories)
        self._store("products", _products(settings))
        self._snapshots(self.mapping.snapshots)
        if self.mapping.transactions is not None:
            self._transactions(self.mapping.transactions)
        self._holdings()

    def tables(self) -> MonthTables:
        """Return the month as streams of pieces, sorted as the contract asks."""
        mapping = self.mapping
        offers = {
            contract.name: self._stream(contract.name, self._offer(contract, rows))
            for contract in offer_contracts(self.settings)
            if (rows := getattr(mapping, contract.name)) is not None
        }
        return MonthTables(
            snapshots=self._stream("snapshots", self._snapshots_sql()),
            transactions=None
            if mapping.transactions is None
            else self._stream("transactions", self._transactions_sql()),
            protected=None if mapping.protected is None else self._stream("protected", self._protected_sql()),
            figures=self.figures,
            **offers,
        )

    # ---- customers

    def _snapshots(self, rows: SnapshotRows) -> None:
        chosen = Selection(self.views, rows, "tables.snapshots")
        within = "true"
        if rows.month is not None:
            checked = chosen.checked(rows.month, "month")
            local = self.views.local_time(checked, chosen.relation, where="tables.snapshots.month")
            chosen.broken(
                self.out, checked, f"{tried(local)} IS NULL", "tables.snapshots.month: not a date", "correct the dates"
            )
            within = f"date_trunc('month', {tried(local)}.v) = month_start()"
        values: dict[str, str] = {
            name: chosen.value(sql, f"columns.{name}", SNAPSHOTS.field(name).type) for name, sql in rows.columns.items()
        }
        if (protected := self.mapping.protected) is not None:
            values |= {
                f"protected {name}": chosen.value(sql, name, pa.string()) for name, sql in protected.columns.items()
            }
        if (flags := self.mapping.holdings.flags) is not None:
            values |= {
                f"held {code}": chosen.value(sql, f"holdings.flags.columns.{code}", pa.bool_())
                for sql, code in flags.columns.items()
            }
        self.sources["snapshots"] = self.sources["protected"] = chosen.source
        stage = chosen.stage("stage snapshots", values, self.out, within=within)
        found = self._column(f"SELECT DISTINCT identifier.v FROM {stage} WHERE identifier.v IS NOT NULL ORDER BY 1")
        tokens = pa.table({"identifier": pa.array(found, pa.string()), "token": pseudonymise(found, self.key)})
        self._store("tokens", tokens)

    def _snapshots_sql(self) -> str:
        mapped = self.mapping.snapshots.columns
        names = [name for name in SNAPSHOTS.names if name not in {"customer_id", "snapshot_month", "held"}]
        absent = {name: f"CAST(NULL AS {_SQL[str(SNAPSHOTS.field(name).type)]})" for name in names}
        listed = ", ".join(
            f"{f'{quoted(name)}.v' if name in mapped else absent[name]} AS {quoted(name)}" for name in names
        )
        return (
            f"SELECT token AS customer_id, month_start() AS snapshot_month, {listed}, "
            "coalesce(h.held, CAST([] AS SMALLINT[])) AS held "
            'FROM mapped."stage snapshots" s JOIN mapped.tokens ON s.identifier.v = tokens.identifier '
            "LEFT JOIN mapped.held h ON h.identifier = tokens.identifier ORDER BY ALL"
        )

    def _protected_sql(self) -> str:
        names = list(self.mapping.protected.columns) if self.mapping.protected else []
        listed = ", ".join(f"{quoted(f'protected {name}')}.v AS {quoted(name)}" for name in names)
        joined = 'mapped."stage snapshots" s JOIN mapped.tokens ON s.identifier.v = tokens.identifier'
        return f"SELECT token AS customer_id, {listed} FROM {joined} ORDER BY ALL"

    # ---- transactions

    def _transactions(self, rows: TransactionRows) -> None:
        chosen = Selection(self.views, rows, "tables.transactions")
        ts = chosen.value(rows.ts, "ts", pa.timestamp("us"))
        chosen.broken(
            self.out,
            ts,
            f"{chosen.condition} AND {tried(ts)} IS NULL",
            "tables.transactions.ts: not a time",
            "correct the times",
        )
        chosen.broken(
            self.out,
            ts,
            f"{chosen.condition} AND {tried(ts)} IS NOT NULL AND {tried(ts)}.v IS NULL",
            "tables.transactions.ts: a transaction without a time",
            "deliver the time, or leave the row out by `where`",
        )
        amount = chosen.value(rows.amount, "amount", pa.float64())
        self._history(chosen, rows, ts, amount)
        if rows.debit is not None:
            self._debit(chosen, rows.debit, amount, _within(ts))
        merchant = None if rows.merchant is None else chosen.identifier(rows.merchant, "merchant")
        values = {
            "ts": ts,
            "amount": _signed(chosen, rows, amount),
            "category": f"CAST({chosen.checked(rows.category, 'category')} AS VARCHAR)",
            "merchant": merchant or "CAST(NULL AS VARCHAR)",
            "id": "CAST(NULL AS VARCHAR)" if rows.id is None else chosen.identifier(rows.id, "id"),
            "order": "0" if rows.order is None else chosen.checked(rows.order, "order"),
        }
        required = ("amount", *(() if rows.id is None or rows.id_absent is not None else ("id",)))
        self.sources["transactions"] = chosen.source
        stage = chosen.stage("stage transactions", values, self.out, within=_within(ts), required=required)
        if rows.id is not None:
            self._once(chosen, stage, rows.id, values["id"], ts)
        self._unknown_customers(chosen, stage, rows)
        self._unknown_categories(chosen, stage, rows)
        self._merchants(chosen, stage, rows)

    def _history(self, chosen: Selection, rows: TransactionRows, ts: str, amount: str) -> None:
        """Make the view of every transaction until the cutoff, with the columns that holdings may name."""
        values = {
            "identifier": chosen.identifier(rows.customer, "customer"),
            "ts": ts,
            "amount": _signed(chosen, rows, amount),
            "category": chosen.checked(rows.category, "category"),
            "merchant": "NULL" if rows.merchant is None else chosen.checked(rows.merchant, "merchant"),
        }
        listed = ", ".join(f"{tried(sql)}.v AS {name}" for name, sql in values.items())
        self.views.db.execute(
            f"CREATE VIEW mapped.transactions AS SELECT * FROM (SELECT {listed} FROM {chosen.relation} "
            f"WHERE {chosen.condition}) WHERE ts < cutoff()"
        )

    def _debit(self, chosen: Selection, debit: DebitSettings, amount: str, within: str) -> None:
        """Count words that are neither a debit's nor a credit's, and amounts whose sign contradicts them."""
        word = f"CAST({chosen.checked(debit.column, 'debit.column')} AS VARCHAR)"
        where = f"{chosen.condition} AND {within}"
        known = ", ".join(map(literal, (*debit.words, *debit.credit)))
        rule = f"unknown word: neither a debit ({', '.join(debit.words)}) nor a credit ({', '.join(debit.credit)})"
        fix = "add the word to tables.transactions.debit.words or .credit"
        chosen.broken(self.out, word, f"{where} AND coalesce({word} NOT IN ({known}), true)", rule, fix)
        value = f"{tried(amount)}.v"
        if debit.sign == "unsigned":
            wrong, rule = (
                f"{value} < 0",
                "a sign beside the words for debit and credit, which contradicts them or counts twice",
            )
            fix = "set tables.transactions.debit.sign: signed where amounts carry the sign too, or correct the amounts"
        else:
            is_debit = f"{word} IN ({', '.join(map(literal, debit.words))})"
            wrong = f"CASE WHEN {is_debit} THEN {value} > 0 ELSE {value} < 0 END"
            rule, fix = "the sign of the amount contradicts the word", "correct the rows at the source"
        both = f"({amount} IS NULL OR {word} IS NULL)"  # names the columns of both, for the examples
        chosen.broken(self.out, both, f"{where} AND {wrong}", rule, fix)

    def _once(self, chosen: Selection, stage: str, sql: str, checked: str, ts: str) -> None:
        """Count transactions whose identity another one has, of this month or of an earlier one."""
        columns = columns_of(checked)
        rule, fix = (
            "transactions with the same id",
            "deliver each transaction once, or map the id that tells them apart",
        )
        violation = Violation(chosen.source_of(columns), ", ".join(columns) or "id", rule, fix)
        flat = f"(SELECT {POSITION}, id.v AS id, ts.v AS ts, amount.v AS amount FROM {stage} WHERE id.v IS NOT NULL)"
        numbered = (
            f"(SELECT *, row_number() OVER (PARTITION BY id ORDER BY ts, {POSITION}, amount) AS again FROM {flat})"
        )
        self.views.count(self.out, violation, numbered, "again > 1", ["id", "ts", "amount"])
        before = f"SELECT {tried(checked)}.v FROM {chosen.relation} WHERE {chosen.condition} AND {tried(ts)}.v < month_start()"
        self.views.count(self.out, violation, flat, f"id IN ({before})", ["id", "ts", "amount"])

    def _unknown_customers(self, chosen: Selection, stage: str, rows: TransactionRows) -> None:
        lost = "identifier NOT IN (SELECT identifier FROM mapped.tokens)"
        flat = f"(SELECT {POSITION}, identifier.v AS identifier FROM {stage} WHERE identifier.v IS NOT NULL)"
        if rows.unknown_customer == "leave_out":
            self._share("transactions", "share_of_unknown_customers", flat, lost)
            return
        columns = columns_of(rows.customer)
        violation = Violation(
            chosen.source_of(columns),
            ", ".join(columns),
            "transaction of a customer who is not in the month's snapshot",
            "deliver the customer's row, or set tables.transactions.unknown_customer: leave_out",
        )
        self.views.count(self.out, violation, flat, lost, ["identifier"])

    def _unknown_categories(self, chosen: Selection, stage: str, rows: TransactionRows) -> None:
        """Refuse categories that the tree lacks, or report their share; a month of nothing else is refused in any case."""
        tree = self.mapping.categories
        named = columns_of(rows.category)
        flat = f"(SELECT {POSITION}, category.v AS category FROM {stage} WHERE category IS NOT NULL)"
        unknown = "coalesce(category NOT IN (SELECT code FROM mapped.categories), true)"
        share = 0.0
        if tree is not None and tree.unknown == "other":
            share = self._share("transactions", "share_of_unknown_categories", flat, unknown)
        if tree is None or tree.unknown == "error" or share == 1.0:
            rule = "unknown category" if share < 1.0 else "unknown category, in every transaction of the month"
            fix = "add the categories to tables.categories, or set tables.categories.unknown: other where they are few"
            violation = Violation(chosen.source_of(named), ", ".join(named) or "category", rule, fix)
            self.views.count(self.out, violation, flat, unknown, ["category"])

    def _merchants(self, chosen: Selection, stage: str, rows: TransactionRows) -> None:
        """Store the number of each merchant: its own where it is a number, else a token of its whole text."""
        kind = "" if rows.merchant is None else chosen.kind(chosen.checked(rows.merchant, "merchant"))
        found = self._column(f"SELECT DISTINCT merchant.v FROM {stage} WHERE merchant.v IS NOT NULL ORDER BY 1")
        number = kind in {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "USMALLINT", "UINTEGER", "UTINYINT"}
        ids = (
            [int(each) for each in found] if number else pseudonymise((f"merchant:{each}" for each in found), self.key)
        )
        self._store("merchants", pa.table({"merchant": pa.array(found, pa.string()), "id": pa.array(ids, pa.int64())}))

    def _transactions_sql(self) -> str:
        return (
            f"SELECT token AS customer_id, ts.v AS ts, amount.v AS amount, coalesce(mcc, {OTHER_MCC}) AS mcc, "
            'merchants.id AS merchant_id FROM mapped."stage transactions" s '
            "JOIN mapped.tokens ON s.identifier.v = tokens.identifier "
            "LEFT JOIN mapped.categories ON s.category.v = categories.code "
            "LEFT JOIN mapped.merchants ON s.merchant.v = merchants.merchant "
            'ORDER BY token, s.ts.v, s."order".v, s.id.v, s.amount.v, mcc, merchants.id'
        )

    # ---- holdings

    def _holdings(self) -> None:
        holdings, found = self.mapping.holdings, []
        if holdings.flags is not None:
            found += [
                f'SELECT identifier.v AS identifier, {self._product(code)} AS product_id FROM mapped."stage snapshots" '
                f"WHERE {quoted(f'held {code}')}.v"
                for code in holdings.flags.columns.values()
            ]
        found += [self._held_rows(index, rows) for index, rows in enumerate(holdings.rows)]
        for code, sql in holdings.derived.items():
            where = f"tables.holdings.derived.{code}"
            checked = self.views.bound(sql, "mapped.transactions", where=where, source="the mapped transactions")
            self.views.unreadable(
                self.out,
                checked,
                "mapped.transactions",
                f"{tried(checked)} IS NULL",
                where=where,
                source="transactions",
            )
            found.append(f"SELECT identifier, {self._product(code)} FROM mapped.transactions WHERE {tried(checked)}.v")
        empty = "SELECT CAST(NULL AS VARCHAR) AS identifier, CAST(NULL AS SMALLINT) AS product_id WHERE false"
        self.views.db.execute(
            "CREATE TABLE mapped.held AS SELECT identifier, list(DISTINCT product_id ORDER BY product_id) AS held "
            f"FROM ({' UNION ALL '.join([empty, *found])}) GROUP BY identifier"
        )

    def _product(self, code: str) -> str:
        return f"CAST({self.settings.product_ids[code]} AS SMALLINT)"

    def _held_rows(self, index: int, rows: HoldingRows) -> str:
        where = f"tables.holdings.rows.{index}"
        chosen = Selection(self.views, rows, where)
        product = f"CAST({chosen.checked(rows.product, 'product')} AS VARCHAR)"
        values = {
            "product": product,
            "opened": chosen.value(rows.opened, "opened", pa.timestamp("us")),
            "closed": "CAST(NULL AS TIMESTAMP)"
            if rows.closed is None
            else chosen.value(rows.closed, "closed", pa.timestamp("us")),
        }
        stage = chosen.stage(f"stage holdings {index}", values, self.out, required=("product", "opened"))
        words = (
            list((rows.words or {}).items()) if rows.words is not None else [(c, c) for c in self.settings.product_ids]
        )
        ids = [self.settings.product_ids[code] for _, code in words]
        table = self._store(
            f"words {index}",
            pa.table(
                {"word": pa.array([word for word, _ in words], pa.string()), "product_id": pa.array(ids, pa.int16())}
            ),
        )
        unknown = f"product IS NOT NULL AND product NOT IN (SELECT word FROM {table})"
        named = columns_of(product)
        rule = f"unknown word for a product: known are {', '.join(word for word, _ in words)}"
        fix = f"add the word to {where}.words with the product's code, or leave its rows out by `where`"
        violation = Violation(chosen.source_of(named), ", ".join(named) or "product", rule, fix)
        self.views.count(
            self.out, violation, f"(SELECT {POSITION}, product.v AS product FROM {stage})", unknown, ["product"]
        )
        return (
            f"SELECT s.identifier.v, w.product_id FROM {stage} s JOIN {table} w ON s.product.v = w.word "
            "WHERE s.opened.v < cutoff() AND (s.closed.v IS NULL OR s.closed.v >= cutoff())"
        )

    # ---- tables for offering

    def _offer(self, contract: TableContract, rows: OfferRows) -> str:
        where = f"tables.{contract.name}"
        chosen = Selection(self.views, rows, where)
        fields = {field.name: field.type for field in contract.schema if field.name != "customer_id"}
        if unknown := sorted(set(rows.columns) - set(fields)):
            chosen.broken(
                self.out, "1", "true", f"{where}.columns: unknown {', '.join(unknown)}", f"name {', '.join(fields)}"
            )
        values = {}
        for name, kind in fields.items():
            sql = rows.columns.get(name)
            wanted = pa.string() if name == "product_id" else kind
            values[name] = (
                f"CAST(NULL AS {_SQL[str(wanted)]})" if sql is None else chosen.value(sql, f"columns.{name}", wanted)
            )
        within = _within(values["ts"]) if "ts" in values else "true"
        stage = chosen.stage(f"stage {contract.name}", values, self.out, within=within)
        self.sources[contract.name] = chosen.source
        listed = []
        for name in fields:
            value = f"{quoted(name)}.v"
            if name == "product_id":
                value = f"(SELECT id FROM mapped.products WHERE code = {value})"
            elif name == "withdrawn_on":  # a withdrawal after the cutoff is not yet known
                value = f"CASE WHEN {value} < cutoff() THEN {value} END"
            listed.append(f"{value} AS {quoted(name)}")
        order = ", ".join(["customer_id", *(f"{quoted(name)} NULLS FIRST" for name in (*contract.order, *fields))])
        return (
            f"SELECT token AS customer_id, {', '.join(listed)} FROM {stage} s "
            f"JOIN mapped.tokens ON s.identifier.v = tokens.identifier ORDER BY {order}"
        )

    # ---- helpers

    def _stream(self, name: str, sql: str) -> Iterator[Piece]:
        schemas = {contract.name: contract.schema for contract in offer_contracts(self.settings)}
        attributes = self.mapping.protected.columns if self.mapping.protected is not None else ()
        schemas |= {
            "snapshots": SNAPSHOTS,
            "transactions": TRANSACTIONS,
            "protected": protected_contract(list(attributes)).schema,
        }
        schema = schemas[name]
        source = self.sources[name]
        yield Piece(source, schema.empty_table())
        for batch in self.views.db.cursor().sql(sql).to_arrow_reader(_BATCH):
            table = pa.Table.from_batches([batch])
            yield Piece(source, pa.Table.from_arrays([table[c.name].cast(c.type) for c in schema], schema=schema))

    def _share(self, table: str, figure: str, relation: str, condition: str) -> float:
        """Keep the share of rows in which a condition is true as a figure of a table, and return it."""
        rows, broken = self.views.one(f"SELECT count(*), count(*) FILTER (WHERE {condition}) FROM {relation}")
        share = broken / rows if rows else 0.0
        self.figures.setdefault(table, {})[figure] = round(share, 6)
        return share

    def _store(self, table: str, rows: pa.Table) -> str:
        name = f"mapped.{quoted(table)}"
        self.views.db.register("handed_over", rows)
        self.views.db.execute(f"CREATE TABLE {name} AS SELECT * FROM handed_over")
        self.views.db.unregister("handed_over")
        return name

    def _column(self, sql: str) -> list[str]:
        return [value for (value,) in self.views.db.execute(sql).fetchall()]


_SQL = {
    "int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT", "double": "DOUBLE", "bool": "BOOLEAN",
    "string": "VARCHAR", "date32[day]": "DATE", "timestamp[us]": "TIMESTAMP",
}  # fmt: skip


def _within(ts: str) -> str:
    value = f"{tried(ts)}.v"
    return f"({value} >= month_start() AND {value} < cutoff())"


def _signed(chosen: Selection, rows: TransactionRows, amount: str) -> str:
    """Return the amount as the account sees it."""
    if rows.debit is None or rows.debit.sign == "signed":
        return amount
    word = f"CAST({chosen.checked(rows.debit.column, 'debit.column')} AS VARCHAR)"
    return f"CASE WHEN {word} IN ({', '.join(map(literal, rows.debit.words))}) THEN -({amount}) ELSE {amount} END"


def _products(settings: Settings) -> pa.Table:
    ids: Sequence[int] = list(settings.product_ids.values())
    return pa.table({"code": pa.array(list(settings.product_ids), pa.string()), "id": pa.array(ids, pa.int16())})
