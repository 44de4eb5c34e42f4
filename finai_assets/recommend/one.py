"""What single customers are shown, by the handler's own path on the stored month: the record behind each product of a list."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.features.registry import Registry
from finai_assets.ingest.holdings import multi_hot
from finai_assets.recommend.customers import contract_matrix, customers_of
from finai_assets.recommend.offered import LIFTED
from finai_assets.recommend.standing import read_standings
from finai_assets.settings import Settings
from finai_assets.training.matrix import month_features
from finai_resources.errors import LakeError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from serving_lambda.answer import record_of
from serving_lambda.bundle import Bundle
from serving_lambda.filters import Removed, channels, stop
from serving_lambda.path import answered
from serving_lambda.record import Record
from serving_lambda.standing import CHANNELS, Standing

# What stands for what nobody knows, where somebody permits to serve all the same.
PERMITTED = Standing(marketing=frozenset(CHANNELS), automated=True, do_not_contact=False, recent_messages=0)


class CustomerList(NamedTuple):
    """What one customer is shown.

    Parameters
    ----------
    records
        Of each product, best first.
    nothing
        The code of why the list is empty; None where it is not.
    channels
        On which what is shown may be told. A stored month knows no hour, so that quiet hours are kept when it is sent.
    removed
        What was filtered, with the codes.
    """

    records: list[Record]
    nothing: str | None
    channels: list[str]
    removed: list[Removed]


def records_of_customer(
    session: LakeSession, month: Month, customer_id: int, registry: Registry, settings: Settings, bundle: Bundle
) -> CustomerList:
    """Return what a customer is shown in a stored month.

    Raises
    ------
    BundleError
        The bundle does not fit the features.
    LakeError
        The month is not stored, or has no such customer.
    """
    found = records_of_range(session, month, customer_id, customer_id, registry, settings, bundle)
    if customer_id not in found:
        raise LakeError(
            f"there is no customer {customer_id}",
            where=f"{SNAPSHOTS}@{month.key}",
            fix="name one of the month's customers",
        )
    return found[customer_id]


def records_of_range(
    session: LakeSession,
    month: Month,
    low: int,
    high: int,
    registry: Registry,
    settings: Settings,
    bundle: Bundle,
    *,
    unknown_permitted: bool = False,
) -> dict[int, CustomerList]:
    """Return the same of every customer ``low .. high`` (both included), each answered alone.

    Parameters
    ----------
    unknown_permitted
        Whether something is served although consents or messages are unknown, as the month may have been scored.
    """
    snapshot = session.read_customers(
        SNAPSHOTS, month.key, low, high, columns=["customer_id", "age", "segment", "held"]
    )
    if not snapshot.num_rows:
        return {}
    ids, X = month_features(session, month, registry, low, high)
    standing = read_standings(session, np.array([month.key] * len(ids)), ids, bundle.offering, settings)
    customers = customers_of(
        bundle,
        ids,
        contract_matrix(bundle, X, registry.names),
        multi_hot(snapshot["held"], len(settings.products), where=f"{SNAPSHOTS}@{month.key}"),
        pc.cast(snapshot["age"], "float64").to_numpy(zero_copy_only=False),
        snapshot["segment"].to_pylist(),
        standing,
        None,
    )
    records = {}
    for at, customer in enumerate(customers):
        occasion = standing.occasion(at)
        if unknown_permitted and stop(customer, occasion, bundle.offering) in LIFTED:
            customer = customer._replace(standing=customer.standing.filled(PERMITTED))  # noqa: PLW2901
        found = answered(bundle, customer, settings.recommend.top_k, occasion)
        told = [
            record_of(bundle, choice, evidence, customer)
            for choice, evidence in zip(found.choices, found.evidence, strict=True)
        ]
        told_on = [] if found.nothing else channels(customer, occasion, bundle.offering)
        records[int(ids[at])] = CustomerList(told, found.nothing, told_on, found.removed)
    return records
