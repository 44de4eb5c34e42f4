"""The shares are a choice model of the customer: they reorder families, add up over what is open, and have their own layers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_fixtures import KEY, Made

from finai_assets.bundle.registry import export
from finai_checks.bundle.small_bundle import exchanged
from serving_lambda import handler as module
from serving_lambda.bundle import Bundle, load_bundle
from serving_lambda.errors import ServingError
from serving_lambda.linear import LinearModel
from serving_lambda.scorer import PRODUCT_MODEL

Ask = Callable[..., dict[str, Any]]
FIRST, SECOND = "models/product_share.json", "models/product_share.holdings.json"


def shares_of(answer: dict[str, Any], kind: str = "nba_primary") -> dict[int, float]:
    return {
        entry["product_id"]: term["share"]
        for entry in answer["recommendations"]
        for term in entry["terms"]
        if term["kind"] == kind
    }


def expected_shares(bundle: Bundle, weights: np.ndarray, held: set[int], kind: str = "nba_primary") -> dict[int, float]:
    found = {}
    for product in bundle.ranking.products:
        rivals = [p.product_id for p in bundle.ranking.products if kind != "nba_primary" or p.family == product.family]
        rivals = [rival for rival in rivals if rival not in held]
        if product.product_id in rivals:
            found[product.product_id] = weights[product.product_id] / weights[rivals].sum()
    return found


def put_signed(folder: Path, name: str, content: bytes) -> None:
    """Exchange a file, and sign the manifest again with its hash."""
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for other, bytes_ in exchanged(files, name, content).items():
        (folder / other).write_bytes(bytes_)


def test_customers_get_different_orders_within_a_family(serving: Ask, request_for: Ask, bundle: Bundle) -> None:
    orders = set()
    for index in range(12):
        entries = serving(request_for(index, k=20))["recommendations"]
        cards = tuple(e["product"] for e in entries if bundle.ranking.products[e["product_id"]].family == 4)
        orders.add(cards)
    assert len(orders) > 3


@pytest.mark.parametrize("kind", ["nba_primary", "any_acquisition"])
def test_the_shares_are_the_logit_of_the_models_margins_over_what_is_not_held(
    serving: Ask, request_for: Ask, made: Made, bundle: Bundle, kind: str
) -> None:
    for index, held in enumerate([{20, 21, 22, 23}, {0, 5, 9, 12}, {16, 17, 18, 19}, set(range(4, 8))]):
        answer = serving(request_for(index, k=20, held=sorted(held)))
        wanted = expected_shares(bundle, np.exp(made.margins([index])[0]), held, kind)
        found = shares_of(answer, kind)
        assert found == pytest.approx(wanted, abs=1e-12)  # all that is open is shown
        families = [{p.product_id for p in bundle.ranking.products if p.family == family} - held for family in range(6)]
        sets = [members for members in families if members] if kind == "nba_primary" else [set(range(24)) - held]
        assert all(sum(found[at] for at in members) == pytest.approx(1.0) for members in sets)


@pytest.mark.parametrize("damaged", [(FIRST,), (FIRST, SECOND)])
def test_a_broken_choice_model_makes_way_for_that_of_holdings_and_that_for_counts(
    serving: Ask, request_for: Ask, made: Made, bundle: Bundle, bundle_folder: Path, damaged: tuple[str, ...]
) -> None:
    for name in damaged:
        (bundle_folder / name).write_bytes(b"{}")
    layer = 1 + len(damaged)
    served = {2: "holdings_model", 3: "train_counts"}[layer]
    held = {20, 21, 22, 23}
    for index in range(4):
        answer = serving(request_for(index, k=20, held=sorted(held)))
        assert answer["layer_by_task"][PRODUCT_MODEL] == layer
        assert [entry for entry in answer["degraded"] if entry["task"] == PRODUCT_MODEL] == [
            {"task": PRODUCT_MODEL, "code": "STUDENT_FILE_CORRUPT", "served_by": served}
        ]
        assert answer["layer_by_task"]["nba_primary"] == 1  # the tasks keep theirs
        assert {entry["layer"] for entry in answer["recommendations"]} == {layer}
        assert all(entry["explained_by"] for entry in answer["recommendations"])
        weights = np.exp(made.margins([index], layer=2)[0]) if layer == 2 else np.array(made.shares) + 1.0
        for kind in ("nba_primary", "any_acquisition"):
            wanted = expected_shares(bundle, weights, held, kind)
            assert shares_of(answer, kind) == pytest.approx(wanted, abs=1e-12)
        of_share = [a["of_share"] for entry in answer["recommendations"] for a in entry["attributions"]]
        assert any(of_share) == (layer == 2)


def changed(content: bytes, **fields: Any) -> bytes:
    return json.dumps({**json.loads(content), **fields}).encode()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda model, _: model[: len(model) // 2],
        lambda _, __: b"tree\nversion=v4\n",
        lambda _, foreign: foreign,
        lambda model, _: changed(model, columns=json.loads(model)["columns"][::-1]),
        lambda model, _: changed(model, products=json.loads(model)["products"][::-1]),
        lambda model, _: changed(model, intercept=json.loads(model)["intercept"][:-1]),
    ],
    ids=["truncated", "of trees", "foreign", "other columns", "other products", "inconsistent"],
)
def test_a_signed_file_that_is_no_choice_model_of_the_bundle_makes_way_for_the_next_layer(
    serving: Ask,
    request_for: Ask,
    bundle_folder: Path,
    spoil: Callable[[bytes, bytes], bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = ((bundle_folder / name).read_bytes() for name in (FIRST, SECOND))
    put_signed(bundle_folder, FIRST, spoil(first, second))
    answer = serving(request_for(0))
    assert answer["layer_by_task"][PRODUCT_MODEL] == 2
    told = [entry for entry in answer["degraded"] if entry["task"] == PRODUCT_MODEL]
    assert told == [{"task": PRODUCT_MODEL, "code": "MODEL_UNREADABLE", "served_by": "holdings_model"}]
    put_signed(bundle_folder, SECOND, spoil(second, first))
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    answer = serving(request_for(0))
    assert answer["layer_by_task"][PRODUCT_MODEL] == 3
    assert {"task": PRODUCT_MODEL, "code": "MODEL_UNREADABLE", "served_by": "train_counts"} in answer["degraded"]


def test_a_bundle_without_a_choice_model_says_that_its_shares_are_counts(
    serving: Ask, request_for: Ask, made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FINAI_BUNDLE", str(export(made.build(choice=None), tmp_path / "without")))
    request, names = request_for(0), module.HOLDER.get().names  # its contract lacks the choice model's columns
    answer = serving({**request, "features": {name: request["features"][name] for name in names}})
    assert {"task": PRODUCT_MODEL, "code": "NO_PRODUCT_MODEL", "served_by": "train_counts"} in answer["degraded"]
    assert {entry["layer"] for entry in answer["recommendations"]} == {3}


def test_a_recommendation_has_the_lowest_layer_of_all_that_its_terms_used(serving: Ask, request_for: Ask) -> None:
    met = set()
    for index in range(10):
        answer = serving(request_for(index, k=20))
        layers = answer["layer_by_task"]
        for entry in answer["recommendations"]:
            used = [layers[term["task"]] for term in entry["terms"]] + [layers[PRODUCT_MODEL]]
            assert entry["layer"] == max(used)
            met.add(entry["layer"])
    assert layers["will_acquire_lending"] == 2
    assert met == {1, 2}


def test_a_choice_model_that_cannot_explain_makes_way_too(
    serving: Ask, request_for: Ask, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving(request_for(0))
    model = module.HOLDER.get().product_model
    assert model is not None
    real, failing = LinearModel.contributions_of, model.ready()

    def contributions_of(self: LinearModel, product: int, values: Any) -> list[float]:
        if self is failing:
            raise ServingError("MODEL_UNREADABLE", "no memory")
        return real(self, product, values)

    monkeypatch.setattr(LinearModel, "contributions_of", contributions_of)
    answer = serving(request_for(0))
    assert answer["layer_by_task"][PRODUCT_MODEL] == 2
    (bundle_folder / FIRST).unlink()
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    assert answer["recommendations"] == serving(request_for(0))["recommendations"]


def test_the_choice_model_is_part_of_the_self_test_and_of_the_bundles_columns(bundle_folder: Path) -> None:
    loaded = load_bundle(bundle_folder, KEY)
    assert PRODUCT_MODEL in loaded.layers
    assert PRODUCT_MODEL not in loaded.students
    assert {name for student in loaded.layers[PRODUCT_MODEL] for name in student.columns} <= set(loaded.names)
