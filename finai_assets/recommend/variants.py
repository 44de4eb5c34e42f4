"""What each term of the score is worth: lists of a bundle with one thing altered in their ranking, beside those that it serves.

Every variant is ranked by the code that serves (:func:`finai_assets.recommend.ranked.ordered`), before constraints, on rows that
no model learned from. Nothing is chosen here: what is served stands in ``recommend``, and is to be chosen on validation rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from finai_assets.evaluation.lists.comparison import compare_lists
from finai_assets.evaluation.lists.metrics import COVERAGE, HIT_3, NDCG_3, SHOWN, rank_products, scores_of_lists
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.recommend.customers import contract_matrix, customers_of
from finai_assets.recommend.groups import Group, grouped, predicted, with_shares_from
from finai_assets.recommend.profile import read_age_and_segment
from finai_assets.recommend.ranked import ordered
from finai_assets.recommend.standing import Standings, read_messages
from finai_assets.settings import Settings
from finai_assets.settings.lists import ListVariant
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.json_text import plain
from finai_resources.lake_session import LakeSession
from finai_resources.progress import report_progress
from serving_lambda.bundle import Bundle
from serving_lambda.offering import Offering
from serving_lambda.ranking import Ranking

SHIPPED = "as_served"
DIVERSITY = "families_in_3"
NO_CONTACTS = "the data set has no contacts"
NO_SEGMENTS = "the data set has no segments"
_SHIPPED = ListVariant(what="nothing: the ranking that is served")


@dataclass(frozen=True)
class VariantRows:
    """Rows on which variants are ranked.

    Parameters
    ----------
    X : float32 [n, columns]
    outcomes
        Of the n rows.
    age : float64 [n]
        NaN where unknown.
    segment : sequence of str or None [n]
    messages : int64 [n, products] or None
        About each product in the last days; None where the data set has no contacts.
    """

    X: np.ndarray
    outcomes: Outcomes
    age: np.ndarray
    segment: Sequence[str | None]
    messages: np.ndarray | None


def read_variant_rows(
    session: LakeSession, matrix: TrainingMatrix, outcomes: Outcomes, offering: Offering, settings: Settings
) -> dict[str, VariantRows]:
    """Read the validation and the test rows of a matrix, by split.

    Raises
    ------
    LakeError
        A customer has no snapshot in the month, or a month of contacts is not in the lake.
    """
    found = {}
    for split in ("validation", "test"):
        part = matrix.rows(split)
        month, customer = matrix.month[part], matrix.customer[part]
        messages = read_messages(session, month, customer, offering, settings)
        people = read_age_and_segment(session, month, customer)
        found[split] = VariantRows(matrix.X[part], outcomes.take(part), people["age"], people["segment"], messages)
    return found


def evaluate_variants(
    bundle: Bundle,
    names: Sequence[str],
    rows: Mapping[str, VariantRows],
    train_acquisitions: np.ndarray,
    settings: Settings,
) -> dict[str, Any]:
    """Return the figures of each variant, JSON-able.

    Parameters
    ----------
    names
        Of the columns of ``rows``.
    rows
        By split.
    train_acquisitions : int64 [products]

    Returns
    -------
    dict
        ``what`` (variant to its sentence), ``absent`` (variant to why it is not measured), and ``splits``: split to ``rows``,
        ``acquiring`` and ``variants``, name to ``ndcg_at_3``, ``hr_at_3``, ``coverage``, ``families_in_3`` (distinct families
        among the first three products, on average) and ``over_served``, the difference of NDCG@3 to what is served.
    """
    known = all(of.messages is not None for of in rows.values())
    absent = {}
    for name, variant in settings.lists.variants.items():
        if variant.contacts and not known:
            absent[name] = NO_CONTACTS
        elif variant.top_segment is not None and not bundle.segments:
            absent[name] = NO_SEGMENTS
    variants = {SHIPPED: _SHIPPED, **{name: of for name, of in settings.lists.variants.items() if name not in absent}}
    splits = {}
    for number, (split, of) in enumerate(rows.items()):
        report_progress("variants of the ranking", number, len(rows))
        lists = lists_of_variants(bundle, names, of, variants, settings)
        products = of.outcomes.products
        scores = {name: scores_of_lists(found, products) for name, found in lists.items()}
        compared = compare_lists(scores, of.outcomes, train_acquisitions, settings.metrics, seed=settings.seed)
        figures = {name: compared.figures(name) for name in scores}
        splits[split] = {
            "rows": compared.rows,
            "acquiring": compared.acquiring,
            "variants": {
                name: {
                    NDCG_3: asdict(found[NDCG_3]),
                    HIT_3: asdict(found[HIT_3]),
                    COVERAGE: found[COVERAGE].value,
                    DIVERSITY: families_shown(bundle, rank_products(scores[name], of.outcomes.held)),
                    "over_served": asdict(compared.difference(name, SHIPPED)),
                }
                for name, found in figures.items()
            },
        }
    whole: dict[str, Any] = plain(
        {"what": {name: of.what for name, of in variants.items()}, "absent": absent, "splits": splits}
    )
    return whole


def lists_of_variants(
    bundle: Bundle, names: Sequence[str], rows: VariantRows, variants: Mapping[str, ListVariant], settings: Settings
) -> dict[str, np.ndarray]:
    """Return the first products of each row by each variant, before constraints: int64 [n, SHOWN], -1 behind the last."""
    n, size = len(rows.outcomes), settings.lake.block_customers
    rankings = {name: altered(bundle, variant) for name, variant in variants.items()}
    tasks = frozenset(task for ranking in rankings.values() for task in ranking.tasks)
    lists = {name: np.full((n, SHOWN), -1) for name in variants}
    for begin in range(0, n, size):
        for at, group in _groups(bundle, names, rows, slice(begin, begin + size), tasks):
            found, open_ = predicted(group, settings.lake.workers), ~rows.outcomes.held[at]
            written = group if rows.messages is None else _written_to(group, rows.messages[at])
            for name, variant in variants.items():
                own = with_shares_from(variant.shares_from, group, found)
                of = written if variant.contacts else group
                first = ordered(rankings[name], of, own, open_, SHOWN).lists
                lists[name][at, : first.shape[1]] = first
    return lists


def _groups(
    bundle: Bundle, names: Sequence[str], rows: VariantRows, part: slice, tasks: frozenset[str]
) -> Iterator[tuple[np.ndarray, Group]]:
    """Yield the groups of a block, with their rows among all."""
    matrix, identity = contract_matrix(bundle, rows.X[part], names), rows.outcomes.customer[part]
    unknown = Standings.unknown(np.full(len(identity), "NaT", "datetime64[D]"))  # before constraints nobody asks
    held, age, segment = rows.outcomes.held[part], rows.age[part], rows.segment[part]
    customers = customers_of(bundle, identity, matrix, held, age, segment, unknown, None)
    for group in grouped(bundle, customers, matrix, tasks=tasks):
        yield part.start + group.at, group


def _written_to(group: Group, messages: np.ndarray) -> Group:
    """Return a group whose customers' recent messages are known."""
    counts = [{product: count for product, count in enumerate(row) if count} for row in messages.tolist()]
    customers = [customer._replace(contacts=count) for customer, count in zip(group.customers, counts, strict=True)]
    return replace(group, customers=customers)


