"""What is offered in a month, beside the raw tables that say what may be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from finai_checks.framework.check import CheckOutcome


@dataclass(frozen=True)
class Offers:
    """The offers of a month, and what stands at its cutoff.

    Parameters
    ----------
    day : date
        The cutoff, on which it is decided.
    recommendations, decisions : pa.Table
        As they are stored.
    snapshots : pa.Table
        ``customer_id`` and ``age`` of all customers of the month.
    products, terms : pa.Table
        The catalogue and its terms.
    profiles, bands, consents, contacts : pa.Table or None
        None where the data set has no such table; ``contacts`` of all months that the last days lie in.
    """

    day: date
    recommendations: pa.Table
    decisions: pa.Table
    snapshots: pa.Table
    products: pa.Table
    terms: pa.Table
    profiles: pa.Table | None
    bands: pa.Table | None
    consents: pa.Table | None
    contacts: pa.Table | None

    @property
    def customer(self) -> np.ndarray:
        """Return the customer of each offer, int64 [offers]."""
        return np.asarray(self.recommendations["customer_id"].to_numpy())


def looked_up(table: pa.Table | None, key: str, column: str, wanted: np.ndarray) -> pa.ChunkedArray:
    """Return a column's value for each wanted key, [n]; null where there is no such key, or no table."""
    if table is None:
        return pa.chunked_array([pa.nulls(len(wanted))])
    return table[column].take(
        pc.index_in(pa.array(wanted).cast(table.schema.field(key).type), table[key].combine_chunks())
    )


def numbers(values: pa.ChunkedArray) -> np.ndarray:
    """Return values as float64, NaN for null."""
    return np.asarray(values.cast(pa.float64()).to_numpy())


def pairs(customer: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return pairs of whole numbers that compare as one: [n]."""
    found = np.empty(len(customer), [("customer", np.int64), ("value", np.int64)])
    found["customer"], found["value"] = customer, value
    return found


def verdict(
    broken: Mapping[str, np.ndarray], customer: np.ndarray, customers: int, faults: Sequence[str] = ()
) -> CheckOutcome:
    """Return whether no offer breaks a rule.

    Parameters
    ----------
    broken
        What is wrong, in words -> which offers it holds for, bool [offers].
    customer : int64 [offers]
    customers
        All of the month.
    faults
        What else is wrong, in words.
    """
    table = [
        {"rule": rule, "offers": int(mask.sum()), "customers": len(np.unique(customer[mask])), "passed": not mask.any()}
        for rule, mask in broken.items()
    ]
    found = [f"{row['offers']} offers to {row['customers']} customers: {row['rule']}" for row in table if row["offers"]]
    found += faults
    observed = {"customers": customers, "offers": len(customer), "offered_customers": len(np.unique(customer))}
    return CheckOutcome(not found, "; ".join(found), customers, observed, table)
