"""The shares are a model of the customer: they reorder families, add up over what is open, and have layers of their own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from bundle_fixtures import KEY, Made

from finai_assets.students.card import card_of
from serving_lambda import handler as module
from serving_lambda.bundle import Bundle, load_bundle
from serving_lambda.errors import ServingError
from serving_lambda.lightgbm_c import Model
from serving_lambda.scorer import PRODUCT_MODEL

Ask = Callable[..., dict[str, Any]]
FIRST, SECOND = "models/product_share.txt", "models/product_share.direct.txt"


def shares_of(answer: dict[str, Any], task: str = "nba_primary") -> dict[int, float]:
    return {
        entry["product_id"]: term["share"]
        for entry in answer["recommendations"]
        for term in entry["terms"]
        if term["task"] == task
    }


def margins(made: Made, index: int, *, direct: bool) -> np.ndarray:
    """Return the margins of all products by lightgbm's own package."""
    whole = card_of(made.product_model)
    card = whole.direct if direct and whole.direct else whole
    text = made.product_model["direct.txt" if direct else "model.txt"].decode()
    X = made.X[index : index + 1, [made.registry.names.index(name) for name in card.columns]]
    return np.asarray(lgb.Booster(model_str=text).predict(X, raw_score=True))[0] + np.array(card.init_score)


def expected_shares(made: Made, bundle: Bundle, weights: np.ndarray, held: set[int]) -> dict[int, float]:
    found = {}
    for product in bundle.ranking.products:
        siblings = [p.product_id for p in bundle.ranking.products if p.family == product.family]
        siblings = [sibling for sibling in siblings if sibling not in held]
        if product.product_id in siblings:
            found[product.product_id] = weights[product.product_id] / weights[siblings].sum()
    return found


def test_customers_get_different_orders_within_a_family(serving: Ask, request_for: Ask, bundle: Bundle) -> None:
    orders = set()
    for index in range(12):
        entries = serving(request_for(index, k=20))["recommendations"]
        cards = tuple(e["product"] for e in entries if bundle.ranking.products[e["product_id"]].family == 4)
        orders.add(cards)
    assert len(orders) > 3


def test_the_shares_are_the_logit_of_the_models_margins_over_what_is_not_held(
    serving: Ask, request_for: Ask, made: Made, bundle: Bundle
) -> None:
    for index, held in enumerate([set(), {0, 5, 9}, {16, 17, 18}, set(range(4, 8))]):
        answer = serving(request_for(index, k=20, held=sorted(held)))
        wanted = expected_shares(made, bundle, np.exp(margins(made, index, direct=False)), held)
        found = shares_of(answer)
        assert found == pytest.approx({at: wanted[at] for at in found}, abs=1e-12)
        assert not set(found) & held
        families = [{p.product_id for p in bundle.ranking.products if p.family == family} - held for family in range(6)]
        complete = [members for members in families if members and members <= set(found)]
        assert complete
        assert all(sum(found[at] for at in members) == pytest.approx(1.0) for members in complete)


@pytest.mark.parametrize("damaged", [(FIRST,), (FIRST, SECOND)])
def test_a_broken_product_model_makes_way_for_the_direct_one_and_that_for_counts(
    serving: Ask, request_for: Ask, made: Made, bundle: Bundle, bundle_folder: Path, damaged: tuple[str, ...]
) -> None:
    for name in damaged:
        (bundle_folder / name).write_bytes(b"tree")
    layer = 1 + len(damaged)
    served = {2: "direct_student", 3: "train_counts"}[layer]
    for index in range(4):
        answer = serving(request_for(index, k=20))
        assert answer["layer_by_task"][PRODUCT_MODEL] == layer
        assert [entry for entry in answer["degraded"] if entry["task"] == PRODUCT_MODEL] == [
            {"task": PRODUCT_MODEL, "code": "STUDENT_FILE_CORRUPT", "served_by": served}
        ]
        assert answer["layer_by_task"]["nba_primary"] == 1  # the tasks keep theirs
        assert {entry["layer"] for entry in answer["recommendations"]} == {layer}
        assert all(entry["explained_by"] for entry in answer["recommendations"])
        weights = np.exp(margins(made, index, direct=True)) if layer == 2 else np.array(made.shares) + 1.0
        wanted, found = expected_shares(made, bundle, weights, set()), shares_of(answer)
        assert found == pytest.approx({at: wanted[at] for at in found}, abs=1e-12)
        of_share = [a["of_share"] for entry in answer["recommendations"] for a in entry["attributions"]]
        assert any(of_share) == (layer == 2)


def test_a_bundle_without_a_product_model_says_that_its_shares_are_counts(
    serving: Ask, request_for: Ask, made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from finai_assets.bundle.registry import export

    monkeypatch.setenv("FINAI_BUNDLE", str(export(made.build(product_model=None), tmp_path / "without")))
    request, names = request_for(0), module.HOLDER.get().names  # its contract lacks the product model's columns
    answer = serving({**request, "features": {name: request["features"][name] for name in names}})
    assert {"task": PRODUCT_MODEL, "code": "NO_PRODUCT_MODEL", "served_by": "train_counts"} in answer["degraded"]
    assert {entry["layer"] for entry in answer["recommendations"]} == {3}


def test_a_recommendation_has_the_lowest_layer_of_all_that_its_terms_used(serving: Ask, request_for: Ask) -> None:
    for index in range(10):
        answer = serving(request_for(index, k=20))
        layers = answer["layer_by_task"]
        for entry in answer["recommendations"]:
            used = [layers[term["task"]] for term in entry["terms"]] + [layers[PRODUCT_MODEL]]
            assert entry["layer"] == max(used)
    assert layers["will_acquire_lending"] == 2


def test_a_product_model_that_cannot_explain_makes_way_too(
    serving: Ask, request_for: Ask, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving(request_for(0))
    model = module.HOLDER.get().product_model
    assert model is not None

    def broken(_: Model, __: int) -> Model:
        raise ServingError("MODEL_UNREADABLE", "no memory")

    real, failing = Model.output, model.ready()
    monkeypatch.setattr(Model, "output", lambda self, at: broken(self, at) if self is failing else real(self, at))
    answer = serving(request_for(0))
    assert answer["layer_by_task"][PRODUCT_MODEL] == 2
    (bundle_folder / FIRST).unlink()
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    assert answer["recommendations"] == serving(request_for(0))["recommendations"]


def test_the_product_model_is_part_of_the_self_test_and_of_the_bundles_columns(bundle_folder: Path) -> None:
    loaded = load_bundle(bundle_folder, KEY)
    assert PRODUCT_MODEL in loaded.layers
    assert PRODUCT_MODEL not in loaded.students
    assert {name for student in loaded.layers[PRODUCT_MODEL] for name in student.columns} <= set(loaded.names)
