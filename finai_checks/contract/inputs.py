"""C05, the small tables that prove it: months that keep the data contract or break it in one way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from finai_assets.ingest.contract import ASSET_BANDS, CONSENTS, CONTACTS, RISK_PROFILES, SNAPSHOTS, TRANSACTIONS
from finai_assets.settings import Settings
from finai_checks.framework.check import NO_EVIDENCE
from finai_resources.months import Month

Inputs = tuple[pa.Table, pa.Table, Month, Settings] | tuple[pa.Table, pa.Table, Month, Settings, Mapping[str, pa.Table]]
Spoiled = tuple[str, list[Any], pa.DataType | None]


def _named(table: str, spoiled: Spoiled) -> str:
    """Return what a failure must name: the column, or the table's schema where its type was changed."""
    column, _, changed_type = spoiled
    return f"{table}.{column}" if changed_type is None else f"{table} schema"


def canaries(settings: Settings) -> list[tuple[str, Inputs, str | None]]:
    """Return inputs with what the reason of their failure must name: a month that keeps the contract (None), and broken ones."""
    month = settings.dataset.raw_months.first
    snapshots, transactions = _healthy(month, settings)
    far = len(settings.products)
    broken: list[tuple[str, Spoiled]] = [
        ("a customer twice in the month", ("customer_id", [1, 2, 2], None)),
        ("a snapshot of another month", ("snapshot_month", [(month + 1).start.date()] * 3, None)),
        ("an age of 131", ("age", [131, 40, None], None)),
        ("an infinite income", ("income", [float("inf"), 1.0, None], None)),
        ("an income that is no number", ("income", [float("nan"), 1.0, None], None)),
        ("a negative tenure", ("tenure_months", [-1, 5, None], None)),
        ("a segment outside the list", ("segment", ["nobody", None, None], None)),
        ("an unknown product", ("held", [[0, far], [], [0]], None)),
        ("a product held twice", ("held", [[0, 0], [], [0]], None)),
        ("an age as text", ("age", ["30", "40", None], pa.string())),
    ]
    of_transactions: list[tuple[str, Spoiled]] = [
        ("a transaction after its month", ("ts", [month.start, month.start, month.cutoff], None)),
        ("a transaction before its month", ("ts", [(month - 1).start, month.start, month.start], None)),
        ("an infinite amount", ("amount", [float("inf"), 1.0, 1.0], None)),
        ("an amount that is no number", ("amount", [float("nan"), 1.0, 1.0], None)),
        ("a negative category", ("mcc", [-1, 1, 1], None)),
        ("amounts as whole numbers", ("amount", [1, 1, 1], pa.int64())),
    ]
    found: list[tuple[str, Inputs, str | None]] = [
        ("a month that keeps the contract", (snapshots, transactions, month, settings), None),
        ("no snapshot", (snapshots.slice(0, 0), transactions, month, settings), NO_EVIDENCE),
        ("no transaction", (snapshots, transactions.slice(0, 0), month, settings), NO_EVIDENCE),
        (
            "a column that the contract has not",
            (snapshots.append_column("phone", pa.array(["1"] * 3)), transactions, month, settings),
            "snapshots schema",
        ),
        (
            "a column that is missing",
            (snapshots.drop_columns(["age"]), transactions, month, settings),
            "snapshots schema",
        ),
    ]
    found += [
        (name, (_with(snapshots, *spoiled), transactions, month, settings), _named("snapshots", spoiled))
        for name, spoiled in broken
    ]
    found += [
        (name, (snapshots, _with(transactions, *spoiled), month, settings), _named("transactions", spoiled))
        for name, spoiled in of_transactions
    ]
    return found + _of_offers(snapshots, transactions, month, settings)


