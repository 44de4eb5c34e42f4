"""Recommendations of many customers at once, by the functions that answer a single request.

Models predict a block per call and explain only the customers who are shown a product of theirs; filters, rules and words are the
handler's own code, ranking and attribution its arithmetic on arrays. A row here equals the handler's answer for that customer bit
by bit.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.features.block import block_ranges
from finai_assets.features.registry import Registry
from finai_assets.ingest.holdings import multi_hot
from finai_assets.recommend.attributed import contributions_of, strongest_of
from finai_assets.recommend.groups import Group, grouped, predicted
from finai_assets.recommend.ranked import BY_RULES, Shown, ranked_of, shown_to
from finai_assets.recommend.terms import TERM, terms_of
from finai_assets.recommend.told import told_of
from finai_assets.settings import Settings
from finai_assets.training.matrix import month_features
from finai_resources.errors import BundleError, ContractError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import report_progress
from serving_lambda.bundle import Bundle
from serving_lambda.contract import Customer, Flag, flags_of
from serving_lambda.errors import ServingError
from serving_lambda.facts import Told
from serving_lambda.ports import ContactHistory, Ports

ABSENT = Ports()
EXPLAINED_AT_ONCE = 2048  # shown products; bounds the memory of their contributions
ATTRIBUTION = pa.struct([("column", pa.string()), ("value", pa.float32()), ("contribution", pa.float32())])
FACT = pa.struct(
    [
        ("fact", pa.string()),
        ("figure", pa.float64()),
        ("value", pa.float64()),
        ("base", pa.float64()),
        ("contribution", pa.float64()),
    ]
)
SCHEMA = pa.schema(
    [
        ("customer_id", pa.int64()),
        ("rank", pa.int8()),
        ("product_id", pa.int16()),
        ("product", pa.string()),
        ("score", pa.float32()),
        ("layer", pa.int8()),
        ("explained_by", pa.string()),
        ("reason_ko", pa.string()),
        ("reason_en", pa.string()),
        ("facts", pa.list_(FACT)),
        ("carried", pa.float32()),
        ("not_displayable", pa.int8()),
        ("attributions", pa.list_(ATTRIBUTION)),
        ("terms", pa.list_(TERM)),
        ("bundle_id", pa.string()),
    ]
)
_PLACE = "place"  # of the customer in the block
_PLACED = SCHEMA.append(pa.field(_PLACE, pa.int64()))
_EMPTY = _PLACED.empty_table()
_OF_LAYER = ("layer_1", "layer_2", "layer_3")


def score_block(  # noqa: PLR0913 -- one array for each thing that a request brings
    bundle: Bundle,
    customer_id: np.ndarray,
    X: np.ndarray,
    names: Sequence[str],
    *,
    held: np.ndarray,
    age: np.ndarray,
    segment: Sequence[str | None],
    settings: Settings,
    threads: int = 1,
    ports: Ports = ABSENT,
) -> pa.Table:
    """Return the recommendations of a block of customers.

    Parameters
    ----------
    bundle
        The verified bundle.
    customer_id : int64 [n]
    X : float32 [n, d]
        Features in the order of ``names``; NaN where missing.
    held : bool or uint8 [n, products]
    age : float [n]
        NaN where unknown.
    segment : sequence of str or None [n]
    settings
        ``recommend.top_k`` products are shown.
    threads
        For LightGBM; the result does not depend on it.
    ports
        The kill switch and the contact history, where they are there.

    Returns
    -------
    pa.Table
        :data:`SCHEMA`, one row per shown product, by customer and rank.

    Raises
    ------
    BundleError
        A column of the bundle's contract is not among ``names``.
    ServingError
        Every student of a ranking task failed, or one cannot explain what it scored.
    """
    rows = _contract_matrix(bundle, X, names)
    customers = _customers(bundle, customer_id, rows, held, age, segment, ports.contacts)
    parts = [
        _scored_group(bundle, group, settings.recommend.top_k, threads)
        for group in grouped(bundle, customers, rows, ports.switch)
    ]
    whole = pa.concat_tables(parts) if parts else _EMPTY
    order = pc.sort_indices(whole, sort_keys=[(_PLACE, "ascending"), ("rank", "ascending")])
    return whole.take(order).select(SCHEMA.names).combine_chunks()


def lists_of(
    bundle: Bundle,
    customer_id: np.ndarray,
    X: np.ndarray,
    names: Sequence[str],
    held: np.ndarray,
    profile: Mapping[str, Any],
    settings: Settings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the lists of some customers without reasons: the scores of all products, what is shown, and its layers.

    Parameters
    ----------
    profile
        ``age`` float64 [n] (NaN where unknown) and ``segment``, a sequence of str or None.

    Returns
    -------
    tuple
        float64 [n, products], -inf where a product has no term; int64 [n, top_k] product ids in order, -1 behind the last; and
        int64 [n, top_k] layers, 0 there.
    """
    k, size, n = settings.recommend.top_k, settings.lake.block_customers, len(customer_id)
    score = np.full((n, held.shape[1]), -np.inf)
    products, layers = np.full((n, k), -1), np.zeros((n, k), dtype=np.int64)
    for begin in range(0, n, size):
        part = slice(begin, begin + size)
        rows = _contract_matrix(bundle, X[part], names)
        customers = _customers(
            bundle, customer_id[part], rows, held[part], profile["age"][part], profile["segment"][part], None
        )
        for group in grouped(bundle, customers, rows):
            found = predicted(group, settings.lake.workers)
            shown, ranked = shown_to(bundle, group, found, k)[0], ranked_of(bundle, group, found)
            at = begin + group.at
            score[at] = np.where(ranked.ranked, ranked.score, -np.inf)
            products[at[shown.customer], shown.rank - 1] = shown.product
            layers[at[shown.customer], shown.rank - 1] = shown.layer
    return score, products, layers


