"""Recommendations of many customers at once, by the functions that answer a single request.

Models predict a block per call and explain only the customers who are shown a product of theirs; rules and words are the
handler's own code, filters, ranking and attribution its arithmetic on arrays. A row here equals the handler's answer for that
customer bit by bit. Beside it stands the decision: what was ranked before constraints, and why a product, or all, is not served.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_assets.asset_graph import DECISIONS, PERMITTED, RECOMMENDATIONS, SCORED_BY, SNAPSHOTS
from finai_assets.features.block import block_ranges
from finai_assets.features.registry import Registry
from finai_assets.ingest.holdings import multi_hot
from finai_assets.recommend import decisions
from finai_assets.recommend.attributed import contributions_of, strongest_of
from finai_assets.recommend.customers import contract_matrix, customers_of
from finai_assets.recommend.groups import Group, Predicted, grouped, predicted
from finai_assets.recommend.offered import offered_to
from finai_assets.recommend.ranked import BY_RULES, Shares, Shown, ordered, shown_to
from finai_assets.recommend.standing import Standings, read_standings
from finai_assets.recommend.terms import TERM, terms_of
from finai_assets.recommend.told import told_of
from finai_assets.settings import Settings
from finai_assets.training.matrix import month_features
from finai_resources.errors import BundleError, ContractError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import report_progress
from serving_lambda.bundle import Bundle
from serving_lambda.errors import ServingError
from serving_lambda.facts import Told
from serving_lambda.ports import Ports

CONSENT_CHECK = "consent_zero_leak"  # C32: an override of it lets products be served where consents are unknown
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
_OF_LAYER = ("layer_1", "layer_2", "layer_3")


class Block(NamedTuple):
    """What is stored of a block of customers.

    Parameters
    ----------
    recommendations : pa.Table
        :data:`SCHEMA`, one row per shown product, by customer and rank.
    decisions : pa.Table
        :data:`finai_assets.recommend.decisions.SCHEMA`, one row per customer.
    """

    recommendations: pa.Table
    decisions: pa.Table


def score_block(  # noqa: PLR0913 -- one array for each thing that a request brings
    bundle: Bundle,
    customer_id: np.ndarray,
    X: np.ndarray,
    names: Sequence[str],
    *,
    held: np.ndarray,
    age: np.ndarray,
    segment: Sequence[str | None],
    standing: Standings,
    settings: Settings,
    threads: int = 1,
    ports: Ports = ABSENT,
    unknown_permitted: bool = False,
) -> Block:
    """Return the recommendations and decisions of a block of customers.

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
    standing
        Of the n customers, with the day of the decision.
    settings
        ``recommend.top_k`` products are shown.
    threads
        For LightGBM; the result does not depend on it.
    ports
        The kill switch and the contact history, where they are there.
    unknown_permitted
        Whether something is served although consents or messages are unknown.

    Raises
    ------
    BundleError
        A column of the bundle's contract is not among ``names``.
    ServingError
        Every student of a ranking task failed, or one cannot explain what it scored.
    """
    rows = contract_matrix(bundle, X, names)
    customers = customers_of(bundle, customer_id, rows, held, age, segment, standing, ports.contacts)
    offered = offered_to(bundle, held, age, standing, unknown_permitted=unknown_permitted)
    k = settings.recommend.top_k
    ranked, served = (np.full((len(customers), k), decisions.NOT_LISTED) for _ in range(2))
    parts = [_PLACED.empty_table()]
    for group in grouped(bundle, customers, rows, ports.switch):
        found = predicted(group, threads)
        before = ordered(bundle.ranking, group, found, offered.unheld[group.at], k).lists
        ranked[group.at, : before.shape[1]] = before
        shown, shares = shown_to(bundle, group, found, offered.open[group.at], k)
        served[group.at[shown.customer], shown.rank - 1] = shown.product
        parts += _explained(bundle, group, found, shown, shares, threads)
    whole = pa.concat_tables(parts)
    order = pc.sort_indices(whole, sort_keys=[(_PLACE, "ascending"), ("rank", "ascending")])
    return Block(
        whole.take(order).select(SCHEMA.names).combine_chunks(),
        decisions.decisions_of(customer_id, ranked, served, offered, standing),
    )


def lists_of(
    bundle: Bundle,
    customer_id: np.ndarray,
    X: np.ndarray,
    names: Sequence[str],
    held: np.ndarray,
    profile: Mapping[str, Any],
    settings: Settings,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return the lists of some customers without reasons: scores before constraints, what is served, its layers, what is open.

    Parameters
    ----------
    profile
        ``age`` float64 [n] (NaN where unknown), ``segment``, a sequence of str or None, and ``standing``.

    Returns
    -------
    tuple
        float64 [n, products], -inf where a product is held or has no term; int64 [n, top_k] ids of the products that are served,
        in order, -1 behind the last; int64 [n, top_k] layers, 0 there; and bool [n, products], what may be offered.
    """
    k, size, n = settings.recommend.top_k, settings.lake.block_customers, len(customer_id)
    score = np.full((n, held.shape[1]), -np.inf)
    served, layers = np.full((n, k), decisions.NOT_LISTED), np.zeros((n, k), dtype=np.int64)
    age, segment, standing = profile["age"], profile["segment"], profile["standing"]
    offered = offered_to(bundle, held, age, standing)
    for begin in range(0, n, size):
        part = slice(begin, begin + size)
        rows = contract_matrix(bundle, X[part], names)
        customers = customers_of(
            bundle, customer_id[part], rows, held[part], age[part], segment[part], standing.take(part), None
        )
        for group in grouped(bundle, customers, rows):
            found, at = predicted(group, settings.lake.workers), begin + group.at
            before = ordered(bundle.ranking, group, found, offered.unheld[at], k).scores
            score[at] = np.where(before.ranked, before.score, -np.inf)
            shown = shown_to(bundle, group, found, offered.open[at], k)[0]
            served[at[shown.customer], shown.rank - 1] = shown.product
            layers[at[shown.customer], shown.rank - 1] = shown.layer
    return score, served, layers, offered.open


