"""A simulated block as Arrow tables in the form of the data contract, and the catalogue tables of the settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import truth_asset
from finai_assets.ingest.contract import MERCHANT_CATEGORIES, PRODUCTS, SNAPSHOTS, TRANSACTIONS, protected_contract
from finai_assets.ingest.synthetic.compile import generator_of, leaf_codes
from finai_assets.ingest.synthetic.population import Population, Traits
from finai_assets.ingest.synthetic.record import Record
from finai_assets.ingest.synthetic.spending import Payments
from finai_assets.ingest.synthetic.truth import MonthTruth, TaskTruth
from finai_assets.settings import Settings

PROTECTED = ("gender", "age_band", "region", "disability")
AGE_BANDS = ((0, "under 30"), (30, "30-44"), (45, "45-64"), (65, "65 and over"))


def product_table(settings: Settings) -> pa.Table:
    """Return the products of the settings as ``raw/products`` has them."""
    process = generator_of(settings).process
    terms = [process.products[product.code].term for product in settings.products]
    return pa.table(
        {
            "product_id": range(len(settings.products)),
            "name": [product.name for product in settings.products],
            "family": [settings.families.index(product.family) for product in settings.products],
            "product_class": [product.product_class for product in settings.products],
            "risk_grade": [product.risk_grade for product in settings.products],
            "terms": [json.dumps({"term_months": term} if term else {}) for term in terms],
        },
        schema=PRODUCTS,
    )


def category_table(settings: Settings) -> pa.Table:
    """Return the tree of merchant categories of the settings as ``raw/merchant_categories`` has it."""
    categories = sorted(settings.merchant_categories, key=lambda category: category.mcc)
    l2, l1 = (_numbers(getattr(c, level) for c in settings.merchant_categories) for level in ("l2", "l1"))
    return pa.table(
        {
            "mcc": [category.mcc for category in categories],
            "name": [category.name for category in categories],
            "l2": [l2[category.l2] for category in categories],
            "l1": [l1[category.l1] for category in categories],
        },
        schema=MERCHANT_CATEGORIES,
    )


def _numbers(names: Iterable[str]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in names:
        found.setdefault(name, len(found))
    return found


def snapshot_table(
    month: int, tokens: np.ndarray, people: Population, traits: Traits, record: Record, settings: Settings
) -> pa.Table:
    """Return a block's rows of a month's snapshots, ascending by customer."""
    population = generator_of(settings).process.population
    rows = np.flatnonzero(record.present[:, month])
    held = record.held[rows, month]
    offsets = np.concatenate([[0], np.cumsum(held.sum(axis=1, dtype=np.int64))])
    day = (settings.dataset.raw_months.first + month).start.date()

    def known(values: np.ndarray, mask: np.ndarray, kind: pa.DataType) -> pa.Array:
        return pa.array(values, type=kind, mask=~mask)

    arrays = [
        pa.array(tokens[rows]),
        pa.repeat(pa.scalar(day, pa.date32()), len(rows)),
        known(((people.age_months[rows] + month) // 12).astype(np.int16), traits.age_known[rows], pa.int16()),
        known(traits.income[rows], ~np.isnan(traits.income[rows]), pa.float64()),
        known((month - people.join[rows]).astype(np.int16), traits.tenure_known[rows], pa.int16()),
        known(record.number[rows, month] > 0, traits.activity_known[rows], pa.bool_()),
        _named(traits.gender[rows], population.genders),
        _named(record.segment[rows, month], settings.dataset.segments),
        _named(traits.country[rows], population.countries),
        _named(traits.channel[rows], population.channels),
        pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(np.nonzero(held)[1].astype(np.int16))),
    ]
    return pa.Table.from_arrays(arrays, schema=SNAPSHOTS)


def protected_table(
    month: int, tokens: np.ndarray, people: Population, traits: Traits, record: Record, settings: Settings
) -> pa.Table:
    """Return a block's rows of a month's protected attributes; here nothing is missing, whatever a snapshot knows."""
    population = generator_of(settings).process.population
    rows = np.flatnonzero(record.present[:, month])
    age = (people.age_months[rows] + month) // 12
    band = np.searchsorted([begin for begin, _ in AGE_BANDS], age, side="right") - 1
    arrays = [
        pa.array(tokens[rows]),
        _named(traits.true_gender[rows], population.genders),
        _named(band, [name for _, name in AGE_BANDS]),
        _named(traits.region[rows], population.regions),
        _named(traits.disability[rows].astype(np.int64), ["no", "yes"]),
    ]
    return pa.Table.from_arrays(arrays, schema=protected_contract(PROTECTED).schema)


def _named(codes: np.ndarray, names: Iterable[str]) -> pa.Array:
    return pa.array(list(names), pa.string()).take(pa.array(codes.astype(np.int64), mask=codes < 0))


def transaction_tables(
    rng: np.random.Generator, tokens: np.ndarray, payments: Payments, months: int, settings: Settings
) -> list[pa.Table]:
    """Return a block's transactions of each month, by customer and time. Some merchants are unknown."""
    missing = generator_of(settings).process.population.missing.get("merchant_id", 0.0)
    unknown = rng.random(len(payments.ts)) < missing
    order = np.argsort(payments.month, kind="stable")
    begin = np.searchsorted(payments.month[order], np.arange(months + 1))
    codes = leaf_codes(settings)
    tables = []
    for month in range(months):
        chosen = order[begin[month] : begin[month + 1]]
        arrays = [
            pa.array(tokens[payments.customer[chosen]]),
            pa.array(payments.ts[chosen], pa.timestamp("us")),
            pa.array(payments.amount[chosen]),
            pa.array(codes[payments.leaf[chosen]]),
            pa.array(payments.merchant[chosen], mask=unknown[chosen]),
        ]
        tables.append(pa.Table.from_arrays(arrays, schema=TRANSACTIONS))
    return tables


def truth_tables(
    tokens: np.ndarray, found: MonthTruth, truths: Sequence[TaskTruth], settings: Settings
) -> dict[str, pa.Table]:
    """Return one table for each task's truth, by the path of its asset; null where a label can't be defined."""
    codes = leaf_codes(settings)
    customer = pa.array(tokens[found.rows])
    tables = {}
    for of in truths:
        values = found.values[of.task]
        columns = {"customer_id": customer}
        if of.kind == "multiclass":
            names = codes if of.truth.of_leaves else range(values.shape[1])
            for position, name in enumerate(names):
                columns[f"p_{name}"] = pa.array(np.ascontiguousarray(values[:, position]))
        else:
            columns["p" if of.kind == "binary" else "mean"] = pa.array(values, mask=np.isnan(values))
        tables[truth_asset(of.task)] = pa.table(columns)
    return tables


def product_truth_table(tokens: np.ndarray, found: MonthTruth) -> pa.Table:
    """Return the probability that each customer acquires each product in the next month: a column ``p_<id>`` for each product."""
    columns = {f"p_{product}": pa.array(np.ascontiguousarray(p)) for product, p in enumerate(found.acquires.T)}
    return pa.table({"customer_id": pa.array(tokens[found.rows]), **columns})