def _contract_matrix(bundle: Bundle, X: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return the contract's columns as float32 [n, columns], C order."""
    place = {name: index for index, name in enumerate(names)}
    if missing := [name for name in bundle.names if name not in place]:
        raise BundleError(
            f"{len(missing)} columns of the bundle do not exist here: {', '.join(missing[:5])}",
            where=f"bundle {bundle.bundle_id}",
            fix="score with a bundle that was built on the present features",
        )
    return np.ascontiguousarray(X[:, [place[name] for name in bundle.names]], dtype=np.float32)


def _customers(
    bundle: Bundle,
    customer_id: np.ndarray,
    rows: np.ndarray,
    held: np.ndarray,
    age: np.ndarray,
    segment: Sequence[str | None],
    history: ContactHistory | None,
) -> list[Customer]:
    outside = _outside(bundle, rows)
    nothing: tuple[Flag, ...] = ()
    customers = []
    for index, identity in enumerate(customer_id.tolist()):
        row = memoryview(rows[index])  # gives Python floats, and needs no memory of its own
        customers.append(
            Customer(
                identity,
                row,
                frozenset(np.flatnonzero(held[index]).tolist()),
                None if np.isnan(age[index]) else int(age[index]),
                segment[index] if segment[index] in bundle.segments else None,
                flags_of(row, bundle) if outside[index] else nothing,
                history.recent(identity) if history else {},
            )
        )
    return customers


def _outside(bundle: Bundle, rows: np.ndarray) -> np.ndarray:
    """Return whether each customer has a value outside the contract; only those are checked value by value."""
    low, high = np.array(bundle.bounds, dtype=np.float64).reshape(-1, 2).T
    nullable = np.array([column.nullable for column in bundle.columns], dtype=bool)
    missing = np.isnan(rows)
    within = (rows >= low) & (rows <= high) & np.isfinite(rows)
    return ~(within | (missing & nullable)).all(axis=1)


def _scored_group(bundle: Bundle, group: Group, k: int, threads: int) -> pa.Table:
    """Return the recommendations of customers who are served by the same models, with their places in the block."""
    found = predicted(group, threads)
    shown, shares = shown_to(bundle, group, found, k)
    tables = [_EMPTY]
    for low in range(0, len(shown.customer), EXPLAINED_AT_ONCE):
        part = slice(low, low + EXPLAINED_AT_ONCE)
        contributions = contributions_of(bundle, group, found, shown, shares, part, threads)
        terms = terms_of(bundle, group, found, shown, shares, part)
        tables.append(_table(bundle, group, shown, part, contributions, terms))
    return pa.concat_tables(tables)


def _table(
    bundle: Bundle, group: Group, shown: Shown, part: slice, contributions: np.ndarray, terms: pa.ListArray
) -> pa.Table:
    """Return some shown products as rows, with reasons and attributions."""
    customer, product, source = shown.customer[part], shown.product[part], shown.source[part]
    ids = [group.customers[place].customer_id for place in customer.tolist()]
    products = [bundle.ranking.products[place] for place in product.tolist()]
    rows = group.rows[customer]
    spoken = told_of(bundle.renderer.teller, contributions, rows, product)
    reasons = [
        bundle.renderer.reason(told, of, identity)
        for told, of, identity in zip(spoken.told, products, ids, strict=True)
    ]
    strongest = strongest_of(contributions, bundle.ranking.attributions)
    tasks = [
        None if origin == BY_RULES else bundle.ranking.sources[of.product_id][origin].task
        for of, origin in zip(products, source.tolist(), strict=True)
    ]
    columns = {
        "customer_id": ids,
        "rank": shown.rank[part],
        "product_id": product,
        "product": [of.code for of in products],
        "score": shown.score[part],
        "layer": shown.layer[part],
        "explained_by": tasks,
        "reason_ko": [reason["ko"] for reason in reasons],
        "reason_en": [reason["en"] for reason in reasons],
        "facts": _facts(spoken.told),
        "carried": spoken.carried,
        "not_displayable": np.bincount(strongest[0], ~spoken.tellable[strongest], minlength=len(ids)).astype(np.int8),
        "attributions": _attributions(bundle, contributions, rows, strongest),
        "terms": terms,
        "bundle_id": [bundle.bundle_id] * len(ids),
        _PLACE: group.at[customer],
    }
    return pa.table(
        {name: pa.array(values).cast(_PLACED.field(name).type) for name, values in columns.items()}, _PLACED
    )


def _facts(told: Sequence[Sequence[Told]]) -> pa.ListArray:
    """Return the told facts of each row."""
    flat = [entry for of_row in told for entry in of_row]
    columns = zip(*flat, strict=True) if flat else [()] * len(Told._fields)
    arrays = [pa.array(column, field.type, from_pandas=True) for column, field in zip(columns, FACT, strict=True)]
    ends = np.cumsum([0, *map(len, told)]).astype(np.int32)
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays(arrays, fields=list(FACT)))


