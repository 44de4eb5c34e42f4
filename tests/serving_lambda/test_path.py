"""The path filters before it cuts, and its ports are asked where they are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from bundle_fixtures import PERMISSIVE, Made

from finai_assets.settings import load_settings
from serving_lambda import handler as module
from serving_lambda.ports import Ports
from serving_lambda.scorer import PRODUCT_MODEL

Ask = Callable[..., dict[str, Any]]


def test_k_products_are_shown_although_the_best_k_are_held(serving: Ask, request_for: Ask) -> None:
    best = [entry["product"] for entry in serving(request_for(0, k=3))["recommendations"]]
    answer = serving(request_for(0, k=3, held=best))
    assert len(answer["recommendations"]) == 3
    assert not {entry["product"] for entry in answer["recommendations"]} & set(best)
    assert all(entry["explained_by"] for entry in answer["recommendations"])
    assert {(entry["product"], entry["code"]) for entry in answer["filtered"]} == {(p, "ALREADY_HELD") for p in best}


def test_the_rules_offer_nothing_that_was_filtered(serving: Ask, request_for: Ask, bundle: Any) -> None:
    spoiled = request_for(0, k=20, held=["demand_deposit", "time_deposit"])
    high = {column.name for column in bundle.columns if column.high is not None}
    spoiled["features"] = {name: 1e30 if name in high else value for name, value in spoiled["features"].items()}
    shown = {entry["product"] for entry in serving(spoiled)["recommendations"]}
    assert shown
    assert not shown & {"demand_deposit", "time_deposit"}


def test_the_configured_relevance_diversifies_the_answer(
    made: Made, serving: Ask, request_for: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    from finai_assets.bundle.registry import export

    changes = {"recommend": {"diversity": {"relevance": 0.0}}}
    files = made.build(settings=load_settings("synthetic", "smoke", overrides=changes))
    monkeypatch.setenv("FINAI_BUNDLE", str(export(files, tmp_path / "diverse")))
    products = module.HOLDER.get().ranking.products
    for index in range(5):
        shown = [products[entry["product_id"]] for entry in serving(request_for(index, k=5))["recommendations"]]
        assert len({product.family for product in shown}) == 5


@dataclass
class Recorder:
    """All ports in one: a store of one customer, a switch, a history and a sink."""

    kept: Mapping[str, float | None]
    stopped: tuple[str, ...] = ()
    messages: Mapping[int, int] = field(default_factory=dict)
    records: list[Mapping[str, Any]] = field(default_factory=list)

    def features(self, customer_id: int) -> Mapping[str, float | None] | None:
        return self.kept if customer_id == 1000 else None

    def stops(self, task: str) -> bool:
        return task in self.stopped

    def recent(self, customer_id: int) -> Mapping[int, int]:
        return self.messages if customer_id == 1000 else {}

    def append(self, record: Mapping[str, Any]) -> None:
        self.records.append(record)


def test_an_absent_port_is_named_and_a_given_one_is_not(serving: Ask, request_for: Ask) -> None:
    ports = Recorder(request_for(0)["features"])
    given = Ports(store=ports, switch=ports, contacts=ports, audit=ports)
    assert serving(request_for(0), ports=given)["steps_absent"] == ["safety_gate"]
    assert serving(request_for(0))["steps_absent"][:4] == ["online_store", "kill_switch", "fatigue", "audit"]


def test_the_store_gives_the_features_of_a_customer_it_knows(serving: Ask, request_for: Ask) -> None:
    given = Ports(store=Recorder(request_for(0)["features"]))
    answer = serving({"customer_id": 1000, "held": [], **PERMISSIVE}, ports=given)
    assert answer["recommendations"] == serving(request_for(0))["recommendations"]
    assert serving({"customer_id": 7, "held": []}, ports=given)["error"]["code"] == "FEATURES_REQUIRED"


def test_a_stopped_model_is_not_asked_and_the_answer_says_why(serving: Ask, request_for: Ask) -> None:
    given = Ports(switch=Recorder({}, stopped=("nba_primary", PRODUCT_MODEL)))
    answer = serving(request_for(0), ports=given)
    assert answer["layer_by_task"]["nba_primary"] == answer["layer_by_task"][PRODUCT_MODEL] == 3
    assert "nba_primary" not in answer["task_scores"]
    codes = {(entry["task"], entry["code"]) for entry in answer["degraded"]}
    assert {("nba_primary", "KILL_SWITCH"), (PRODUCT_MODEL, "KILL_SWITCH")} <= codes
    assert {entry["layer"] for entry in answer["recommendations"]} == {3}


def test_messages_about_a_product_tire(serving: Ask, request_for: Ask) -> None:
    first = serving(request_for(0))["recommendations"][0]
    given = Ports(contacts=Recorder({}, messages={first["product_id"]: 2}))
    tired = serving(request_for(0, k=20), ports=given)["recommendations"]
    entry = next(entry for entry in tired if entry["product_id"] == first["product_id"])
    assert entry["fatigue"] == 0.85**2
    assert entry["score"] == pytest.approx(0.85**2 * first["score"])


def test_every_answer_is_recorded_and_one_that_cannot_be_is_not_given(serving: Ask, request_for: Ask) -> None:
    ports = Recorder({})
    answer = serving(request_for(0, request_id="r"), ports=Ports(audit=ports))
    assert [record["request_id"] for record in ports.records] == ["r"]
    assert answer["recommendations"]

    def refuse(_: Mapping[str, Any]) -> None:
        raise OSError("full")

    ports.append = refuse  # type: ignore[method-assign]
    assert serving(request_for(0), ports=Ports(audit=ports))["error"]["code"] == "INTERNAL"
