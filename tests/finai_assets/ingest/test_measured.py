"""What only the data tell of a source is measured, and printed in the shape of its settings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
import yaml

from finai_assets.ingest.adapter import Adapter, MonthTables, Piece, open_adapter
from finai_assets.ingest.contract import MERCHANT_CATEGORIES, SNAPSHOTS, TRANSACTIONS
from finai_assets.ingest.measured import as_yaml, measure_facts
from finai_assets.settings import Settings, load_settings
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

DAY_US = 86_400_000_000
CUSTOMERS = 4


class Invented:
    """A source of four customers: ``held`` gives the products of each in a half-year, from the first one on."""

    def __init__(
        self, held: Sequence[list[int]], *, midnight: bool, merchant: int | None, codes: Sequence[int]
    ) -> None:
        self.held, self.midnight, self.merchant, self.codes = held, midnight, merchant, codes

    def merchant_categories(self) -> pa.Table:
        rows = [{"mcc": code, "name": str(code), "l2": code, "l1": code - 1} for code in (1, 2, 3)]
        return pa.Table.from_pylist(rows, schema=MERCHANT_CATEGORIES)

    def month(self, month: Month) -> MonthTables:
        held = self.held[min((month.ordinal - Month.parse("2014-01").ordinal) // 6, len(self.held) - 1)]
        people = {
            "customer_id": range(CUSTOMERS), "snapshot_month": [month.start.date()] * CUSTOMERS,
            "age": [30, 40, 50, 60], "income": [None] * CUSTOMERS, "tenure_months": [1, 2, 3, 4],
            "is_active": [True] * CUSTOMERS, "gender": ["F", "M", "F", "M"], "segment": ["mass", "plus", "mass", None],
            "country": ["KR"] * CUSTOMERS, "channel": [None, "app", None, None], "held": [held] * CUSTOMERS,
        }  # fmt: skip
        ts = month.start_us + np.arange(len(self.codes)) * DAY_US + (0 if self.midnight else 3_600_000_000)
        lines = {
            "customer_id": [0] * len(self.codes), "ts": pa.array(ts).cast(pa.timestamp("us")),
            "amount": [-1.0 if code == 1 else 5.0 for code in self.codes], "mcc": self.codes,
            "merchant_id": [self.merchant] * len(self.codes),
        }  # fmt: skip
        tables = (pa.table(people, schema=SNAPSHOTS), pa.table(lines, schema=TRANSACTIONS))
        return MonthTables(*([Piece("invented", table)] for table in tables), protected=None)


def facts(source: Invented, settings: Settings | None = None) -> dict[str, Any]:
    found = measure_facts(cast(Adapter, source), settings or load_settings("synthetic", "smoke"))
    assert yaml.safe_load(as_yaml(found)) == (found or None)
    return found


def test_what_the_train_months_never_show_is_found() -> None:
    found = facts(Invented([[0], [0, 1]], midnight=True, merchant=None, codes=(1, 2)))["dataset"]
    assert set(found["lacks"]) == {"income", "is_active", "country", "closures", "time_of_day", "merchants"}
    codes = [product.code for product in load_settings("synthetic", "smoke").products]
    assert list(found["never_held"]) == codes[2:]
    assert list(found["never_acquired"]) == codes[:1]
    ranks = {f"mcc_seen_{rank:02d}" for rank in range(3, 31)} | {"mcc_seen_other"}
    shares = {f"merchant_l1_share_{node}" for node in range(1, 10)}  # nothing but code 1 takes money from an account
    assert set(found["unavailable_columns"]) == ranks | shares


def test_what_they_show_is_not_declared() -> None:
    found = facts(Invented([[0], [1]], midnight=False, merchant=7, codes=(1, 2)))["dataset"]
    assert set(found["lacks"]) == {"income", "is_active", "country"}
    still = facts(Invented([[0]], midnight=False, merchant=7, codes=(1, 2)))["dataset"]
    assert {"acquisitions", "closures"} <= set(still["lacks"])


def test_what_is_declared_is_not_asked_for_again() -> None:
    source = Invented([[0], [0, 1]], midnight=True, merchant=None, codes=(1, 2))
    declared = facts(source)["dataset"]
    assert facts(source, load_settings("synthetic", "smoke", overrides={"dataset": declared})) == {}


@pytest.mark.berka
def test_of_berka_it_finds_what_was_declared_by_hand(berka_dir: Path, lake: Lake) -> None:
    settings = load_settings("berka", "smoke", overrides={"dataset": {"source": str(berka_dir)}})
    dataset = settings.dataset
    parts = ("lacks", "never_held", "never_acquired", "unavailable_columns")
    bare = settings.model_copy(update={"dataset": dataset.model_copy(update={part: {} for part in parts})})
    adapter = open_adapter(bare, b"k" * 32, LakeSession(lake))
    found = measure_facts(adapter, bare)["dataset"]
    assert set(found["lacks"]) == set(dataset.lacks)
    assert set(found["never_held"]) == set(dataset.never_held)
    assert all(code.endswith("statement") or code.startswith("statement") for code in found["never_acquired"])
    assert len(found["never_acquired"]) == 3
    assert set(found["unavailable_columns"]) == set(dataset.unavailable_columns)
    assert measure_facts(adapter, settings) == {}
