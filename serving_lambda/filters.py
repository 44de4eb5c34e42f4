"""Which products a customer may be offered, and for each that is removed, why.

A filter looks at one product and one customer and returns a code of :data:`CODES`, or None; the first that returns one decides.
Nothing is ranked or cut before it has passed them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from serving_lambda.catalogue import Product
from serving_lambda.contract import Customer

ALREADY_HELD = "ALREADY_HELD"
CODES = (ALREADY_HELD,)

Filter = Callable[[Product, Customer], str | None]


class Removed(NamedTuple):
    """A product that may not be offered, and the code of the reason."""

    product_id: int
    code: str


def already_held(product: Product, customer: Customer) -> str | None:
    """Remove what the customer holds."""
    return ALREADY_HELD if product.product_id in customer.held else None


def filters_of(*, exclude_held: bool) -> tuple[Filter, ...]:
    """Return the filters of a bundle's policy, in the order in which they are asked."""
    return (already_held,) if exclude_held else ()


def apply(
    filters: Sequence[Filter], candidates: Sequence[Product], customer: Customer
) -> tuple[list[Product], list[Removed]]:
    """Return the products that pass every filter, and those that do not."""
    offered, removed = [], []
    for product in candidates:
        for check in filters:
            if code := check(product, customer):
                removed.append(Removed(product.product_id, code))
                break
        else:
            offered.append(product)
    return offered, removed
