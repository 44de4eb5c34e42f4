"""Acquisitions are counted from one month to the next, over train months only."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.bundle.shares import acquisition_shares
from finai_assets.settings import Settings
from finai_resources.errors import GateError, LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.warehouse import Warehouse


def write(lake: Lake, month: str, held: dict[int, list[int]]) -> None:
    table = pa.table(
        {
            "customer_id": pa.array(sorted(held), pa.int64()),
            "held": pa.array([held[c] for c in sorted(held)], pa.list_(pa.int16())),
        }
    )
    with lake.write("raw/snapshots", month) as out:
        out.write(table)


def test_only_what_is_held_after_and_not_before_counts_and_only_for_customers_of_the_month(
    lake: Lake, settings: Settings
) -> None:
    write(lake, "2015-01", {1: [0], 2: [0, 3], 3: [], 9: [1]})
    write(lake, "2015-02", {1: [0, 5], 2: [3], 3: [5, 7], 4: [8]})
    write(lake, "2015-03", {1: [0, 5], 4: [8, 0]})
    session = LakeSession(lake)
    counts = acquisition_shares(Warehouse(session), [Month.parse("2015-01"), Month.parse("2015-02")], settings)
    assert {int(i): int(counts[i]) for i in np.flatnonzero(counts)} == {5: 2, 7: 1, 0: 1}
    assert set(session.seen) == {"raw/snapshots@2015-01", "raw/snapshots@2015-02", "raw/snapshots@2015-03"}


def test_the_counts_are_those_of_sets_of_products(lake: Lake, settings: Settings) -> None:
    random, products = np.random.default_rng(4), len(settings.products)

    def draw(customers: range) -> dict[int, list[int]]:
        return {c: np.flatnonzero(random.random(products) < 0.2).tolist() for c in customers if random.random() < 0.8}

    months = {"2015-01": draw(range(300)), "2015-02": draw(range(50, 350)), "2015-03": draw(range(100, 400))}
    for month, held in months.items():
        write(lake, month, held)
    counts = acquisition_shares(
        Warehouse(LakeSession(lake)), [Month.parse("2015-01"), Month.parse("2015-02")], settings
    )
    expected = np.zeros(products, dtype=np.int64)
    for before, after in (("2015-01", "2015-02"), ("2015-02", "2015-03")):
        for customer in months[before].keys() & months[after].keys():
            expected[list(set(months[after][customer]) - set(months[before][customer]))] += 1
    assert counts.dtype == np.int64
    assert counts.tolist() == expected.tolist()
    assert expected.min() > 0


def test_a_month_outside_train_is_refused(lake: Lake, settings: Settings) -> None:
    with pytest.raises(GateError, match="2015-05"):
        acquisition_shares(Warehouse(LakeSession(lake)), [Month.parse("2015-05")], settings)


@pytest.mark.parametrize("product", [-1, 24])
def test_a_product_outside_the_catalogue_is_refused(lake: Lake, settings: Settings, product: int) -> None:
    write(lake, "2015-01", {1: [0, product]})
    write(lake, "2015-02", {1: [0, product]})
    with pytest.raises(LakeError, match=r"2 held products have an id outside 0\.\.23") as raised:
        acquisition_shares(Warehouse(LakeSession(lake)), [Month.parse("2015-01")], settings)
    assert "raw/snapshots@2015-01, 2015-02" in str(raised.value)
