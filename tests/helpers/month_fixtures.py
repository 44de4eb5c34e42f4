"""A month that can be scored: 90 customers with snapshots, features and what lawful offering needs."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from bundle_fixtures import Made, features

from finai_resources.lake import Lake
from finai_resources.months import Month


@pytest.fixture
def month(lake: Lake, made: Made) -> Month:
    """Store 90 customers of a month: snapshots and every feature group."""
    count, chosen = 90, Month.parse("2015-05")
    ids = pa.array(np.arange(count) * 3 + 7, pa.int64())
    X = features(made.registry, count, seed=9)
    held = [np.flatnonzero(row).tolist() for row in made.held(count)]
    snapshot = pa.table(
        {
            "customer_id": ids,
            "snapshot_month": pa.array([date(2015, 5, 1)] * count),
            "age": pa.array([None if i % 4 == 0 else 30 + i % 40 for i in range(count)], pa.int16()),
            "segment": pa.array(["mass"] * count),
            "held": pa.array(held, pa.list_(pa.int16())),
        }
    )
    with lake.write("raw/snapshots", chosen.key) as out:
        out.write(snapshot, row_group_size=32)
    for group in made.registry.available:
        places = made.registry.positions((group.name,))
        table = pa.table({"customer_id": ids, **{made.registry.names[p]: X[:, p] for p in places}})
        with lake.write(group.asset, chosen.key) as out:
            out.write(table, row_group_size=32)
    store_offer_tables(lake, chosen, ids)
    return chosen


def store_offer_tables(lake: Lake, month: Month, ids: pa.Array) -> None:
    """Store tables by which every product may be offered, but that one customer of ten objects."""
    n, before = len(ids), date(2015, 1, 1)
    objecting = np.arange(n) % 10 == 3
    purposes = [("marketing", "app"), ("automated_decision", None)]
    consents = [(identity, *purpose) for identity in ids.to_pylist() for purpose in purposes]
    consents += [(identity, "do_not_contact", None) for identity in ids.filter(pa.array(objecting)).to_pylist()]
    customer, purpose, channel = zip(*sorted(consents, key=lambda row: (row[0], row[1])), strict=True)
    tables = {
        "risk_profiles": {"customer_id": ids, "grade": pa.array([1] * n, pa.int8()), "assessed_on": [before] * n,
                          "expires_on": [date(2017, 1, 1)] * n},
        "consents": {"customer_id": pa.array(customer, pa.int64()), "purpose": pa.array(purpose),
                     "channel": pa.array(channel, pa.string()), "given_on": [before] * len(customer),
                     "withdrawn_on": pa.nulls(len(customer), pa.date32())},
        "contacts": {"customer_id": pa.array([], pa.int64()), "ts": pa.array([], pa.timestamp("us")),
                     "channel": pa.array([], pa.string()), "product_id": pa.array([], pa.int16())},
        "asset_bands": {"customer_id": ids, "band": pa.array(["none"] * n)},
    }  # fmt: skip
    for name, columns in tables.items():
        with lake.write(f"raw/{name}", month.key) as out:
            out.write(pa.table(columns))
