"""The share of each open product within a choice set: a conditional logit over what the customer may still be offered.

``share(p | S, customer) = exp(f_p) / sum over the open members r of S of exp(f_r)``, f being the product model's margins. Without
margins (layer 3 of the product model) a product weighs its smoothed count of train acquisitions instead of ``exp(f_p)``.
Either way the shares of a set's open members add up to one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import exp


def shares_of(
    members: Sequence[int], open_ids: Collection[int], margins: Sequence[float] | None, counts: Sequence[float]
) -> Mapping[int, float]:
    """Return the share of each open member by product id, in the order of ``members``.

    Parameters
    ----------
    members
        Ids of the set's products.
    open_ids
        Products that the customer may still be offered.
    margins
        The product model's margin of each product of the catalogue, or None.
    counts
        The smoothed train count of each product.
    """
    offered = [member for member in members if member in open_ids]
    if not offered:
        return {}
    if margins is None:
        weights = [counts[member] for member in offered]
    else:
        top = max(margins[member] for member in offered)
        weights = [exp(margins[member] - top) for member in offered]
    total = 0.0
    for weight in weights:  # one after the other, as the batch job adds columns: the same bits
        total += weight
    return {member: weight / total for member, weight in zip(offered, weights, strict=True)}
