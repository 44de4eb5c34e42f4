"""What one customer is shown, by the handler's own path on the stored month: the record behind each product of the list."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from finai_assets.asset_graph import SNAPSHOTS
from finai_assets.features.registry import Registry
from finai_assets.ingest.holdings import multi_hot
from finai_assets.recommend.customers import contract_matrix, customers_of
from finai_assets.recommend.standing import read_standings
from finai_assets.settings import Settings
from finai_assets.training.matrix import month_features
from finai_resources.errors import LakeError
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from serving_lambda.answer import record_of
from serving_lambda.bundle import Bundle
from serving_lambda.filters import channels
from serving_lambda.path import answered
from serving_lambda.record import Record


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
    """

    records: list[Record]
    nothing: str | None
    channels: list[str]


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
    span = customer_id, customer_id
    snapshot = session.read_customers(SNAPSHOTS, month.key, *span, columns=["customer_id", "age", "segment", "held"])
    if not snapshot.num_rows:
        raise LakeError(
            f"there is no customer {customer_id}",
            where=f"{SNAPSHOTS}@{month.key}",
            fix="name one of the month's customers",
        )
    ids, X = month_features(session, month, registry, *span)
    standing = read_standings(session, np.array([month.key]), ids, bundle.offering, settings)
    (customer,) = customers_of(
        bundle,
        ids,
        contract_matrix(bundle, X, registry.names),
        multi_hot(snapshot["held"], len(settings.products), where=f"{SNAPSHOTS}@{month.key}"),
        pc.cast(snapshot["age"], "float64").to_numpy(zero_copy_only=False),
        snapshot["segment"].to_pylist(),
        standing,
        None,
    )
    occasion = standing.occasion(0)
    found = answered(bundle, customer, settings.recommend.top_k, occasion)
    records = [
        record_of(bundle, choice, evidence, customer)
        for choice, evidence in zip(found.choices, found.evidence, strict=True)
    ]
    return CustomerList(records, found.nothing, [] if found.nothing else channels(customer, occasion, bundle.offering))
