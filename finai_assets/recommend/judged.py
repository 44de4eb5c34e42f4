"""What a month's lists were worth: what was offered, against what its customers acquired in the months after.

``ranked`` is the list before constraints, ``served`` the one that customers got; ``popularity`` shows everybody what most
customers acquired in the train months of the bundle that scored, ``popularity_served`` is that under the same filters and stops.
No model learns from these figures: whoever was offered something may have acquired it because of that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from finai_assets.asset_graph import DECISIONS, RECOMMENDATIONS
from finai_assets.evaluation.lists.comparison import ComparedLists, compare_by_group, compare_lists
from finai_assets.evaluation.lists.metrics import HIT_1, HIT_3, NDCG_3, rank_products, scores_of_lists
from finai_assets.evaluation.lists.outcomes import Outcomes, match_customers, read_outcomes
from finai_assets.scoring.resampling import mean_interval
from finai_assets.settings import Settings
from finai_resources.json_text import plain
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from serving_lambda.catalogue import Product
from serving_lambda.ranking import Ranking

FILE = "outcomes.json"
RANKED, SERVED, POPULARITY, POPULARITY_SERVED = "ranked", "served", "popularity", "popularity_served"
OFFERED = "offered"  # of the customers who were offered something
FIGURES = (HIT_1, HIT_3, NDCG_3)


class Decided(NamedTuple):
    """What was decided about the n customers of a month.

    Parameters
    ----------
    customer : int64 [n]
    ranked, served : int64 [n, k]
        Product ids, -1 behind the last.
    code : str [n]
        Why nothing was offered; :data:`OFFERED` where something was.
    removed : str [n, products]
        The code of the filter that removed a product, empty where none did.
    row, product, layer : int64 [m]
        Of each product that was served, the place of its customer, its id, and the layer that it came from.
    """

    customer: np.ndarray
    ranked: np.ndarray
    served: np.ndarray
    code: np.ndarray
    removed: np.ndarray
    row: np.ndarray
    product: np.ndarray
    layer: np.ndarray

    @property
    def open(self) -> np.ndarray:
        """Return what might be offered, bool [n, products]: nothing where a code stopped the customer or removed everything."""
        return (self.removed == "") & (self.code == OFFERED)[:, None]


def read_decided(session: LakeSession, month: Month, products: int) -> Decided:
    """Read what was decided about the customers of a month.

    Raises
    ------
    LakeError
        The month was not scored.
    """
    table = session.read(DECISIONS, month.key)
    shown = session.read(RECOMMENDATIONS, month.key, columns=["customer_id", "product_id", "layer"])
    customer = table["customer_id"].to_numpy()
    removed = np.full((len(customer), products), "", dtype=object)
    for row, column in enumerate(table["removed"].to_pylist()):
        for entry in column:
            removed[row, entry["product_id"]] = entry["code"]
    return Decided(
        customer,
        _lists(table["ranked"]),
        _lists(table["served"]),
        np.array([code or OFFERED for code in table["code"].to_pylist()]),
        removed.astype(str),
        match_customers(customer, shown["customer_id"].to_numpy())[0],
        shown["product_id"].to_numpy().astype(np.int64),
        shown["layer"].to_numpy().astype(np.int64),
    )


def _lists(column: pa.ChunkedArray) -> np.ndarray:
    rows = column.to_pylist()
    found = np.full((len(rows), max((len(row) for row in rows), default=0)), -1)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


def judge_month(
    session: LakeSession, month: Month, ranking: Ranking, bundle_id: str, settings: Settings
) -> dict[str, Any]:
    """Return what ``outcomes.json`` holds of a month whose label window has passed.

    Parameters
    ----------
    ranking
        Of the bundle that scored the month.

    Raises
    ------
    LakeError
        The month was not scored, or the snapshots at the end of its window are not there.
    """
    products = len(settings.products)
    decided = read_decided(session, month, products)
    outcomes = read_outcomes(
        session,
        np.full(len(decided.customer), month.key),
        decided.customer,
        horizon_months=settings.horizon_months,
        products=products,
    )
    return {"month": month.key, "bundle_id": bundle_id, **outcomes_of(decided, outcomes, ranking, settings)}


def outcomes_of(decided: Decided, outcomes: Outcomes, ranking: Ranking, settings: Settings) -> dict[str, Any]:
    """Return the figures of what was decided against what was acquired, JSON-able.

    Returns
    -------
    dict
        ``lists``: list to HR@1, HR@3 and NDCG@3, over all customers who acquired something; ``over_popularity``: the difference
        of NDCG@3 to popularity under the same filters, of ``ranked`` and ``served``; ``not_offered``: code (and ``offered``) to
        the customers of whom it holds, how many acquired something, and HR@3 and NDCG@3 of the list that was ranked for them;
        ``removed``: code of a filter to how many acquired products it had removed; ``layers`` and ``families``: how many products
        were served, how many of these were acquired, and the share.
    """
    counts = np.array(ranking.counts)
    everybody = np.broadcast_to(counts, outcomes.held.shape)
    k = settings.recommend.top_k
    scores = {
        RANKED: scores_of_lists(decided.ranked, outcomes.products),
        SERVED: scores_of_lists(decided.served, outcomes.products),
        POPULARITY: scores_of_lists(rank_products(everybody, outcomes.held)[:, :k], outcomes.products),
        POPULARITY_SERVED: scores_of_lists(rank_products(everybody, ~decided.open)[:, :k], outcomes.products),
    }
    compared = compare_lists(scores, outcomes, counts, settings.metrics, seed=settings.seed)
    by_code = compare_by_group(
        {RANKED: scores[RANKED]}, outcomes, counts, decided.code, settings.metrics, seed=settings.seed
    )
    hit = outcomes.acquired[decided.row, decided.product]
    family = np.array([product.family for product in ranking.products])
    found: dict[str, Any] = plain(
        {
            "customers": compared.rows,
            "acquiring": compared.acquiring,
            "top_k": k,
            "lists": {name: _figures(compared, name) for name in scores},
            "over_popularity": {
                RANKED: asdict(compared.difference(RANKED, POPULARITY)),
                SERVED: asdict(compared.difference(SERVED, POPULARITY_SERVED)),
            },
            "not_offered": {
                code: {"customers": of.rows, "acquiring": of.acquiring, **_figures(of, RANKED)}
                for code, of in by_code.items()
            },
            "removed": _removed(decided, outcomes),
            "layers": {str(layer): shared for layer, shared in _shares(decided.layer, hit, decided, settings)},
            "families": _families(family, hit, decided, outcomes, ranking.products, settings),
        }
    )
    return found


def _figures(compared: ComparedLists, name: str) -> dict[str, Any]:
    figures = compared.figures(name)
    return {figure: asdict(figures[figure]) for figure in FIGURES}


def _removed(decided: Decided, outcomes: Outcomes) -> dict[str, int]:
    """Return how many acquired products each filter had removed; what is held cannot be acquired."""
    codes, counts = np.unique(decided.removed[outcomes.acquired], return_counts=True)
    return {code: int(count) for code, count in zip(codes.tolist(), counts.tolist(), strict=True) if code}


def _shares(
    label: np.ndarray, hit: np.ndarray, decided: Decided, settings: Settings
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield each label of served products with how many there are, how many were acquired, and the share, by customer."""
    for value in np.unique(label).tolist():
        of = label == value
        share = mean_interval(
            hit[of].astype(np.float64), decided.customer[decided.row[of]], settings.metrics, settings.seed
        )
        yield value, {"served": int(of.sum()), "acquired": int(hit[of].sum()), "share": share.plain()}


