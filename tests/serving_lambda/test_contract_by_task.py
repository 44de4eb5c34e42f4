"""A value outside its contract moves only the models that read it, and only to a layer that does not read it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from serving_lambda.bundle import Bundle
from serving_lambda.scorer import PRODUCT_MODEL

Ask = Callable[..., dict[str, Any]]


def spoil(request: dict[str, Any], bundle: Bundle, columns: set[str]) -> dict[str, Any]:
    """Return the request with values above every bound; a column without a bound cannot be spoiled."""
    values = {name: 1e30 if name in columns else value for name, value in request["features"].items()}
    return {**request, "features": values}


def bounded(bundle: Bundle) -> list[str]:
    return [column.name for column in bundle.columns if column.high is not None]


@pytest.mark.parametrize("which", [0, 3, 7, 11, 15])
def test_only_models_that_read_the_column_move_and_to_the_first_layer_that_does_not(
    serving: Ask, request_for: Ask, bundle: Bundle, which: int
) -> None:
    copies = {name for layers in bundle.layers.values() for name in layers[0].columns}
    column = [name for name in bounded(bundle) if name in copies][which]
    intact, answer = serving(request_for(2)), serving(spoil(request_for(2), bundle, {column}))
    moved = set()
    for task, layers in bundle.layers.items():
        before = intact["layer_by_task"][task]
        sound = [student for student in layers if student.file and column not in student.columns]
        expected = 3 if before == 3 or not sound else sound[0].layer
        assert answer["layer_by_task"][task] == expected, task
        told = [entry["code"] for entry in answer["degraded"] if entry["task"] == task]
        reads = before != 3 and column in layers[0].columns
        assert ("INPUT_OUTSIDE_CONTRACT" in told) == reads
        if reads:
            moved.add(task)
        elif task in intact["task_scores"]:
            assert answer["task_scores"][task] == intact["task_scores"][task]
    assert moved
    assert moved != set(bundle.layers)
    assert [flag["column"] for flag in answer["input_flags"]] == [column]
    assert len(answer["recommendations"]) == 3


def test_a_column_that_all_layers_of_a_task_read_takes_away_its_terms_alone(
    serving: Ask, request_for: Ask, bundle: Bundle
) -> None:
    task = "will_acquire_payments"
    first, second = bundle.layers[task]
    column = next(name for name in bounded(bundle) if name in first.columns and name in second.columns)
    answer = serving(spoil(request_for(0, k=20), bundle, {column}))
    assert task not in answer["task_scores"]
    assert answer["layer_by_task"][task] == 3
    cards = [entry for entry in answer["recommendations"] if entry["product"].endswith("card")]
    assert cards
    assert all([term["kind"] for term in entry["terms"]] == ["any_acquisition", "nba_primary"] for entry in cards)


def test_the_product_model_moves_to_counts_where_none_of_its_layers_may_be_asked(
    serving: Ask, request_for: Ask, bundle: Bundle
) -> None:
    first, second = bundle.layers[PRODUCT_MODEL]
    column = next(name for name in bounded(bundle) if name in first.columns and name in second.columns)
    answer = serving(spoil(request_for(0), bundle, {column}))
    assert answer["layer_by_task"][PRODUCT_MODEL] == 3
    assert {"task": PRODUCT_MODEL, "code": "INPUT_OUTSIDE_CONTRACT", "served_by": "train_counts"} in answer["degraded"]
    assert all(entry["explained_by"] and entry["layer"] == 3 for entry in answer["recommendations"])


def test_the_choice_model_of_holdings_answers_where_a_column_that_it_does_not_read_is_outside(
    serving: Ask, request_for: Ask, bundle: Bundle
) -> None:
    first, second = bundle.layers[PRODUCT_MODEL]
    assert all(name.startswith("held_") for name in second.columns)
    column = next(name for name in bounded(bundle) if name in first.columns and name not in second.columns)
    answer = serving(spoil(request_for(0), bundle, {column}))
    assert answer["layer_by_task"][PRODUCT_MODEL] == 2
    told = {"task": PRODUCT_MODEL, "code": "INPUT_OUTSIDE_CONTRACT", "served_by": "holdings_model"}
    assert told in answer["degraded"]
    assert {entry["layer"] for entry in answer["recommendations"]} == {2}


def test_the_rules_serve_only_where_no_term_is_left(serving: Ask, request_for: Ask, bundle: Bundle) -> None:
    answer = serving(spoil(request_for(0, age=35), bundle, set(bounded(bundle))))
    assert set(answer["layer_by_task"].values()) == {3}
    assert {entry["layer"] for entry in answer["recommendations"]} == {3}
    assert all(entry["attributions"] == [] and "rule" in entry["terms"][0] for entry in answer["recommendations"])
