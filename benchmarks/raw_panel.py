"""Writes raw months of plausible size and shape fast, for benchmarks of the feature stage.

Data with known truth comes from the synthetic adapter; here only the number of rows, their spread and their order matter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from finai_assets.ingest.load import ROW_GROUP
from finai_assets.settings import Settings
from finai_resources.lake import Lake
from finai_resources.months import Month
from finai_resources.progress import report_progress

BLOCK = 8192
EVENTS_A_MONTH = 30.0
CODES = 4000 + 13 * np.arange(50, dtype=np.int32)
_DAY_US = 86_400_000_000


def write_raw(
    lake: Lake,
    settings: Settings,
    months: Sequence[Month],
    customers: int,
    *,
    seed: int = 7,
    events_a_month: float = EVENTS_A_MONTH,
) -> int:
    """Write ``raw/snapshots`` and ``raw/transactions`` of some months and return the number of transactions."""
    write_catalogue(lake, settings)
    ids = np.sort(np.random.default_rng(seed).choice(2**40, customers, replace=False)).astype(np.int64)
    rates = np.random.default_rng(seed + 1).gamma(1.5, events_a_month / 1.5, customers)
    weights = 1.0 / np.arange(1, len(CODES) + 1)
    weights /= weights.sum()
    events = 0
    for done, month in enumerate(months):
        rng = np.random.default_rng([seed, month.ordinal])
        with lake.write("raw/snapshots", month.key) as snapshots, lake.write("raw/transactions", month.key) as lines:
            for low in range(0, customers, BLOCK):
                block = slice(low, min(low + BLOCK, customers))
                snapshots.write(_snapshot(rng, ids[block], month, settings))
                table = _transactions(rng, ids[block], rates[block], month, CODES, weights)
                lines.write(table, row_group_size=ROW_GROUP)
                events += table.num_rows
        report_progress("write raw months", done + 1, len(months))
    return events


def write_catalogue(lake: Lake, settings: Settings) -> None:
    """Write ``raw/products`` and ``raw/merchant_categories``, the latter with 50 leaves below 20 nodes below 10."""
    products, leaf = np.arange(len(settings.products), dtype=np.int16), np.arange(len(CODES))
    family = pa.array([settings.families.index(product.family) for product in settings.products], pa.int16())
    tables = {
        "raw/products": pa.table({"product_id": products, "family": family}),
        "raw/merchant_categories": pa.table({"mcc": CODES, "l2": leaf % 20, "l1": leaf % 20 % 10}),
    }
    for asset, table in tables.items():
        with lake.write(asset) as out:
            out.write(table)


def _snapshot(rng: np.random.Generator, ids: np.ndarray, month: Month, settings: Settings) -> pa.Table:
    n, products = len(ids), len(settings.products)
    # Holdings follow from the id, so that they last, and change by a rare flip a month.
    held = ((ids[:, None] * (2 * np.arange(products) + 7919) >> 5) % 10 < 2) ^ (rng.random((n, products)) < 0.01)
    offsets = np.concatenate([[0], np.cumsum(held.sum(axis=1))]).astype(np.int32)
    values = np.nonzero(held)[1].astype(np.int16)

    def nullable(array: np.ndarray, share: float) -> pa.Array:
        return pa.array(array, mask=rng.random(n) < share)

    def texts(words: Sequence[str]) -> pa.Array:
        return pa.array(np.array(words)[ids % len(words)])

    return pa.table(
        {
            "customer_id": ids,
            "snapshot_month": pa.array([month.start.date()] * n, pa.date32()),
            "age": nullable((18 + ids % 70).astype(np.int16), 0.02),
            "income": nullable(np.exp(rng.normal(17, 0.6, n)).round(-4), 0.1),
            "tenure_months": nullable((ids % 240).astype(np.int16), 0.05),
            "is_active": pa.array(rng.random(n) < 0.9),
            "gender": texts(["f", "m"]),
            "segment": texts(settings.dataset.segments),
            "country": texts(["KR", "KR", "KR", "US", "CN"]),
            "channel": texts(["branch", "app", "web"]),
            "held": pa.ListArray.from_arrays(pa.array(offsets), pa.array(values)),
        }
    )


def _transactions(
    rng: np.random.Generator, ids: np.ndarray, rates: np.ndarray, month: Month, codes: np.ndarray, weights: np.ndarray
) -> pa.Table:
    counts = rng.poisson(rates)
    n = int(counts.sum())
    owner = np.repeat(np.arange(len(ids)), counts)
    days = (month.cutoff_us - month.start_us) // _DAY_US
    seconds = (rng.normal(14, 4, n).clip(0, 23.99) * 3600).astype(np.int64)
    ts = month.start_us + rng.integers(0, days, n) * _DAY_US + seconds * 1_000_000
    order = np.lexsort((ts, owner))
    kind = rng.choice(len(codes), n, p=weights)
    amount = -np.exp(rng.normal(9.5, 1.0, n)).round(-1)
    amount[rng.random(n) < 0.02] *= -1
    return pa.table(
        {
            "customer_id": ids[owner],
            "ts": pa.array(ts[order]).cast(pa.timestamp("us")),
            "amount": amount,
            "mcc": codes[kind],
            "merchant_id": (kind * 1000 + rng.integers(0, 40, n)).astype(np.int64),
        }
    )
