"""Under the weights that are shipped, the choice model alone orders what is open, by the probability of any acquisition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_fixtures import KEY, Made

from serving_lambda import handler as module
from serving_lambda.bundle import load_bundle
from serving_lambda.scorer import PRODUCT_MODEL

Ask = Callable[..., dict[str, Any]]


def spoil(folder: Path, *names: str) -> None:
    for name in names:
        (folder / "models" / name).write_bytes(b"tree")


def test_ranking_asks_the_next_best_action_alone(shipped_folder: Path) -> None:
    ranking = load_bundle(shipped_folder, KEY).ranking
    assert ranking.tasks == {"nba_primary"}
    assert {tuple(source.kind for source in sources) for sources in ranking.sources} == {("any_acquisition",)}


def test_products_come_in_the_order_of_the_choice_models_margins_over_what_is_open(
    shipped: Ask, request_for: Ask, made: Made
) -> None:
    for index, held in enumerate([{20, 21, 22, 23}, {0, 5, 9, 12}, set(range(4, 12)), set(range(1, 24, 2))]):
        margins = made.margins([index])[0]
        wanted = [at for at in np.argsort(-margins, kind="stable").tolist() if at not in held]
        answer = shipped(request_for(index, k=20, held=sorted(held)))
        assert [entry["product_id"] for entry in answer["recommendations"]] == wanted


def test_the_one_term_can_be_recomputed_by_hand(shipped: Ask, request_for: Ask, made: Made) -> None:
    for index, held in enumerate([{20, 21, 22, 23}, {0, 5, 9, 12}]):
        answer = shipped(request_for(index, k=20, held=sorted(held)))
        bundle = module.HOLDER.get()
        request = request_for(index)
        row = [float("nan") if (value := request["features"][name]) is None else value for name in bundle.names]
        nothing = bundle.students["nba_primary"].predict(row)[0]
        weights = np.exp(made.margins([index])[0])
        open_ids = [at for at in range(24) if at not in held]
        assert len(answer["recommendations"]) == len(open_ids)
        for entry in answer["recommendations"]:
            [term] = entry["terms"]
            share = weights[entry["product_id"]] / weights[open_ids].sum()
            assert (term["task"], term["output"], term["kind"]) == ("nba_primary", 0, "any_acquisition")
            assert (term["weight"], term["multiplier"], term["boost"]) == (1.0, 1.0, 1.0)
            assert term["probability"] == 1.0 - nothing
            assert term["share"] == pytest.approx(share, abs=1e-12)
            assert entry["score"] == term["value"] == term["probability"] * term["share"]
            assert entry["task_scores"] == {"nba_primary": term["probability"]}
            assert entry["explained_by"] == "nba_primary"
        total = sum(entry["score"] for entry in answer["recommendations"])
        assert total == pytest.approx(1.0 - nothing)


def test_recommendations_are_of_layer_1_where_both_models_are_and_of_the_lower_one_else(
    shipped: Ask, request_for: Ask, shipped_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = shipped(request_for(0))
    assert answer["layer_by_task"]["will_acquire_lending"] == 2  # which takes no part
    assert answer["layer_by_task"]["nba_primary"] == answer["layer_by_task"][PRODUCT_MODEL] == 1
    assert [entry["layer"] for entry in answer["recommendations"]] == [1, 1, 1]
    for name in ("nba_primary.txt", "product_share.json"):
        path = shipped_folder / "models" / name
        content = path.read_bytes()
        spoil(shipped_folder, name)
        monkeypatch.setattr(module, "HOLDER", module.Holder())
        assert [entry["layer"] for entry in shipped(request_for(0))["recommendations"]] == [2, 2, 2]
        path.write_bytes(content)


def test_broken_students_of_tasks_without_a_weight_change_no_recommendation(
    shipped: Ask, request_for: Ask, shipped_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    intact = [shipped(request_for(index))["recommendations"] for index in range(4)]
    unasked = [path.name for path in (shipped_folder / "models").iterdir() if path.name.startswith("will_acquire")]
    assert len(unasked) == 9  # four of two layers, one of one
    spoil(shipped_folder, *unasked)
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    answers = [shipped(request_for(index)) for index in range(4)]
    assert {answer["layer_by_task"]["will_acquire_deposits"] for answer in answers} == {3}
    assert [answer["recommendations"] for answer in answers] == intact
    assert {entry["layer"] for entries in intact for entry in entries} == {1}


def test_without_the_next_best_action_the_rules_choose(shipped: Ask, request_for: Ask, shipped_folder: Path) -> None:
    spoil(shipped_folder, "nba_primary.txt", "nba_primary.direct.txt")
    answer = shipped(request_for(0))
    assert answer["layer_by_task"][PRODUCT_MODEL] == 1
    assert all(entry["layer"] == 3 and entry["explained_by"] is None for entry in answer["recommendations"])
