"""The summands of the scores of shown products, as the monthly table keeps them, with the arithmetic of the ranking."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from finai_assets.recommend.groups import Group, Predicted
from finai_assets.recommend.ranked import BY_RULES, Shares, Shown, multipliers_of
from serving_lambda.bundle import Bundle
from serving_lambda.ranking import probability_of

TERM = pa.struct(
    [
        ("task", pa.string()),
        ("kind", pa.string()),
        ("factor", pa.float64()),
        ("probability", pa.float64()),
        ("share", pa.float64()),
        ("value", pa.float64()),
    ]
)


def terms_of(bundle: Bundle, group: Group, found: Predicted, shown: Shown, shares: Shares, part: slice) -> pa.ListArray:
    """Return the summands of some shown products' scores, in the order of addition; none where the rules chose the product."""
    ranking = bundle.ranking
    customer, product, by_rules = shown.customer[part], shown.product[part], shown.source[part] == BY_RULES
    multipliers = multipliers_of(ranking, group)
    boosts = np.array([ranking.boosts(one) for one in group.customers]) if ranking.rule_boosts else None
    rows, places, names, kinds, numbers = [], [], [], [], []
    for of in np.unique(product).tolist():
        mine = np.flatnonzero((product == of) & ~by_rules)
        whom = customer[mine]
        for place, source in enumerate(ranking.sources[of]):
            if source.task not in found.scores or not len(mine):
                continue
            multiplier = multipliers[source.kind][whom] if source.kind in multipliers else 1.0
            factor = ranking.weights[source.kind] * multiplier * (1.0 if boosts is None else boosts[whom, of])
            probability = probability_of(source.kind, found.scores[source.task][whom, source.output])
            share = shares[source.members][whom, source.members.index(of)]
            rows.append(mine)
            places.append(np.full(len(mine), place))
            names.append(np.full(len(mine), source.task, dtype=object))
            kinds.append(np.full(len(mine), source.kind, dtype=object))
            numbers.append(
                np.stack([np.broadcast_to(factor, len(mine)), probability, share, factor * probability * share])
            )
    if not rows:
        return pa.array([[]] * len(product), pa.list_(TERM))
    row = np.concatenate(rows)
    order = np.lexsort((np.concatenate(places), row))
    texts = [pa.array(np.concatenate(column)[order], pa.string()) for column in (names, kinds)]
    figures = [pa.array(np.ascontiguousarray(column[order])) for column in np.concatenate(numbers, axis=1)]
    ends = np.searchsorted(row[order], np.arange(len(product) + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(ends, pa.StructArray.from_arrays([*texts, *figures], fields=list(TERM)))
