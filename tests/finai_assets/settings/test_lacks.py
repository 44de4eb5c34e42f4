"""What a mapping leaves out is a fact of the data set, without a line that says so."""

from __future__ import annotations

from typing import Any

import pytest

from finai_assets.settings import Settings, load_settings
from finai_assets.settings.lacks import complete
from finai_assets.settings.tables import TablesSettings

ORDERS = {"orders": {"path": "orders.csv", "known_from": "day"}}
SHOP: dict[str, Any] = {
    "sources": ORDERS,
    "snapshots": {"from": "orders", "customer": "buyer", "columns": {"age": "age", "segment": "grade"}},
    "transactions": {
        "from": "orders",
        "customer": "buyer",
        "ts": "day",
        "amount": "-price",
        "category": "kind",
        "id": "number",
    },
    "categories": {"codes": {"1": {"name": "one", "l2": "some", "l1": "all"}}},
}


def mapped(**sections: Any) -> Settings:
    """Return the panel's settings as if they mapped a shop's table."""
    settings = load_settings("synthetic", "smoke")
    tables = TablesSettings.model_validate({**SHOP, **sections})
    return complete(settings.model_copy(update={"tables": tables}))


def test_what_a_mapping_does_not_name_is_lacking() -> None:
    dataset = mapped().dataset
    assert set(dataset.lacks) == {
        "income", "tenure_months", "is_active", "gender", "country", "channel", "merchants", "closures", "acquisitions",
    }  # fmt: skip
    assert set(dataset.unavailable_tables) == {
        "products", "product_terms", "protected_attributes", "risk_profiles", "consents", "contacts", "asset_bands",
    }  # fmt: skip
    assert dataset.lacks["income"] == "the mapping gives no income (tables.snapshots.columns)"


def test_what_it_names_is_there() -> None:
    rows = {"from": "orders", "customer": "buyer", "product": "kind", "opened": "day"}
    full = mapped(
        transactions={**SHOP["transactions"], "merchant": "shop"},
        holdings={"rows": [{**rows, "closed": "until"}]},
        protected={"columns": {"gender": "gender"}},
        consents={"from": "orders", "customer": "buyer", "columns": {"purpose": "'marketing'"}},
    ).dataset
    assert not {"merchants", "closures", "acquisitions"} & set(full.lacks)
    assert not {"products", "protected_attributes", "consents", "transactions"} & set(full.unavailable_tables)
    assert "closures" in mapped(holdings={"rows": [rows]}).dataset.lacks
    assert "closures" in mapped(holdings={"derived": {"demand_deposit": "category = '1'"}}).dataset.lacks


def test_without_transactions_nothing_of_them_is_there() -> None:
    dataset = mapped(transactions=None, categories=None).dataset
    assert {"time_of_day", "merchants", "categories"} <= set(dataset.lacks)
    assert {"transactions", "merchant_categories"} <= set(dataset.unavailable_tables)
    assert dataset.lacks["merchants"] == dataset.unavailable_tables["transactions"]


def test_a_written_reason_is_kept() -> None:
    settings = load_settings("synthetic", "smoke", overrides={"dataset": {"lacks": {"income": "nobody was asked"}}})
    assert complete(settings.model_copy(update={"tables": TablesSettings.model_validate(SHOP)})).dataset.lacks[
        "income"
    ] == ("nobody was asked")


def test_to_complete_twice_is_to_complete_once() -> None:
    assert complete(mapped()) == mapped()


@pytest.mark.parametrize("segments", [[], ["all"]])
def test_fewer_than_two_segments_tell_nobody_apart(segments: list[str]) -> None:
    overrides = {"dataset": {"segments": segments}}
    assert "segment" in load_settings("synthetic", "smoke", overrides=overrides).dataset.lacks