def _explained(
    bundle: Bundle, group: Group, found: Predicted, shown: Shown, shares: Shares, threads: int
) -> Iterator[pa.Table]:
    """Yield the recommendations of customers who are served by the same models, with their places in the block."""
    for low in range(0, len(shown.customer), EXPLAINED_AT_ONCE):
        part = slice(low, low + EXPLAINED_AT_ONCE)
        contributions = contributions_of(bundle, group, found, shown, shares, part, threads)
        terms = terms_of(bundle, group, found, shown, shares, part)
        yield _table(bundle, group, shown, part, contributions, terms)


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
    code_version: str,
    config_hash: str = "",
    permission: str = "",
) -> dict[str, Any]:
    """Score every customer of a month, block by block, and write the recommendations and the decisions.

    Parameters
    ----------
    permission
        Who permits until when that something is served although consents are unknown; empty where nobody does.

    Returns
    -------
    dict
        ``customers``, ``recommendations``, ``served_by_rules`` (customers), ``empty`` (customers to whom nothing is offered),
        ``nothing_offered`` (customers by code), ``layer_1``, ``layer_2``, ``layer_3`` (recommendations by their lowest layer),
        ``customers_per_second``.

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
    codes: Counter[str] = Counter()
    extra = {SCORED_BY: bundle.bundle_id, PERMITTED: permission}
    started = time.perf_counter()
    with ExitStack() as stack:
        outputs = [
            stack.enter_context(
                session.write(path, month.key, code_version=code_version, config_hash=config_hash, extra=extra)
            )
            for path in (RECOMMENDATIONS, DECISIONS)
        ]
        for span in block_ranges(session, month, settings):
            block = _score_range(session, month, span, registry, settings, bundle, unknown_permitted=bool(permission))
            for out, table in zip(outputs, block, strict=True):
                out.write(table)
            _count(figures, block)
            codes.update(block.decisions["code"].drop_null().to_pylist())
            report_progress("customers", figures["customers"], total)
    seconds = time.perf_counter() - started
    per_second = round(figures["customers"] / seconds, 1)
    return {**figures, "nothing_offered": dict(sorted(codes.items())), "customers_per_second": per_second}


def _score_range(
    session: LakeSession,
    month: Month,
    span: tuple[int, int],
    registry: Registry,
    settings: Settings,
    bundle: Bundle,
    *,
    unknown_permitted: bool,
) -> Block:
    """Return what is stored of a range of ids."""
    customer_id, X = month_features(session, month, registry, *span)
    snapshot = session.read_customers(SNAPSHOTS, month.key, *span, columns=["customer_id", "age", "segment", "held"])
    same = np.array_equal(snapshot["customer_id"].to_numpy(), customer_id)
    _require_same(snapshot.num_rows, len(customer_id) if same else -1, month)
    try:
        return score_block(
            bundle,
            customer_id,
            X,
            registry.names,
            held=multi_hot(snapshot["held"], len(settings.products), where=f"{SNAPSHOTS}@{month.key}"),
            age=pc.cast(snapshot["age"], pa.float64()).to_numpy(zero_copy_only=False),
            segment=snapshot["segment"].to_pylist(),
            standing=read_standings(
                session, np.full(len(customer_id), month.key), customer_id, bundle.offering, settings
            ),
            settings=settings,
            threads=settings.lake.workers,
            unknown_permitted=unknown_permitted,
        )
    except ServingError as error:
        raise BundleError(
            f"a model failed: {error.message}", where=f"bundle {bundle.bundle_id}", fix="build the bundle again"
        ) from error


def _require_same(snapshots: int, features: int, month: Month) -> None:
    """Refuse a month whose snapshots and features hold different customers; -1 stands for equally many others."""
    if snapshots != features:
        raise ContractError(
            f"{snapshots} customers in the snapshots, {features if features >= 0 else 'others'} in the features",
            where=f"{SNAPSHOTS}@{month.key}",
            fix="materialise the month's features again from the same snapshots",
        )


def _count(figures: dict[str, int], block: Block) -> None:
    table = block.recommendations
    first = table.filter(pc.equal(table["rank"], 1))
    figures["customers"] += block.decisions.num_rows
    figures["recommendations"] += table.num_rows
    figures["served_by_rules"] += first["explained_by"].null_count
    figures["empty"] += block.decisions.num_rows - first.num_rows
    for layer, name in enumerate(_OF_LAYER, start=1):
        figures[name] += int(pc.sum(pc.equal(table["layer"], layer)).as_py() or 0)