def altered(bundle: Bundle, variant: ListVariant) -> Ranking:
    """Return a bundle's ranking with what a variant alters."""
    changes: dict[str, Any] = {}
    if variant.task_weights is not None:
        changes["weights"] = variant.task_weights.model_dump()
    if variant.top_segment is not None:
        changes["segment_multipliers"] = {bundle.segments[-1]: dict(variant.top_segment)}
    if variant.rule_boosts is not None:
        changes["rule_boosts"] = [boost.declared() for boost in variant.rule_boosts]
    if variant.risk_penalties is not None:
        changes["risk_penalties"] = {str(grade): penalty for grade, penalty in variant.risk_penalties.items()}
    if variant.fatigue is not None:
        changes["fatigue"] = variant.fatigue
    if variant.relevance is not None:
        changes["diversity"] = {**bundle.ranking.similarity._asdict(), "relevance": variant.relevance}
    return bundle.ranking.altered(changes)


def families_shown(bundle: Bundle, ranked: np.ndarray) -> float | None:
    """Return how many families stand among the first products of a row, on average over rows with a list; None without one.

    Parameters
    ----------
    ranked : int64 [n, products]
        From :func:`~finai_assets.evaluation.lists.metrics.rank_products`.
    """
    family = np.array([product.family for product in bundle.ranking.products])
    top = ranked[:, :SHOWN]
    shown = np.zeros((len(top), family.max() + 1), bool)
    row, place = np.nonzero(top >= 0)
    shown[row, family[top[row, place]]] = True
    listed = shown.any(axis=1)
    return float(shown[listed].sum(axis=1).mean()) if listed.any() else None