def _of_offers(
    snapshots: pa.Table, transactions: pa.Table, month: Month, settings: Settings
) -> list[tuple[str, Inputs, str | None]]:
    """Return inputs whose tables for offering keep the contract or break it in one way."""
    offers, after = _healthy_offers(month, settings), month.cutoff.date()
    broken: list[tuple[str, str, Spoiled]] = [
        ("a risk profile of grade 7", "risk_profiles", ("grade", [7, 6, 1], None)),
        ("a risk profile without a date", "risk_profiles", ("assessed_on", [None, *[month.start.date()] * 2], None)),
        ("a risk profile assessed after the month", "risk_profiles", ("assessed_on", [after] * 3, None)),
        ("a risk profile that expires at once", "risk_profiles", ("expires_on", [month.start.date()] * 3, None)),
        ("an unknown purpose", "consents", ("purpose", ["automated_decision", "marketing", "profiling"], None)),
        ("a marketing consent without a channel", "consents", ("channel", [None, None, "sms"], None)),
        ("an automated decision in a channel", "consents", ("channel", ["app", "app", "sms"], None)),
        ("a consent given after its withdrawal", "consents", ("withdrawn_on", [(month - 1).start.date()] * 3, None)),
        ("a withdrawal after the month", "consents", ("withdrawn_on", [None, None, after], None)),
        ("a contact outside its month", "contacts", ("ts", [month.start, month.cutoff, month.cutoff], None)),
        ("a contact about an unknown product", "contacts", ("product_id", [None, 0, len(settings.products)], None)),
        ("an unknown asset band", "asset_bands", ("band", ["nothing"] * 3, None)),
        ("an asset band as a number", "asset_bands", ("band", [1, 2, 3], pa.int64())),
    ]
    twice = _with(offers["consents"], "channel", [None, "app", "app"], None)
    spoiled = [
        ("consents that contradict each other", offers | {"consents": twice}, "consents.customer_id, purpose, channel"),
        *(
            (name, offers | {table: _with(offers[table], *change)}, _named(table, change))
            for name, table, change in broken
        ),
    ]
    empty = {name: table.slice(0, 0) for name, table in offers.items()}
    kept = [("tables for offering that keep the contract", offers), ("tables for offering without a row", empty)]
    return [
        *((name, (snapshots, transactions, month, settings, tables), None) for name, tables in kept),
        *((name, (snapshots, transactions, month, settings, tables), expects) for name, tables, expects in spoiled),
    ]


def _healthy_offers(month: Month, settings: Settings) -> dict[str, pa.Table]:
    first, last = month.start.date(), settings.dataset.asset_bands[-1]
    profiles = {"grade": [1, 6, 3], "assessed_on": [first] * 3, "expires_on": [(month + 24).start.date()] * 3}
    consents = {
        "customer_id": [1, 2, 2],
        "purpose": ["automated_decision", "marketing", "marketing"],
        "channel": [None, "app", "sms"],
        "given_on": [first] * 3,
        "withdrawn_on": [None, first, None],
    }
    contacts = {"customer_id": [1, 1, 3], "ts": [month.start] * 3, "channel": ["app"] * 3, "product_id": [None, 0, 1]}
    return {
        "risk_profiles": pa.table({"customer_id": [1, 2, 3], **profiles}, schema=RISK_PROFILES),
        "consents": pa.table(consents, schema=CONSENTS),
        "contacts": pa.table(contacts, schema=CONTACTS),
        "asset_bands": pa.table({"customer_id": [1, 2, 3], "band": [last] * 3}, schema=ASSET_BANDS),
    }


def _with(table: pa.Table, name: str, values: list[Any], kind: pa.DataType | None) -> pa.Table:
    field = table.schema.field(name)
    return table.set_column(table.column_names.index(name), name, pa.array(values, kind or field.type))


def _healthy(month: Month, settings: Settings) -> tuple[pa.Table, pa.Table]:
    snapshots = {
        "customer_id": [1, 2, 3],
        "snapshot_month": [month.start.date()] * 3,
        "age": [30, 130, None],
        "income": [0.0, 1e9, None],
        "tenure_months": [0, 12, None],
        "is_active": [True, False, None],
        "gender": ["female", "male", None],
        "segment": [settings.dataset.segments[0], settings.dataset.segments[-1], None],
        "country": [None] * 3,
        "channel": [None] * 3,
        "held": [[0, len(settings.products) - 1], [], [0]],
    }
    transactions = {
        "customer_id": [1, 1, 3],
        "ts": [month.start, month.start, month.start],
        "amount": [-1.5, 0.0, 2e6],
        "mcc": [1, 2, 3],
        "merchant_id": [None, 7, 8],
    }
    return pa.table(snapshots, schema=SNAPSHOTS), pa.table(transactions, schema=TRANSACTIONS)
