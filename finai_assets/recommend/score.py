"""Recommendations of many customers at once, by the functions that answer a single request.

Models predict a block per call and explain only the customers who are shown a product of theirs; choosing and wording is the
handler's own code, customer by customer. A row here equals the handler's answer for that customer bit by bit.
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
from finai_assets.settings import Settings
from finai_assets.training.matrix import month_features
from finai_resources.errors import BundleError, ContractError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.progress import report_progress
from serving_lambda.answer import Choice, choose, evidence_of, reason_of, strongest
from serving_lambda.bundle import Bundle
from serving_lambda.contract import Customer, Flag, flags_of
from serving_lambda.errors import ServingError
from serving_lambda.reasons import Evidence
from serving_lambda.scorer import RULES_LAYER, Scored, Scores, Student, score_matrix

ATTRIBUTION = pa.struct([("column", pa.string()), ("contribution", pa.float32())])
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
        ("attributions", pa.list_(ATTRIBUTION)),
        ("bundle_id", pa.string()),
    ]
)


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

    Returns
    -------
    pa.Table
        :data:`SCHEMA`, one row per shown product, by customer and rank.

    Raises
    ------
    BundleError
        A column of the bundle's contract is not among ``names``.
    ServingError
        Every student of a task failed, or one cannot explain what it scored.
    """
    rows = _contract_matrix(bundle, X, names)
    customers = _customers(bundle, customer_id, rows, held, age, segment)
    scored = _scored(bundle.students, rows, customers, threads)
    chosen = [
        choose(bundle, found, customer, settings.recommend.top_k)
        for found, customer in zip(scored, customers, strict=True)
    ]
    contributions = _contributions(scored, rows, chosen, threads)
    return _table(bundle, customers, scored, chosen, contributions)


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


def _scored(
    students: Mapping[str, Student], rows: np.ndarray, customers: Sequence[Customer], threads: int
) -> list[Scored]:
    """Return each customer's scores, in task order; a customer outside the contract has none.

    A student that fails makes way for the layer below it, as in the handler. Where a task has none left, the error is raised: a
    month can wait for a sound bundle, a single request cannot.
    """
    inside = [index for index, customer in enumerate(customers) if not customer.flags]
    scores: list[Scores] = [{} for _ in customers]
    used: dict[str, Student] = {}
    chosen = rows if len(inside) == len(rows) else rows[inside]
    for task, best in students.items():
        if best.unavailable:
            continue
        used[task], predictions = _predicted(best, chosen, threads)
        for index, values in zip(inside, predictions, strict=True):
            scores[index][task] = values
    return [Scored(found, used if found else {}) for found in scores]


def _predicted(best: Student, rows: np.ndarray, threads: int) -> tuple[Student, list[list[float]]]:
    """Return the predictions of the first student that gives some, and that student."""
    failed: ServingError | None = None
    for student in best.layers():
        matrix = np.ascontiguousarray(rows[:, student.positions])
        try:
            return student, score_matrix(student, matrix, len(rows), threads=threads)
        except ServingError as error:
            failed = failed or error
    raise failed or ServingError("PREDICTION_FAILED", "the task has no model", best.task)


def _contributions(
    scored: Sequence[Scored], rows: np.ndarray, chosen: Sequence[Sequence[Choice]], threads: int
) -> list[dict[str, Sequence[float]]]:
    """Return, for each customer, the contributions of the tasks that explain a product that they are shown."""
    wanted: dict[str, list[int]] = {}
    for index, choices in enumerate(chosen):
        for task in {choice.explained_by.task for choice in choices if choice.explained_by is not None}:
            wanted.setdefault(task, []).append(index)
    found: list[dict[str, Sequence[float]]] = [{} for _ in chosen]
    for task, indices in wanted.items():
        student = scored[indices[0]].students[task]
        matrix = np.ascontiguousarray(rows[np.ix_(indices, student.positions)])
        values = student.ready().contributions(matrix, len(indices), threads=threads)
        width = student.classes * (len(student.columns) + 1)
        for position, index in enumerate(indices):
            found[index][task] = values[position * width : (position + 1) * width]
    return found


def _table(
    bundle: Bundle,
    customers: Sequence[Customer],
    scored: Sequence[Scored],
    chosen: Sequence[Sequence[Choice]],
    contributions: Sequence[Mapping[str, Sequence[float]]],
) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for customer, own, choices, known in zip(customers, scored, chosen, contributions, strict=True):
        for rank, choice in enumerate(choices, start=1):
            term = choice.explained_by
            evidence: list[Evidence] = []
            if term is not None:
                evidence = evidence_of(own.students[term.task], known[term.task], term.output, customer.row)
            reason = reason_of(bundle, choice, evidence, customer)
            columns["customer_id"].append(customer.customer_id)
            columns["rank"].append(rank)
            columns["product_id"].append(choice.product_id)
            columns["product"].append(bundle.ranking.products[choice.product_id].code)
            columns["score"].append(choice.score)
            columns["layer"].append(choice.layer)
            columns["explained_by"].append(term.task if term else None)
            columns["reason_ko"].append(reason["ko"])
            columns["reason_en"].append(reason["en"])
            columns["attributions"].append(
                [
                    {"column": bundle.names[entry.position], "contribution": entry.contribution}
                    for entry in strongest(evidence, bundle.ranking.attributions)
                ]
            )
            columns["bundle_id"].append(bundle.bundle_id)
    return pa.table({name: pa.array(values, SCHEMA.field(name).type) for name, values in columns.items()}, SCHEMA)


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
        offered), ``customers_per_second``.

    Raises
    ------
    BundleError
        The bundle does not fit the features, or a model failed.
    ContractError
        The month's snapshots and features hold different customers.
    """
    total = session.manifest(SNAPSHOTS, month.key).rows
    _require_same(total, session.manifest(registry.available[0].asset, month.key).rows, month)
    figures = {"customers": 0, "recommendations": 0, "served_by_rules": 0, "empty": 0}
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
    figures["served_by_rules"] += int(pc.sum(pc.equal(first["layer"], RULES_LAYER)).as_py() or 0)
    figures["empty"] += customers - first.num_rows
