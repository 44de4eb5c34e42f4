"""Risk profiles, consents, messages and asset bands live beside the process: they change nothing of it and know no later day."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pyarrow.compute as pc
import pytest

from finai_assets.ingest.synthetic import generate
from finai_assets.labels.tasks import build_tasks
from finai_assets.settings import load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

KEY = b"a key of the tests, 32 bytes long"
SHORT = {
    "dataset": {
        "raw_months": ["2014-10", "2015-05"],
        "snapshot_months": ["2015-01", "2015-04"],
        "splits": {
            "train": ["2015-01", "2015-01"],
            "validation": ["2015-03", "2015-03"],
            "test": ["2015-04", "2015-04"],
        },
    },
    "generator": {"customers": 90, "block_customers": 25, "truth_draws": 4},
}
# Of the content before the generator lived the tables for offering, floats to six digits.
BEFORE = {
    "source/snapshots": "3c1cdf3085a63212",
    "source/transactions": "0ee53c032948c4c2",
    "source/protected_attributes": "5f75ca70587c8c6d",
    "truth/churn_signal": "ec80f17fcb174b6a",
    "truth/cross_sell_count": "53da8849eb6e1131",
    "truth/mcc_diversity_trend": "579870a006394ba2",
    "truth/nba_primary": "d83417873b5709a1",
    "truth/next_mcc": "548e72e5da8b21a6",
    "truth/product_stability": "7d40a676faf21727",
    "truth/products": "55e0ed5ebdb39c29",
    "truth/segment_prediction": "2cc9bfab78ae10df",
    "truth/top_mcc_shift": "4c3e09741941798b",
    "truth/will_acquire_accounts": "d6f741318c51234d",
    "truth/will_acquire_deposits": "d88c362d0e2a8487",
    "truth/will_acquire_investments": "50782199fcbb54d2",
    "truth/will_acquire_lending": "90ad58b72d709471",
    "truth/will_acquire_payments": "eb7b2af5cefd1f0c",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made, settings = (
        Lake.on_disk(Path(tmp_path_factory.mktemp("panel"))),
        load_settings("synthetic", "smoke", overrides=SHORT),
    )
    generate(settings, KEY, LakeSession(made), tasks=build_tasks(settings), workers=1, code_version="t")
    return made


def content(lake: Lake, asset: str) -> str:
    digest = hashlib.sha256()
    for month in lake.partitions(asset):
        table = lake.read(asset, month)
        for name, column in zip(table.column_names, table.columns, strict=True):
            texts = (f"{value:.6g}" if isinstance(value, float) else str(value) for value in column.to_pylist())
            digest.update((f"{month} {name} " + "|".join(texts)).encode())
    return digest.hexdigest()[:16]


@pytest.mark.parametrize("asset", BEFORE)
def test_no_table_of_before_has_changed(lake: Lake, asset: str) -> None:
    assert content(lake, asset) == BEFORE[asset]


def test_nothing_of_a_month_is_dated_after_it_and_no_message_goes_to_who_objects(lake: Lake) -> None:
    for key in lake.partitions("source/consents"):
        cutoff = Month.parse(key).cutoff
        consents, contacts = (lake.read(f"source/{name}", key) for name in ("consents", "contacts"))
        for table, column in (
            (lake.read("source/risk_profiles", key), "assessed_on"),
            (consents, "given_on"),
            (consents, "withdrawn_on"),
        ):
            assert (pc.max(table[column]).as_py() or cutoff.date().min) < cutoff.date()
        rows = consents.to_pylist()
        objects = {r["customer_id"] for r in rows if r["purpose"] == "do_not_contact" and r["withdrawn_on"] is None}
        agreed = {(r["customer_id"], r["channel"]) for r in rows if r["withdrawn_on"] is None}
        for message in contacts.to_pylist():
            assert message["customer_id"] not in objects
            assert (message["customer_id"], message["channel"]) in agreed
            assert 9 <= message["ts"].hour < 18
