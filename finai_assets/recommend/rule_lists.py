"""What the last layer would list: the rules asked about every customer, as if no model answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from finai_assets.recommend.customers import contract_matrix, customers_of
from serving_lambda.bundle import Bundle
from serving_lambda.path import by_rules

BLOCK = 4096  # customers at a time, as each is an object with a row of its own


def rule_scores(
    bundle: Bundle,
    customer_id: np.ndarray,
    X: np.ndarray,
    names: Sequence[str],
    held: np.ndarray,
    profile: Mapping[str, Any],
) -> np.ndarray:
    """Return the points of the rules for every product that is not held, before other filters.

    Parameters
    ----------
    profile
        ``age`` float64 [n] (NaN where unknown), ``segment``, a sequence of str or None, and ``standing``.

    Returns
    -------
    float64 [n, products]
        -inf where a product is held, or is not conservative.
    """
    score = np.full(held.shape, -np.inf)
    for begin in range(0, len(customer_id), BLOCK):
        part = slice(begin, begin + BLOCK)
        rows = contract_matrix(bundle, X[part], names)
        standing = profile["standing"].take(part)
        customers = customers_of(
            bundle, customer_id[part], rows, held[part], profile["age"][part], profile["segment"][part], standing, None
        )
        for place, customer in enumerate(customers, start=begin):
            for choice in by_rules(bundle, customer, set(customer.held)):
                score[place, choice.product_id] = choice.score
    return score
