"""The tables of ``docs/datasets.md`` that state the data contract, written from the contract itself.

python -m finai_assets.ingest.contract_document
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from finai_assets.asset_graph import (
    ASSET_BANDS,
    CATEGORIES,
    CONSENTS,
    CONTACTS,
    PRODUCT_TERMS,
    PRODUCTS,
    PROTECTED,
    RISK_PROFILES,
    SNAPSHOTS,
    TRANSACTIONS,
)
from finai_assets.ingest import contract as schemas
from finai_assets.ingest.contract import (
    TableContract,
    WithinMonth,
    offer_contracts,
    snapshots_contract,
    transactions_contract,
)
from finai_assets.settings import load_settings

TARGET = Path(__file__).resolve().parent.parent.parent / "docs" / "datasets.md"
_NOTES = {
    "ts": "local",
    "amount": "signed",
    "product_id": "dense from 0",
    "risk_grade": "1..6",
    "terms": "JSON",
    "grade": "1..6",
    "withdrawn_on": "null while it stands",
    "rate_low": "percent a year",
    "fee": "a year",
}
_TYPES = {"date32[day]": "date", "timestamp[us]": "timestamp in microseconds", "double": "float64"}


def columns_table() -> str:
    """Return one row for each raw table, with its columns and their types."""
    rows = [
        (SNAPSHOTS, "month", _columns(schemas.SNAPSHOTS)),
        (TRANSACTIONS, "month of `ts`", _columns(schemas.TRANSACTIONS)),
        (RISK_PROFILES, "month", _columns(schemas.RISK_PROFILES)),
        (CONSENTS, "month", _columns(schemas.CONSENTS)),
        (CONTACTS, "month of `ts`", _columns(schemas.CONTACTS)),
        (ASSET_BANDS, "month", _columns(schemas.ASSET_BANDS)),
        (PRODUCTS, "none", _columns(schemas.PRODUCTS)),
        (PRODUCT_TERMS, "none", _columns(schemas.PRODUCT_TERMS)),
        (CATEGORIES, "none", _columns(schemas.MERCHANT_CATEGORIES)),
        (
            PROTECTED,
            "month",
            "customer_id int64 and text columns that only fairness checks read",
        ),
    ]
    lines = [f"| `{name}` | {partition} | {columns} |" for name, partition, columns in rows]
    return "\n".join(["| table | partition | columns |", "|---|---|---|", *lines])


def rules_table() -> str:
    """Return one row for each rule of a monthly table's values."""
    settings = load_settings("synthetic", "demo")
    contracts = (snapshots_contract(settings), transactions_contract(), *offer_contracts(settings))
    lines = [f"| {text} | {contract.name} |" for contract in contracts for text in _rules(contract)]
    return "\n".join(["| rule | table |", "|---|---|", *lines])


def render(page: str) -> str:
    """Return the page with both tables written anew between their marks."""
    for name, table in (("columns", columns_table()), ("rules", rules_table())):
        begin, end = f"<!-- contract {name} -->\n\n", f"\n\n<!-- end of contract {name} -->"
        before, _, rest = page.partition(begin)
        page = f"{before}{begin}{table}{end}{rest.partition(end)[2]}"
    return page


def _columns(schema: pa.Schema) -> str:
    return ", ".join(_column(field) for field in schema)


def _column(field: pa.Field) -> str:
    kind = field.type
    text = f"list of {_type(kind.value_type)}" if pa.types.is_list(kind) else _type(kind)
    note = f" ({_NOTES[field.name]})" if field.name in _NOTES else ""
    return f"{field.name} {text}{'?' if field.nullable else ''}{note}"


def _type(kind: pa.DataType) -> str:
    if pa.types.is_struct(kind):
        return f"({', '.join(field.name for field in kind)})"
    return _TYPES.get(str(kind), str(kind))


def _rules(contract: TableContract) -> Iterator[str]:
    named = {"month": "its month"}
    for rule in contract.rules:
        yield f"{rule.column}: {rule.text.format(**named)}"
        if isinstance(rule, WithinMonth):
            yield f"{rule.column}: {rule.late.format(**named)}"


if __name__ == "__main__":
    TARGET.write_text(render(TARGET.read_text(encoding="utf-8")), encoding="utf-8")
