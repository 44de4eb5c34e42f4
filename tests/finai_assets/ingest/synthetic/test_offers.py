"""Risk profiles, consents, messages and asset bands live beside the process: they change nothing of it and know no later day."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from finai_assets.asset_graph import PRODUCT_TRUTH, SOURCE_TABLES, truth_asset
from finai_assets.ingest.synthetic import generate, offers
from finai_assets.ingest.synthetic import panel as panel_module
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
TRUTHS = (
    "churn_signal",
    "nba_primary",
    "mcc_diversity_trend",
    "top_mcc_shift",
    "will_acquire_lending",
)  # two by Monte Carlo
OFFERS = ("source/risk_profiles", "source/consents", "source/contacts", "source/asset_bands")


def panel(folder: Path) -> Lake:
    made, settings = Lake.on_disk(folder), load_settings("synthetic", "smoke", overrides=SHORT)
    generate(settings, KEY, LakeSession(made), tasks=build_tasks(settings), workers=1, code_version="t")
    return made


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return panel(tmp_path_factory.mktemp("panel"))


def test_the_rest_of_the_panel_is_the_same_without_them(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each draws from streams of its own, so that nothing else moves; no stored digest, since bits may differ between CPUs."""
    whole = offers.offer_tables

    def none(rng: np.random.Generator, *rest: Any) -> tuple[offers.Tables, offers.Sums]:
        _, sums = whole(rng, *rest)
        return {}, sums

    monkeypatch.setattr(panel_module, "offer_tables", lambda rng, *rest: none(np.random.default_rng(7), *rest))
    bare = panel(tmp_path)
    assets = [asset for asset in (*SOURCE_TABLES, PRODUCT_TRUTH, *map(truth_asset, TRUTHS)) if asset not in OFFERS]
    assert not any(bare.partitions(asset) for asset in OFFERS)
    for asset in assets:
        assert lake.partitions(asset), asset
        for month in lake.partitions(asset):
            assert lake.manifest(asset, month).content_hash == bare.manifest(asset, month).content_hash, asset


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