def _families(
    family: np.ndarray,
    hit: np.ndarray,
    decided: Decided,
    outcomes: Outcomes,
    products: Sequence[Product],
    settings: Settings,
) -> Mapping[str, Any]:
    """Return the shares by family, with all acquisitions of the family, served or not."""
    bought = np.bincount(family[np.nonzero(outcomes.acquired)[1]], minlength=len(settings.families))
    shares = dict(_shares(family[decided.product], hit, decided, settings))
    nothing = {"served": 0, "acquired": 0, "share": None}
    present = sorted({product.family for product in products})
    return {
        settings.families[place]: {**shares.get(place, nothing), "acquisitions": int(bought[place])}
        for place in present
    }


def metadata_of(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the figures that a materialisation shows, and Markdown tables of them."""
    told = {
        f"{figure} of what was {name}": found["lists"][name][figure]["value"]
        for name in (RANKED, SERVED)
        for figure in (HIT_3, NDCG_3)
    }
    return {"customers": found["customers"], "acquiring": found["acquiring"], **told}


def markdown(found: Mapping[str, Any]) -> str:
    """Return the figures of a month as Markdown tables."""
    lines = ["| list | HR@1 | HR@3 | NDCG@3 |", "|---|---|---|---|"]
    lines += [
        f"| {name} | {' | '.join(_cell(of[figure]) for figure in FIGURES)} |" for name, of in found["lists"].items()
    ]
    lines += [
        "",
        "| why nothing was offered | customers | acquiring | HR@3 of what was ranked | NDCG@3 |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {code} | {of['customers']:,} | {of['acquiring']:,} | {_cell(of[HIT_3])} | {_cell(of[NDCG_3])} |"
        for code, of in found["not_offered"].items()
    ]
    lines += ["", "| served | products | acquired | share |", "|---|---|---|---|"]
    parts = {**{f"layer {layer}": of for layer, of in found["layers"].items()}, **found["families"]}
    lines += [
        f"| {name} | {of['served']:,} | {of['acquired']:,} | {_cell(of['share'])} |" for name, of in parts.items()
    ]
    return "\n".join(lines)


def _cell(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None or estimate["value"] is None:
        return "-"
    value = f"{estimate['value']:.3f}"
    return value if estimate["low"] is None else f"{value} ({estimate['low']:.3f}..{estimate['high']:.3f})"
