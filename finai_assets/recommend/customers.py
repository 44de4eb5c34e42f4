"""Customers of a block as the path knows each: from arrays to requests, without the JSON."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finai_assets.recommend.standing import Standings
from finai_resources.errors import BundleError
from serving_lambda.bundle import Bundle
from serving_lambda.contract import Customer, Flag, flags_of
from serving_lambda.ports import ContactHistory


def contract_matrix(bundle: Bundle, X: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return the contract's columns as float32 [n, columns], C order."""
    place = {name: index for index, name in enumerate(names)}
    if missing := [name for name in bundle.names if name not in place]:
        raise BundleError(
            f"{len(missing)} columns of the bundle do not exist here: {', '.join(missing[:5])}",
            where=f"bundle {bundle.bundle_id}",
            fix="score with a bundle that was built on the present features",
        )
    return np.ascontiguousarray(X[:, [place[name] for name in bundle.names]], dtype=np.float32)


def customers_of(
    bundle: Bundle,
    customer_id: np.ndarray,
    rows: np.ndarray,
    held: np.ndarray,
    age: np.ndarray,
    segment: Sequence[str | None],
    standing: Standings,
    history: ContactHistory | None,
) -> list[Customer]:
    """Return each customer of a block as the handler knows them.

    Parameters
    ----------
    customer_id : int64 [n]
    rows : float32 [n, contract columns]
    held : bool or uint8 [n, products]
    age : float [n]
        NaN where unknown.
    segment : sequence of str or None [n]
    standing
        Of the n customers.
    history
        Tells what each was lately written about, where it is there.
    """
    outside, standings = _outside(bundle, rows), standing.each(bundle.offering.asset_bands)
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
                standings[index],
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
