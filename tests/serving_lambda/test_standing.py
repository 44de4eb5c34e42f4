"""What a request says of a customer's standing is read strictly; what it leaves out is unknown, or comes from the store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bundle_fixtures import PERMISSIVE, Made, terms_table

from finai_assets.bundle.registry import export
from serving_lambda import path
from serving_lambda.ports import Ports
from serving_lambda.standing import CHANNELS, UNKNOWN, Standing, standing_of

Ask = Callable[..., dict[str, Any]]
WHOLE = {
    "risk_profile": {"grade": 2, "expires": "2026-12-31"},
    "asset_band": "high",
    "consents": {"marketing": ["sms", "app"], "automated_decision": True, "do_not_contact": False},
    "recent_messages": 0,
}


def test_a_whole_standing_is_read_and_an_absent_one_is_unknown() -> None:
    expected = Standing(2, "2026-12-31", "high", frozenset({"app", "sms"}), True, False, 0)
    assert standing_of(WHOLE, ("low", "high")) == expected
    assert standing_of({}, ()) == standing_of(dict.fromkeys(WHOLE), ()) == UNKNOWN
    assert standing_of({"risk_profile": {"grade": 2}}, ()) == Standing(risk_grade=2)


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"risk_profile": 2}, "FIELD_TYPE", "risk_profile"),
        ({"risk_profile": {"grade": 0}}, "FIELD_VALUE", "risk_profile.grade"),
        ({"risk_profile": {"grade": 7}}, "FIELD_VALUE", "risk_profile.grade"),
        ({"risk_profile": {"grade": "2"}}, "FIELD_TYPE", "risk_profile.grade"),
        ({"risk_profile": {"grade": True}}, "FIELD_TYPE", "risk_profile.grade"),
        ({"risk_profile": {"expires": "soon"}}, "FIELD_VALUE", "risk_profile.expires"),
        ({"risk_profile": {"expires": "2026-13-01"}}, "FIELD_VALUE", "risk_profile.expires"),
        ({"risk_profile": {"expires": "2026-12-31\n"}}, "FIELD_VALUE", "risk_profile.expires"),
        ({"risk_profile": {"expires": 20261231}}, "FIELD_TYPE", "risk_profile.expires"),
        ({"risk_profile": {"since": "2026-01-01"}}, "FIELD_UNKNOWN", "risk_profile"),
        ({"asset_band": "rich"}, "FIELD_VALUE", "asset_band"),
        ({"asset_band": 3}, "FIELD_TYPE", "asset_band"),
        ({"consents": []}, "FIELD_TYPE", "consents"),
        ({"consents": {"marketing": "app"}}, "FIELD_TYPE", "consents.marketing"),
        ({"consents": {"marketing": ["fax"]}}, "FIELD_VALUE", "consents.marketing"),
        ({"consents": {"marketing": [None]}}, "FIELD_TYPE", "consents.marketing"),
        ({"consents": {"automated_decision": 1}}, "FIELD_TYPE", "consents.automated_decision"),
        ({"consents": {"do_not_contact": "no"}}, "FIELD_TYPE", "consents.do_not_contact"),
        ({"consents": {"profiling": True}}, "FIELD_UNKNOWN", "consents"),
        ({"recent_messages": -1}, "FIELD_VALUE", "recent_messages"),
        ({"recent_messages": 1.5}, "FIELD_TYPE", "recent_messages"),
        ({"channel": "fax"}, "FIELD_VALUE", "channel"),
        ({"channel": 1}, "FIELD_TYPE", "channel"),
    ],
)
def test_a_field_that_breaks_the_form_is_refused_with_its_name(
    serving: Ask, request_for: Ask, change: dict[str, Any], code: str, field: str
) -> None:
    error = serving(request_for(0, **change))["error"]
    assert (error["code"], error["field"]) == (code, field)


class Known:
    """A store that knows one customer, and a clock that stands at an hour of Korean time."""

    def __init__(self, standing: Standing, hour: int = 12) -> None:
        self.kept, self.hour, self.asked = standing, hour, 0

    def standing(self, customer_id: int) -> Standing | None:
        self.asked += 1
        return self.kept if customer_id == 1000 else None

    def seconds(self) -> float:
        return 0.0

    def timestamp(self) -> float:
        return 1_780_239_600.0 + 3600.0 * self.hour  # from midnight on of 2026-06-01 in Korea


AGREED = Standing(1, "2999-12-31", None, frozenset({"app"}), True, False, 0)


def without_standing(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in request.items() if name not in PERMISSIVE or name == "age"}


def test_the_store_tells_what_the_request_leaves_out_and_the_request_wins(serving: Ask, request_for: Ask) -> None:
    bare, known = without_standing(request_for(0)), Known(AGREED)
    ports = Ports(standings=known, clock=known)
    assert serving(bare)["nothing_offered"] == {"code": "CONSENT_UNKNOWN"}
    assert serving(bare, ports=ports)["recommendations"] == serving(request_for(0))["recommendations"]
    refused = {**bare, "consents": {"automated_decision": False}}
    assert serving(refused, ports=ports)["nothing_offered"] == {"code": "NO_AUTOMATED_DECISION_CONSENT"}
    assert serving({**bare, "customer_id": 7}, ports=ports)["nothing_offered"] == {"code": "CONSENT_UNKNOWN"}


def test_a_profile_of_the_request_is_not_completed_by_the_expiry_of_another() -> None:
    assert Standing(risk_grade=2).filled(AGREED)[:2] == (2, None)
    assert UNKNOWN.filled(AGREED) == AGREED
    assert AGREED.filled(None) == AGREED


def test_whoever_may_be_offered_nothing_is_not_scored(
    serving: Ask, request_for: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(path, "score_row", lambda *_, **__: pytest.fail("a model was asked"))
    answer = serving(request_for(0, consents={**PERMISSIVE["consents"], "do_not_contact": True}))
    assert answer["nothing_offered"] == {"code": "DO_NOT_CONTACT"}
    assert answer["recommendations"] == answer["filtered"] == answer["degraded"] == []
    assert answer["task_scores"] == answer["layer_by_task"] == {}


def test_at_night_nothing_goes_out_on_an_outbound_channel(serving: Ask, request_for: Ask) -> None:
    def asked(hour: int, channel: str | None) -> Any:
        known = Known(AGREED, hour)
        return serving(request_for(0, channel=channel), ports=Ports(clock=known))["nothing_offered"]

    assert asked(22, "app") == {"code": "QUIET_HOURS"}
    assert asked(12, "app") is asked(22, "email") is asked(22, None) is None


def test_a_profile_counts_until_the_day_of_its_expiry(serving: Ask, request_for: Ask) -> None:
    known = Known(AGREED)

    def filtered(expires: str) -> set[str]:
        profile = {"grade": 1, "expires": expires}
        answer = serving(request_for(0, risk_profile=profile), ports=Ports(clock=known))
        return {entry["code"] for entry in answer["filtered"]}

    assert filtered("2026-06-02") == set()
    assert filtered("2026-06-01") == {"RISK_PROFILE_EXPIRED"}


def test_where_every_product_is_filtered_the_answer_says_so(serving: Ask, request_for: Ask) -> None:
    answer = serving(request_for(0, held=list(range(24))))
    assert answer["nothing_offered"] == {"code": "NOTHING_SUITABLE"}
    assert {entry["code"] for entry in answer["filtered"]} == {"ALREADY_HELD"}
    assert serving(request_for(0))["nothing_offered"] is None


def test_the_answer_names_the_channels_on_which_its_offer_may_be_told_now(serving: Ask, request_for: Ask) -> None:
    def told(hour: int, **fields: Any) -> list[str]:
        answer = serving(request_for(0, **fields), ports=Ports(clock=Known(AGREED, hour)))
        return list(answer["channels"])

    assert told(12) == list(CHANNELS)
    assert told(22) == ["email"]  # the others go out, and it is night
    assert told(12, consents={**PERMISSIVE["consents"], "marketing": ["sms"]}) == ["sms"]
    assert told(12, held=list(range(24))) == []
    assert told(12, recent_messages=99) == []


def test_the_answer_names_what_has_to_be_told_beside_each_product(
    made: Made, serving: Ask, request_for: Ask, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = serving(request_for(0))["recommendations"][0]
    assert first["disclosures"] == []
    terms = terms_table(made.settings, **{first["product"]: {"disclosures": ["fees", "early_termination"]}})
    monkeypatch.setenv("FINAI_BUNDLE", str(export(made.build(terms=terms), tmp_path / "disclosing")))
    told = {entry["product"]: entry["disclosures"] for entry in serving(request_for(0))["recommendations"]}
    assert told == {product: ["fees", "early_termination"] if product == first["product"] else [] for product in told}
