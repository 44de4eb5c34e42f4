"""C28: what is stored of a month is what the deployed code answers, customer by customer.

The month is scored on arrays by code of its own, for speed. Here some customers of it are answered one by one by the handler's
path, from the stored features and the bundle that the month names, and compared: products, scores, layers, reasons, codes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from finai_assets.recommend.one import CustomerList
from finai_checks.framework.check import CheckOutcome
from serving_lambda.reasons import Renderer

SHOWN = 5


class Told(NamedTuple):
    """One recommended product: its id, its score (float32), its layer, and its reason in Korean and English."""

    product_id: int
    score: float
    layer: int
    reason_ko: str
    reason_en: str


class Answer(NamedTuple):
    """What a customer gets, in order, the code of why nothing, where nothing is, and of each product that is filtered."""

    told: tuple[Told, ...]
    code: str | None
    removed: tuple[tuple[int, str], ...] = ()


def answer_of(listed: CustomerList, renderer: Renderer) -> Answer:
    """Return what the handler's path gives, as the month stores it."""
    told = []
    for record in listed.records:
        reason = record.customer(renderer)
        told.append(
            Told(record.product.product_id, float(np.float32(record.score)), record.layer, reason["ko"], reason["en"])
        )
    return Answer(tuple(told), listed.nothing, tuple(sorted((at, code) for at, code in listed.removed)))


def answers_of(recommendations: pa.Table, decisions: pa.Table) -> dict[int, Answer]:
    """Return what a month stores, by customer."""
    told: dict[int, list[tuple[int, Told]]] = {}
    for row in recommendations.to_pylist():
        entry = Told(*(row[name] for name in Told._fields))
        told.setdefault(row["customer_id"], []).append((row["rank"], entry))
    return {
        row["customer_id"]: Answer(
            tuple(entry for _, entry in sorted(told.get(row["customer_id"], []))),
            row["code"],
            tuple(sorted((entry["product_id"], entry["code"]) for entry in row["removed"])),
        )
        for row in decisions.select(["customer_id", "code", "removed"]).to_pylist()
    }


def recommendations_replayed(stored: dict[int, Answer], again: dict[int, Answer]) -> CheckOutcome:
    """Return whether every customer that was answered again gets what is stored."""
    if not again:
        return CheckOutcome.no_evidence(customers=0)
    table = [
        {"customer_id": str(customer), "difference": said, "passed": False}
        for customer, answer in sorted(again.items())
        if (said := _difference(stored.get(customer), answer))
    ]
    what = "; ".join(f"customer {row['customer_id']}: {row['difference']}" for row in table[:SHOWN])
    reason = f"{len(table)} of {len(again)} customers are answered otherwise: {what}" if table else ""
    observed = {"customers": len(again), "products": sum(len(answer.told) for answer in again.values())}
    return CheckOutcome(not table, reason, len(again), {**observed, "differing": len(table)}, table)


def _difference(stored: Answer | None, again: Answer) -> str:
    """Say in words where two answers part; empty where they do not."""
    if stored is None:
        return "no decision is stored"
    if stored.code != again.code:
        return f"the code is {stored.code}, the handler says {again.code}"
    if stored.removed != again.removed:
        at, code = min(set(stored.removed) ^ set(again.removed))
        return f"product {at} is filtered ({code}) by one alone"
    if [entry.product_id for entry in stored.told] != [entry.product_id for entry in again.told]:
        return "other products, or in another order"
    for mine, theirs in zip(stored.told, again.told, strict=True):
        for name in Told._fields[1:]:
            if getattr(mine, name) != getattr(theirs, name):
                return f"another {name} of product {mine.product_id}"
    return ""