def _attributions(
    bundle: Bundle, contributions: np.ndarray, values: np.ndarray, strongest: tuple[np.ndarray, np.ndarray]
) -> pa.ListArray:
    """Return the strongest contributions of each row, with the columns' values, null where missing."""
    rows, columns = strongest
    entries = pa.StructArray.from_arrays(
        [
            pa.array(bundle.names).take(pa.array(columns)),
            pa.array(values[strongest], from_pandas=True),
            pa.array(contributions[strongest].astype(np.float32)),
        ],
        fields=list(ATTRIBUTION),
    )
    ends = np.searchsorted(rows, np.arange(len(contributions) + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(ends, entries)


def score_month(
    session: LakeSession,
    month: Month,
    registry: Registry,
    settings: Settings,
    bundle: Bundle,
    *,
    asset: str,
    code_version: str,
    config_hash: str = "",
) -> dict[str, Any]:
    """Score every customer of a month, block by block, and write ``<asset>@<month>``.

    Returns
    -------
    dict
        ``customers``, ``recommendations``, ``served_by_rules`` (customers), ``empty`` (customers who hold everything that may be
        offered), ``layer_1``, ``layer_2``, ``layer_3`` (recommendations by their lowest layer), ``customers_per_second``.

    Raises
    ------
    BundleError
        The bundle does not fit the features, or a model failed.
    ContractError
        The month's snapshots and features hold different customers.
    """
    total = session.manifest(SNAPSHOTS, month.key).rows
    _require_same(total, session.manifest(registry.available[0].asset, month.key).rows, month)
    figures = {"customers": 0, "recommendations": 0, "served_by_rules": 0, "empty": 0, **dict.fromkeys(_OF_LAYER, 0)}
    started = time.perf_counter()
    with session.write(
        asset, month.key, code_version=code_version, config_hash=config_hash, extra={"bundle_id": bundle.bundle_id}
    ) as out:
        for span in block_ranges(session, month, settings):
            customers, table = _score_range(session, month, span, registry, settings, bundle)
            out.write(table)
            _count(figures, table, customers)
            report_progress("customers", figures["customers"], total)
    seconds = time.perf_counter() - started
    return {**figures, "customers_per_second": round(figures["customers"] / seconds, 1)}


def _score_range(
    session: LakeSession, month: Month, span: tuple[int, int], registry: Registry, settings: Settings, bundle: Bundle
) -> tuple[int, pa.Table]:
    """Return the number of customers of a range of ids, and their recommendations."""
    customer_id, X = month_features(session, month, registry, *span)
    snapshot = session.read_customers(SNAPSHOTS, month.key, *span, columns=["customer_id", "age", "segment", "held"])
    same = np.array_equal(snapshot["customer_id"].to_numpy(), customer_id)
    _require_same(snapshot.num_rows, len(customer_id) if same else -1, month)
    try:
        table = score_block(
            bundle,
            customer_id,
            X,
            registry.names,
            held=multi_hot(snapshot["held"], len(settings.products), where=f"{SNAPSHOTS}@{month.key}"),
            age=pc.cast(snapshot["age"], pa.float64()).to_numpy(zero_copy_only=False),
            segment=snapshot["segment"].to_pylist(),
            settings=settings,
            threads=settings.lake.workers,
        )
    except ServingError as error:
        raise BundleError(
            f"a model failed: {error.message}", where=f"bundle {bundle.bundle_id}", fix="build the bundle again"
        ) from error
    return len(customer_id), table


def _require_same(snapshots: int, features: int, month: Month) -> None:
    """Refuse a month whose snapshots and features hold different customers; -1 stands for equally many others."""
    if snapshots != features:
        raise ContractError(
            f"{snapshots} customers in the snapshots, {features if features >= 0 else 'others'} in the features",
            where=f"{SNAPSHOTS}@{month.key}",
            fix="materialise the month's features again from the same snapshots",
        )


def _count(figures: dict[str, int], table: pa.Table, customers: int) -> None:
    first = table.filter(pc.equal(table["rank"], 1))
    figures["customers"] += customers
    figures["recommendations"] += table.num_rows
    figures["served_by_rules"] += first["explained_by"].null_count
    figures["empty"] += customers - first.num_rows
    for layer, name in enumerate(_OF_LAYER, start=1):
        figures[name] += int(pc.sum(pc.equal(table["layer"], layer)).as_py() or 0)
