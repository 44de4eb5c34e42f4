"""Lists are measured on test rows as the path makes them, beside rivals that learned from train rows alone."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bundle_fixtures import Made, permissive

from finai_assets.evaluation.lists.metrics import NDCG_3, accuracy_of_rows, rank_products, scores_of_lists
from finai_assets.evaluation.lists.outcomes import Outcomes
from finai_assets.evaluation.lists.rivals import RIVALS, RivalScores, load_rivals, rivals_table, score_rivals
from finai_assets.recommend.customers import contract_matrix, customers_of
from finai_assets.recommend.evaluate import evaluate_lists
from finai_assets.recommend.lists_page import lists_page, markdown
from finai_assets.recommend.rule_lists import rule_scores
from finai_assets.recommend.score import lists_of, score_block
from finai_assets.recommend.standing import Standings
from finai_assets.settings import Settings, load_settings
from finai_assets.training.matrix import TrainingMatrix
from finai_resources.errors import GateError
from serving_lambda.bundle import Bundle
from serving_lambda.path import by_rules

SIZES = {"train": 200, "validation": 80, "test": 120}
SMALL = {
    "metrics": {"bootstrap_samples": 30},
    "lists": {
        "ease": {"penalties": [10]},
        "als": {"factors": [2], "regularization": [10], "confidence": [1], "iterations": [3]},
        "lightgbm": {"rounds": 3, "leaves": 3, "early_stopping_rounds": 2, "threads": 1},
    },
}


@pytest.fixture(scope="module")
def settings() -> Settings:
    return load_settings("synthetic", "smoke", overrides=SMALL)


@pytest.fixture(scope="module")
def panel(made: Made, settings: Settings) -> Any:
    """A matrix of the fixtures' rows, whose customers acquire at random."""
    n, rng = sum(SIZES.values()), np.random.default_rng(6)
    X = made.X[:n].copy()
    held = made.held(n).astype(bool)
    for at, name in enumerate(made.registry.names):
        if name.startswith("held_"):
            X[:, at] = held[:, [product.code for product in settings.products].index(name.removeprefix("held_"))]
    customer = np.concatenate([np.repeat(np.arange(size // 2), 2) for size in SIZES.values()])
    split = np.repeat(list(SIZES), list(SIZES.values()))
    matrix = TrainingMatrix(
        X=X, customer=customer, month=np.tile(["2015-06", "2015-07"], n // 2), split=split, labels={}, persistence={},
        columns=made.registry.names, tasks=(),
    )  # fmt: skip
    acquired = (rng.random(held.shape) < 0.03) & ~held
    age = np.where(np.arange(SIZES["test"]) % 6 == 0, np.nan, 20.0 + np.arange(SIZES["test"]) % 60)
    segment = [None if at % 5 == 0 else "plus" for at in range(SIZES["test"])]
    profile = {"age": age, "segment": segment, "standing": permissive(SIZES["test"])}
    return SimpleNamespace(matrix=matrix, outcomes=Outcomes(customer, held, acquired), profile=profile)


@pytest.fixture(scope="module")
def rivals(panel: Any, settings: Settings) -> RivalScores:
    return score_rivals(panel.matrix, panel.outcomes, settings)


def test_lists_are_those_that_the_path_serves(panel: Any, bundle: Bundle, settings: Settings) -> None:
    test = panel.matrix.rows("test")
    X, held, customer = panel.matrix.X[test], panel.outcomes.held[test], np.arange(SIZES["test"])
    score, served, layers, offered = lists_of(bundle, customer, X, panel.matrix.columns, held, panel.profile, settings)
    rows = score_block(
        bundle, customer, X, panel.matrix.columns, held=held, age=panel.profile["age"],
        segment=panel.profile["segment"], standing=panel.profile["standing"], settings=settings,
    ).recommendations.to_pylist()  # fmt: skip
    shown = {(row["customer_id"], row["rank"]): row for row in rows}
    for at in range(SIZES["test"]):
        for place in range(settings.recommend.top_k):
            row = shown.get((at, place + 1))
            assert (served[at, place], layers[at, place]) == ((row["product_id"], row["layer"]) if row else (-1, 0))
    ranked = rank_products(score, ~offered)[:, : settings.recommend.top_k]
    modelled = np.isfinite(score).sum(axis=1) >= settings.recommend.top_k
    assert modelled.mean() > 0.9
    modelled &= (offered == ~held).all(axis=1)  # shares are of what is open, so that filters may change the order
    assert modelled.mean() > 0.5
    np.testing.assert_array_equal(ranked[modelled], served[modelled])  # no diversity is configured


def test_every_list_is_measured_on_the_test_rows_that_acquire(
    panel: Any, bundle: Bundle, rivals: RivalScores, settings: Settings
) -> None:
    test = panel.matrix.rows("test")
    acquired, held = panel.outcomes.acquired[test], panel.outcomes.held[test]
    truth = acquired + 0.01
    found = evaluate_lists(bundle, panel.matrix, panel.outcomes, panel.profile, truth, rivals, settings)
    assert json.loads(json.dumps(found)) == found
    assert (found["rows"], found["acquiring"]) == (120, int(acquired.any(axis=1).sum()))
    assert set(found["lists"]) == {"ours", "served", "rules", *RIVALS, "true_hazards"}
    customer = np.arange(SIZES["test"])
    score, served, layers, _ = lists_of(
        bundle, customer, panel.matrix.X[test], panel.matrix.columns, held, panel.profile, settings
    )
    for name, values in (("ours", score), ("served", scores_of_lists(served, held.shape[1]))):
        by_hand = np.nanmean(accuracy_of_rows(rank_products(values, held), acquired), axis=0)[3]
        assert found["lists"][name][NDCG_3]["value"] == pytest.approx(by_hand)
    assert found["lists"]["true_hazards"][NDCG_3]["value"] == 1.0  # this truth knows
    assert found["lists"]["true_hazards"]["lift_share"]["value"] == 1.0
    assert found["lists"]["popularity"]["lift_share"]["value"] == 0.0
    constraints = [figure["value"] for figure in found["constraints"].values()]
    assert list(found["constraints"]) == ["held_only", "age_and_assets", "suitability", "consent_and_messages"]
    assert constraints[0] == found["lists"]["ours"][NDCG_3]["value"]
    assert sum(found["layers"].values()) == int((served >= 0).sum())
    assert found["layers"]["1"] == int((layers == 1).sum())
    for by, groups in found["groups"].items():
        assert sum(group["rows"] for group in groups.values()) == 120, by
    assert set(found["groups"]["segment"]) == {"plus", "unknown"}
    assert set(found["groups"]["age"]) == {"unknown", "0-34", "35-49", "50-64", "65+"}
    families = found["families"]
    assert sum(of["acquired"] for of in families.values()) == int(acquired.sum())
    assert sum(of["served"] for of in families.values()) == int((served >= 0).sum())
    cards = [product.family == "card" for product in settings.products]
    assert families["card"]["acquired"] == int(acquired[:, cards].sum())
    assert set(families) == set(settings.families)
    table = markdown(found)
    assert all(f"| {name} |" in table for name in found["lists"])
    page = lists_page(found).decode()
    assert page == lists_page(found).decode()
    assert page.count("<svg") == 4
    figure = {"value": 0.1, "low": 0.0, "high": 0.2}
    told = {"ndcg_at_3": figure, "hr_at_3": figure, "over_served": figure, "coverage": 0.5, "families_in_3": None}
    split = {"rows": 120, "acquiring": 7, "variants": {"as_served": told, "mmr_0.5": told}}
    variants = {"what": {"as_served": "nothing", "mmr_0.5": "MMR"}, "absent": {"fatigue": "no contacts"},
                "splits": {"validation": split, "test": split}}  # fmt: skip
    whole = lists_page({**found, "variants": variants}).decode()
    assert whole.count("<svg") == 5
    assert whole.count('<th scope="row">mmr 0.5</th>') == 2
    assert "Not measured: no contacts." in whole
    assert all(f'<th scope="row">{name}</th>' in page for name in (*found["lists"], *families))
    assert "of the way from popularity" in page


def test_without_a_truth_there_is_no_lift_share(
    panel: Any, bundle: Bundle, rivals: RivalScores, settings: Settings
) -> None:
    found = evaluate_lists(bundle, panel.matrix, panel.outcomes, panel.profile, None, rivals, settings)
    assert set(found["lists"]) == {"ours", "served", "rules", *RIVALS}
    assert all("lift_share" not in figures for figures in found["lists"].values())
    assert "lift share" not in markdown(found)
    page = lists_page(found).decode()
    assert "of the way from popularity" not in page
    assert "true_hazards" not in page


def test_the_rules_list_is_what_layer_3_offers(panel: Any, bundle: Bundle, settings: Settings) -> None:
    test = panel.matrix.rows("test")
    X, held = panel.matrix.X[test], panel.outcomes.held[test]
    score = rule_scores(bundle, np.arange(SIZES["test"]), X, panel.matrix.columns, held, panel.profile)
    rows = contract_matrix(bundle, X, panel.matrix.columns)
    customers = customers_of(
        bundle, np.arange(SIZES["test"]), rows, held, panel.profile["age"], panel.profile["segment"],
        panel.profile["standing"], None,
    )  # fmt: skip
    ranked = rank_products(score, held)
    for place in (0, 1, 17, 119):
        offered = [choice.product_id for choice in by_rules(bundle, customers[place], set(customers[place].held))]
        assert offered, place
        assert [product for product in ranked[place].tolist() if product >= 0] == offered
    conservative = {product.product_id for product in bundle.rules.conservative}
    assert {product for product in ranked.ravel().tolist() if product >= 0} <= conservative


def test_what_test_rows_acquire_changes_no_list(panel: Any, bundle: Bundle, settings: Settings) -> None:
    test = panel.matrix.rows("test")
    acquired = panel.outcomes.acquired.copy()
    acquired[test] = np.roll(acquired[test], 1, axis=1) & ~panel.outcomes.held[test]
    other = Outcomes(panel.outcomes.customer, panel.outcomes.held, acquired)
    first, second = (
        evaluate_lists(
            bundle,
            panel.matrix,
            outcomes,
            panel.profile,
            None,
            score_rivals(panel.matrix, outcomes, settings),
            settings,
        )
        for outcomes in (panel.outcomes, other)
    )
    assert first["rivals"] == second["rivals"]
    assert first["layers"] == second["layers"]
    for name in first["lists"]:
        assert first["lists"][name]["coverage"] == second["lists"][name]["coverage"]


def test_rivals_are_compared_with_what_is_served_under_the_same_filters_and_each_filters_cost_is_told(
    panel: Any, bundle: Bundle, rivals: RivalScores, settings: Settings
) -> None:
    n = SIZES["test"]
    standing = permissive(n)
    objecting = replace(standing, do_not_contact=np.arange(n) % 2 == 0)
    unprofiled = replace(standing, grade=np.zeros(n, np.int8))
    nobody = replace(standing, do_not_contact=np.ones(n, bool))

    def evaluated(of: Standings) -> dict[str, Any]:
        profile = {**panel.profile, "standing": of}
        return evaluate_lists(bundle, panel.matrix, panel.outcomes, profile, None, rivals, settings)

    first, half, cautious, none = (evaluated(of) for of in (standing, objecting, unprofiled, nobody))
    assert half["lists"]["ours"] == first["lists"]["ours"]
    kept = half["constraints"]
    assert kept["suitability"] == first["constraints"]["suitability"]
    assert kept["consent_and_messages"]["value"] < kept["suitability"]["value"]
    assert cautious["constraints"]["age_and_assets"] == first["constraints"]["age_and_assets"]
    assert cautious["constraints"]["suitability"] != first["constraints"]["suitability"]
    assert none["lists"]["served"][NDCG_3]["value"] == 0.0
    assert {found["value"] for found in none["served_over"].values()} == {
        0.0
    }  # nobody may be offered anything by anyone
    assert {found["value"] for found in first["served_over"].values()} != {0.0}


def test_stored_scores_of_rivals_are_the_same_bits(rivals: RivalScores, settings: Settings) -> None:
    table, products = rivals_table(rivals), len(settings.products)
    found = load_rivals(table, rivals.facts, SIZES["test"], products)
    assert list(found.scores) == list(RIVALS)
    for name, score in rivals.scores.items():
        np.testing.assert_array_equal(found.scores[name], score)


@pytest.mark.parametrize("wrong", ["a row too few", "a product too many", "a rival is missing"])
def test_scores_of_other_rows_products_or_rivals_are_refused(
    wrong: str, rivals: RivalScores, settings: Settings
) -> None:
    table, rows, products = rivals_table(rivals), SIZES["test"], len(settings.products)
    if wrong == "a row too few":
        table = table.slice(1)
    elif wrong == "a rival is missing":
        table = table.drop_columns(["ease"])
    else:
        products += 1
    with pytest.raises(GateError, match="materialise recommendations/rivals again"):
        load_rivals(table, rivals.facts, rows, products)
