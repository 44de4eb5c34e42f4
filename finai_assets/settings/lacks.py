"""What a data set is without, as far as its settings tell: the declared facts, and those that follow from what is mapped.

A fact is a raw table that the source has not (``dataset.unavailable_tables``) or a part of one (``dataset.lacks``), with a
reason. A reason that somebody wrote is kept; every other is a sentence that names what it follows from.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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
