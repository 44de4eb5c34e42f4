"""What is acquired is read by the definition of the bundle's shares, in the order of the rows that are asked for."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from finai_assets.bundle.shares import acquisition_shares
from finai_assets.evaluation.lists.outcomes import Outcomes, read_outcomes
from finai_assets.evaluation.truth import read_product_truth
from finai_assets.settings import Settings
from finai_resources.errors import GateError, LakeError
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.warehouse import Warehouse


def write(lake: Lake, month: str, held: dict[int, list[int] | None]) -> None:
    table = pa.table(
        {
            "customer_id": pa.array(sorted(held), pa.int64()),
            "held": pa.array([held[customer] for customer in sorted(held)], pa.list_(pa.int16())),
        }
    )
    with lake.write("raw/snapshots", month) as out:
        out.write(table)


def read(lake: Lake, rows: list[tuple[str, int]], products: int) -> Outcomes:
    month, customer = (np.array(part) for part in zip(*rows, strict=True))
    return read_outcomes(LakeSession(lake), month, customer, horizon_months=1, products=products)


def ids(flags: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in flags]


def test_rows_keep_their_order_and_who_is_gone_acquires_nothing(lake: Lake) -> None:
    write(lake, "2015-01", {1: [0], 2: [0, 3], 3: None, 9: [1]})
    write(lake, "2015-02", {1: [0, 5], 2: [3], 3: [5, 7], 4: [8]})
    write(lake, "2015-03", {1: [0, 5], 4: [8, 0]})
    rows = [
        ("2015-02", 4),
        ("2015-01", 9),
        ("2015-01", 3),
        ("2015-02", 1),
        ("2015-01", 1),
        ("2015-02", 2),
        ("2015-01", 2),
    ]
    found = read(lake, rows, 9)
    assert found.customer.tolist() == [4, 9, 3, 1, 1, 2, 2]
    assert ids(found.held) == [[8], [1], [], [0, 5], [0], [3], [0, 3]]
    assert ids(found.acquired) == [[0], [], [5, 7], [], [5], [], []]
    assert found.acquires.tolist() == [True, False, True, False, True, False, False]


def test_the_acquisitions_are_those_that_the_bundle_counts(lake: Lake, settings: Settings) -> None:
    random, products = np.random.default_rng(4), len(settings.products)

    def draw(customers: range) -> dict[int, list[int] | None]:
        return {c: np.flatnonzero(random.random(products) < 0.2).tolist() for c in customers if random.random() < 0.8}

    months = {"2015-01": draw(range(300)), "2015-02": draw(range(50, 350)), "2015-03": draw(range(100, 400))}
    for month, held in months.items():
        write(lake, month, held)
    windows = ["2015-01", "2015-02"]
    counts = acquisition_shares(Warehouse(LakeSession(lake)), [Month.parse(month) for month in windows], settings)
    found = read(lake, [(month, customer) for month in windows for customer in months[month]], products)
    assert found.acquired.sum(axis=0).tolist() == counts.tolist()
    assert counts.min() > 0


def test_a_customer_without_a_row_in_the_month_is_refused(lake: Lake) -> None:
    write(lake, "2015-01", {1: [0]})
    write(lake, "2015-02", {1: [0], 2: [3]})
    with pytest.raises(LakeError, match=r"raw/snapshots@2015-01: 1 customers have no row"):
        read(lake, [("2015-01", 1), ("2015-01", 2)], 4)


def test_a_month_whose_window_has_not_passed_is_refused(lake: Lake) -> None:
    write(lake, "2015-01", {1: [0]})
    with pytest.raises(LakeError, match="2015-02"):
        read(lake, [("2015-01", 1)], 4)


def test_a_product_that_the_catalogue_lacks_is_refused(lake: Lake) -> None:
    write(lake, "2015-01", {1: [0]})
    write(lake, "2015-02", {1: [0, 4]})
    with pytest.raises(LakeError, match=r"1 held products have an id outside 0\.\.3"):
        read(lake, [("2015-01", 1)], 4)


def write_truth(lake: Lake, month: str, p: dict[int, list[float]]) -> None:
    columns = {
        f"p_{product}": pa.array(values, pa.float32()) for product, values in enumerate(zip(*p.values(), strict=True))
    }
    with lake.write("truth/products", month) as out:
        out.write(pa.table({"customer_id": pa.array(list(p), pa.int64()), **columns}))


def test_the_products_truth_is_read_in_the_order_of_the_rows(lake: Lake) -> None:
    write_truth(lake, "2015-01", {1: [0.5, 0.25], 4: [0.0, 1.0]})
    write_truth(lake, "2015-02", {4: [0.75, 0.125]})
    session, month = LakeSession(lake), np.array(["2015-02", "2015-01", "2015-01"])
    found = read_product_truth(session, month, np.array([4, 4, 1]), products=2)
    assert found is not None
    assert found.dtype == np.float32
    assert found.tolist() == [[0.75, 0.125], [0.0, 1.0], [0.5, 0.25]]


def test_a_data_set_without_products_truth_has_none_and_a_gap_in_it_is_refused(lake: Lake) -> None:
    session, both = LakeSession(lake), np.array(["2015-01", "2015-02"])
    customer = np.array([1, 1])
    assert read_product_truth(session, both, customer, products=2) is None
    write_truth(lake, "2015-01", {1: [0.5, 0.25]})
    with pytest.raises(LakeError, match="2015-02"):
        read_product_truth(session, both, customer, products=2)
    with pytest.raises(LakeError, match="1 customers have no row"):
        read_product_truth(session, both[:1], np.array([2]), products=2)
    with pytest.raises(GateError, match="2 columns of products where there are 3"):
        read_product_truth(session, both[:1], customer[:1], products=3)
