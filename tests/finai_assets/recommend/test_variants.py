"""Variants of the ranking are ranked by the code that serves, and each alters what it says and nothing else."""

from __future__ import annotations

import json
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from bundle_fixtures import Made

from finai_assets.evaluation.lists.metrics import NDCG_3, mean_ndcg, rank_products, scores_of_lists
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.recommend.customers import contract_matrix, customers_of
from finai_assets.recommend.standing import Standings
from finai_assets.recommend.variants import (
    DIVERSITY,
    NO_CONTACTS,
    NO_SEGMENTS,
    SHIPPED,
    VariantRows,
    altered,
    evaluate_variants,
    families_shown,
    lists_of_variants,
)
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.lists import ListVariant
from serving_lambda.bundle import Bundle
from serving_lambda.diversify import diversify
from serving_lambda.scorer import PRODUCT_MODEL, score_row

ROWS = 60
PRODUCTS = 24
TASKS = {"any_acquisition": 1.0, "nba_primary": 0.5, "will_acquire": 0.0}
BOOST = {"id": "cards", "when": {"age": [None, 45]}, "classes": ["card"], "factor": 1.7}


@pytest.fixture(scope="module")
def rows(made: Made) -> VariantRows:
    rng = np.random.default_rng(8)
    held = made.held(ROWS).astype(bool)
    acquired = (rng.random(held.shape) < 0.08) & ~held
    return VariantRows(
        made.X[:ROWS],
        Outcomes(np.arange(ROWS) // 2, held, acquired),
        np.where(np.arange(ROWS) % 7 == 0, np.nan, 20.0 + np.arange(ROWS)),
        [None if at % 5 == 0 else "private" for at in range(ROWS)],
        (rng.random(held.shape) < 0.2).astype(np.int64) * 3,
    )


def by_hand(bundle: Bundle, made: Made, rows: VariantRows, variant: ListVariant) -> list[list[int]]:
    """Return the first three products of each row by the handler's functions."""
    matrix = contract_matrix(bundle, rows.X, made.registry.names)
    unknown = Standings.unknown(np.full(ROWS, "NaT", "datetime64[D]"))
    customers = customers_of(
        bundle, rows.outcomes.customer, matrix, rows.outcomes.held, rows.age, rows.segment, unknown, None
    )
    ranking, found = altered(bundle, variant), []
    models = [None, *bundle.layers[PRODUCT_MODEL], None][max(variant.shares_from, 1) :]
    for customer, written in zip(customers, rows.messages.tolist(), strict=True):  # type: ignore[union-attr]
        known = {product: count for product, count in enumerate(written) if count} if variant.contacts else {}
        flagged = frozenset(flag.column for flag in customer.flags)
        scored = score_row(bundle.students, customer.row, product=models[0], flagged=flagged)
        offered = [product for product in ranking.products if product.product_id not in customer.held]
        ranked = ranking.rank(scored, customer._replace(contacts=known), offered)
        ordered = list(diversify(ranked, ranking.products, ranking.relevance, ranking.similarity))
        found.append([entry.product_id for entry in ordered[:3]])
    return found


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shares_from": 2},
        {"shares_from": 3},
        {"task_weights": TASKS},
        {"task_weights": {**TASKS, "any_acquisition": 0.0}, "top_segment": {"nba_primary": 1.5}},
        {"rule_boosts": [BOOST]},
        {"contacts": True, "fatigue": 0.3},
        {"risk_penalties": {1: 0.2, 3: 0.05}},
        {"relevance": 0.8},
        {"relevance": 0.3, "risk_penalties": {1: 9.0, 2: 9.0, 3: 9.0, 4: 9.0, 5: 9.0, 6: 9.0}},
    ],
)
def test_a_variant_ranks_as_the_handler_would_under_it(
    made: Made, bundle: Bundle, rows: VariantRows, changes: dict[str, Any]
) -> None:
    variant = ListVariant(what="test", **changes)
    variants = {SHIPPED: ListVariant(what="nothing"), "other": variant}
    found = lists_of_variants(bundle, made.registry.names, rows, variants, made.settings)
    listed = [[product for product in row if product >= 0] for row in found["other"].tolist()]
    assert listed == by_hand(bundle, made, rows, variant)
    assert (not changes) == np.array_equal(found["other"], found[SHIPPED])


def test_the_variants_that_are_declared_are_measured_beside_what_is_served(
    made: Made, bundle: Bundle, rows: VariantRows
) -> None:
    settings = load_settings("synthetic", "smoke", overrides={"metrics": {"bootstrap_samples": 20}})
    train = np.arange(PRODUCTS)
    found = evaluate_variants(bundle, made.registry.names, {"validation": rows, "test": rows}, train, settings)
    assert json.loads(json.dumps(found)) == found
    assert set(found["what"]) == {SHIPPED, *settings.lists.variants}
    assert found["absent"] == {}
    assert found["splits"]["validation"] == found["splits"]["test"]
    of = found["splits"]["test"]["variants"]
    lists = lists_of_variants(
        bundle, made.registry.names, rows, {"mmr": settings.lists.variants["mmr_0.5"]}, made.settings
    )
    assert of["mmr_0.5"][NDCG_3]["value"] == pytest.approx(
        mean_ndcg(scores_of_lists(lists["mmr"], PRODUCTS), rows.outcomes)
    )
    assert of[SHIPPED]["over_served"]["value"] == 0.0
    for figures in of.values():
        difference = figures[NDCG_3]["value"] - of[SHIPPED][NDCG_3]["value"]
        assert figures["over_served"]["value"] == pytest.approx(difference)
    assert of["mmr_0.5"][DIVERSITY] > of[SHIPPED][DIVERSITY]


def test_a_variant_that_asks_for_contacts_is_absent_where_the_data_set_has_none(
    made: Made, bundle: Bundle, rows: VariantRows
) -> None:
    settings: Settings = load_settings("synthetic", "smoke", overrides={"metrics": {"bootstrap_samples": 20}})
    unknown = {"validation": replace(rows, messages=None)}
    found = evaluate_variants(bundle, made.registry.names, unknown, np.arange(PRODUCTS), settings)
    assert found["absent"] == {"fatigue": NO_CONTACTS}
    assert "fatigue" not in found["splits"]["validation"]["variants"]


def test_families_are_counted_over_the_rows_that_are_shown_something(bundle: Bundle) -> None:
    family = [product.family for product in bundle.ranking.products]
    first = [at for at in range(PRODUCTS) if family[at] == family[0]][:2]
    other = next(at for at in range(PRODUCTS) if family[at] != family[0])
    lists = np.array([[*first, other], [*first, -1], [-1, -1, -1]])
    ranked = rank_products(scores_of_lists(lists, PRODUCTS), np.zeros((3, PRODUCTS), bool))
    assert families_shown(bundle, ranked) == 1.5
    assert families_shown(bundle, np.full((2, PRODUCTS), -1)) is None


def test_a_variant_for_the_top_segment_is_absent_where_the_data_set_has_no_segments(
    made: Made, bundle: Bundle, rows: VariantRows
) -> None:
    settings: Settings = load_settings("synthetic", "smoke", overrides={"metrics": {"bootstrap_samples": 20}})
    without = copy(bundle)
    without.segments = ()
    found = evaluate_variants(without, made.registry.names, {"test": rows}, np.arange(PRODUCTS), settings)
    asking = {name for name, variant in settings.lists.variants.items() if variant.top_segment is not None}
    assert found["absent"] == dict.fromkeys(asking, NO_SEGMENTS)
