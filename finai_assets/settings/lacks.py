"""What a data set is without, as far as its settings tell: the declared facts, and those that follow from what is mapped.

A fact is a raw table that the source has not (``dataset.unavailable_tables``) or a part of one (``dataset.lacks``), with a
reason. A reason that somebody wrote is kept; every other is a sentence that names what it follows from.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, get_args

from finai_assets.settings.experts import NEEDED_GROUPS
from finai_assets.settings.tables import SnapshotColumn, TablesSettings

if TYPE_CHECKING:
    from finai_assets.settings.load import Settings

# Tables that are there only with another one.
_BELONG_TO = {"product_terms": "products", "merchant_categories": "transactions"}
_OF_TRANSACTIONS = ("time_of_day", "merchants", "categories")
_OF_PRODUCTS = ("acquisitions", "closures")


def complete(settings: Settings) -> Settings:
    """Return the settings with every fact in ``dataset.unavailable_tables`` and ``dataset.lacks`` that follows from the rest.

    Without a product there is no table of products, without asset bands no table of them, and with fewer than two segments
    nothing to tell customers apart by.
    """
    dataset = settings.dataset
    tables: dict[str, str] = {}
    parts: dict[str, str] = {}
    if not settings.products:
        tables["products"] = "the data set lists no product (products)"
    if not dataset.asset_bands:
        tables["asset_bands"] = "the data set lists no bands of assets (dataset.asset_bands)"
    if len(dataset.segments) < 2:
        parts["segment"] = "the data set tells no segments apart (dataset.segments)"
    if settings.tables is not None:
        tables |= _unmapped_tables(settings.tables)
        parts |= _unmapped_parts(settings.tables)
    tables.update(dataset.unavailable_tables.items())
    parts.update(dataset.lacks.items())
    for table, owner in _BELONG_TO.items():
        if owner in tables:
            tables.setdefault(table, tables[owner])
    for owner, names in (("transactions", _OF_TRANSACTIONS), ("products", _OF_PRODUCTS)):
        if owner in tables:
            parts = dict.fromkeys(names, tables[owner]) | parts
    completed = dataset.model_copy(update={"unavailable_tables": tables, "lacks": parts})
    return settings.model_copy(update={"dataset": completed})


def _unmapped_tables(mapped: TablesSettings) -> dict[str, str]:
    """Return the tables of the data contract that a mapping says nothing of."""
    sections = {
        "transactions": mapped.transactions,
        "protected_attributes": mapped.protected,
        "risk_profiles": mapped.risk_profiles,
        "consents": mapped.consents,
        "contacts": mapped.contacts,
        "asset_bands": mapped.asset_bands,
    }
    key = {"protected_attributes": "protected"}
    found = {
        name: f"the mapping has no {name.replace('_', ' ')} (tables.{key.get(name, name)})"
        for name, section in sections.items()
        if section is None
    }
    held = mapped.holdings
    if not (held.flags or held.rows or held.derived):
        found["products"] = "the mapping tells of no product that is held (tables.holdings)"
    return found


def _unmapped_parts(mapped: TablesSettings) -> dict[str, str]:
    """Return the parts of the other tables that a mapping says nothing of."""
    found = {
        name: f"the mapping gives no {name} (tables.snapshots.columns)"
        for name in get_args(SnapshotColumn)
        if name not in mapped.snapshots.columns
    }
    if mapped.transactions is not None and mapped.transactions.merchant is None:
        found["merchants"] = "the mapping names no merchant (tables.transactions.merchant)"
    if mapped.holdings.flags is None and all(rows.closed is None for rows in mapped.holdings.rows):
        found["closures"] = "the mapping tells of no end of a product (tables.holdings)"
    return found


def with_usable_experts(settings: Settings, groups: Collection[str]) -> Settings:
    """Return the settings with those of the teacher's experts that the feature groups of a data set suffice for."""
    teacher = settings.teacher
    usable = tuple(
        name
        for name in teacher.experts
        if set(groups) & set(NEEDED_GROUPS.get(name, teacher.routing.get(name, groups)))
    )
    return settings.model_copy(update={"teacher": teacher.model_copy(update={"experts": usable})})
