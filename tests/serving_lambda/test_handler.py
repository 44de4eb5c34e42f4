"""The handler's contract: every refusal code, every envelope, and answers that can be recomputed by hand."""

from __future__ import annotations

import base64
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from serving_lambda import handler as module
from serving_lambda.bundle import Bundle
from serving_lambda.contract import MAXIMUM_BYTES
from serving_lambda.errors import STATUS

Ask = Callable[..., dict[str, Any]]


def code_of(answer: dict[str, Any]) -> str:
    assert set(answer["error"]) == {"code", "message", "field"}
    assert "Traceback" not in answer["error"]["message"]
    return str(answer["error"]["code"])


def test_an_answer_names_its_products_layers_reasons_and_what_is_not_done_yet(
    serving: Ask, request_for: Ask, bundle: Bundle
) -> None:
    answer = serving(request_for(0, k=4, request_id="r-1"))
    assert answer["request_id"] == "r-1"
    assert answer["bundle_id"] == bundle.bundle_id
    assert answer["steps_absent"] == [
        "online_store",
        "kill_switch",
        "fatigue",
        "audit",
        "safety_gate",
    ]
    assert len(answer["recommendations"]) == 4
    assert answer["layer_by_task"]["churn_signal"] == 1
    assert answer["layer_by_task"]["top_mcc_shift"] == 2  # a direct student
    assert answer["layer_by_task"]["mcc_diversity_trend"] == 3  # skipped
    for entry in answer["recommendations"]:
        assert entry["attributions"]
        assert entry["reason"]["ko"]
        assert entry["reason"]["en"]
    json.dumps(answer, allow_nan=False)


def test_every_score_can_be_recomputed_by_hand_from_its_terms(serving: Ask, request_for: Ask) -> None:
    for index in range(10):
        for entry in serving(request_for(index, k=20))["recommendations"]:
            assert entry["layer"] in {1, 2}
            factors = ("weight", "multiplier", "boost", "probability", "share")
            values = [math.prod(term[factor] for factor in factors) for term in entry["terms"]]
            assert values == [term["value"] for term in entry["terms"]]
            assert entry["score"] == entry["fatigue"] * sum(values) - entry["risk_penalty"]
            assert max(entry["terms"], key=lambda term: term["value"])["task"] == entry["explained_by"]


def test_products_come_best_first_and_none_that_is_held(serving: Ask, request_for: Ask) -> None:
    held = ["time_deposit", "credit_card", 0]
    entries = serving(request_for(2, k=20, held=held))["recommendations"]
    scores = [(-entry["score"], entry["product_id"]) for entry in entries]
    assert scores == sorted(scores)
    assert not {"time_deposit", "credit_card", "demand_deposit"} & {entry["product"] for entry in entries}


def test_equal_requests_get_equal_answers(serving: Ask, request_for: Ask) -> None:
    first, second = (serving(request_for(3, request_id="same")) for _ in range(2))
    first.pop("latency_ms")
    second.pop("latency_ms")
    assert first == second


def test_a_customer_who_holds_everything_gets_no_product_and_no_error(serving: Ask, request_for: Ask) -> None:
    assert serving(request_for(0, held=list(range(24))))["recommendations"] == []


@pytest.mark.parametrize(
    ("change", "code", "field"),
    [
        ({"colour": 1}, "FIELD_UNKNOWN", "colour"),
        ({"k": 0}, "FIELD_VALUE", "k"),
        ({"k": 21}, "FIELD_VALUE", "k"),
        ({"k": True}, "FIELD_TYPE", "k"),
        ({"k": 2.5}, "FIELD_TYPE", "k"),
        ({"age": -1}, "FIELD_VALUE", "age"),
        ({"age": "40"}, "FIELD_TYPE", "age"),
        ({"locale": "fr"}, "FIELD_VALUE", "locale"),
        ({"locale": None}, "FIELD_TYPE", "locale"),
        ({"segment": "gold"}, "FIELD_VALUE", "segment"),
        ({"segment": 3}, "FIELD_TYPE", "segment"),
        ({"held": "time_deposit"}, "FIELD_TYPE", "held"),
        ({"held": ["unknown"]}, "FIELD_VALUE", "held"),
        ({"held": [24]}, "FIELD_VALUE", "held"),
        ({"held": [True]}, "FIELD_TYPE", "held"),
        ({"held": [[1]]}, "FIELD_TYPE", "held"),
        ({"customer_id": 1 << 63}, "FIELD_VALUE", "customer_id"),
        ({"customer_id": "12a"}, "FIELD_TYPE", "customer_id"),
        ({"customer_id": "--1"}, "FIELD_VALUE", "customer_id"),
        ({"customer_id": 1.5}, "FIELD_TYPE", "customer_id"),
        ({"request_id": ""}, "FIELD_VALUE", "request_id"),
        ({"request_id": 5}, "FIELD_TYPE", "request_id"),
        ({"features": [1, 2]}, "FIELD_TYPE", "features"),
    ],
)
def test_a_field_that_breaks_the_form_is_refused_with_its_name(
    serving: Ask, request_for: Ask, change: dict[str, Any], code: str, field: str
) -> None:
    answer = serving(request_for(0, **change))
    assert (code_of(answer), answer["error"]["field"]) == (code, field)


def test_a_request_without_held_products_is_refused(serving: Ask, request_for: Ask) -> None:
    request = request_for(0)
    del request["held"]
    assert code_of(serving(request)) == "FIELD_MISSING"


def test_a_customer_without_features_is_told_that_there_is_no_online_store(serving: Ask) -> None:
    assert code_of(serving({"customer_id": 5})) == "FEATURES_REQUIRED"
    assert code_of(serving({})) == "FIELD_MISSING"


def test_missing_features_are_refused_with_their_number_and_the_first_names(
    serving: Ask, request_for: Ask, bundle: Bundle
) -> None:
    request = request_for(0)
    for name in bundle.names[:7]:
        del request["features"][name]
    answer = serving(request)
    assert code_of(answer) == "FEATURES_MISSING"
    assert answer["error"]["message"].startswith("7 columns")
    assert bundle.names[0] in answer["error"]["message"]
    assert bundle.names[6] not in answer["error"]["message"]


def test_an_unknown_feature_is_refused_even_where_the_number_is_right(
    serving: Ask, request_for: Ask, bundle: Bundle
) -> None:
    request = request_for(0)
    request["features"]["not_a_column"] = request["features"].pop(bundle.names[0])
    answer = serving(request)
    assert (code_of(answer), answer["error"]["field"]) == ("FEATURE_UNKNOWN", "not_a_column")


@pytest.mark.parametrize("value", ["1", True, [1], {}, 10**400])
def test_a_feature_that_is_no_number_is_refused(serving: Ask, request_for: Ask, bundle: Bundle, value: Any) -> None:
    request = request_for(0)
    request["features"][bundle.names[3]] = value
    assert code_of(serving(request)) == "FEATURE_TYPE"


@pytest.mark.parametrize("problem", ["null", "below", "above", "infinite"])
def test_a_value_outside_the_contract_is_flagged(serving: Ask, request_for: Ask, bundle: Bundle, problem: str) -> None:
    column = next(c for c in bundle.columns if not c.nullable and c.low is not None and c.high is not None)
    assert column.low is not None
    assert column.high is not None
    value = {"null": None, "below": column.low - 1, "above": column.high + 1, "infinite": 1e300}[problem]
    request = request_for(0, age=35)
    request["features"][column.name] = value
    answer = serving(request)
    expected = "above" if problem == "infinite" else problem
    assert answer["input_flags"] == [{"column": column.name, "problem": expected}]
    assert len(answer["recommendations"]) == 3
    json.dumps(answer, allow_nan=False)


def test_null_is_a_value_where_the_column_allows_it(serving: Ask, request_for: Ask, bundle: Bundle) -> None:
    request = request_for(0)
    request["features"][next(c.name for c in bundle.columns if c.nullable)] = None
    assert serving(request)["input_flags"] == []


def http(body: Any, **more: Any) -> dict[str, Any]:
    return {"requestContext": {"http": {"method": "POST"}}, "body": body, **more}


@pytest.mark.parametrize(
    "envelope",
    [
        http,
        lambda body: {"httpMethod": "POST", "requestContext": {}, "body": body},
        lambda body: http(base64.b64encode(body.encode()).decode(), isBase64Encoded=True),
    ],
    ids=["function URL", "REST proxy", "base64"],
)
def test_an_http_envelope_gets_the_same_answer_in_a_body(
    serving: Ask, request_for: Ask, envelope: Callable[[str], dict[str, Any]]
) -> None:
    request = request_for(1, request_id="x")
    plain, answer = serving(request), serving(envelope(json.dumps(request)))
    assert answer["statusCode"] == 200
    body = json.loads(answer["body"])
    assert body["recommendations"] == plain["recommendations"]


@pytest.mark.parametrize(
    ("event", "code"),
    [
        (http("{"), "BODY_NOT_JSON"),
        (http(None), "BODY_NOT_JSON"),
        (http('{"features": {"a": NaN}}'), "BODY_NOT_JSON"),
        (http("[" * 100_000), "BODY_NOT_JSON"),
        (http("!!", isBase64Encoded=True), "BODY_NOT_JSON"),
        (http(" " * (MAXIMUM_BYTES + 1)), "BODY_TOO_LARGE"),
        (http(base64.b64encode(b" " * (MAXIMUM_BYTES + 1)).decode(), isBase64Encoded=True), "BODY_TOO_LARGE"),
        (http("[]"), "FIELD_TYPE"),
        (http('"text"'), "FIELD_TYPE"),
        ({"requestContext": {"http": {"method": "GET"}}}, "METHOD_NOT_ALLOWED"),
        (http('{"requests": []}'), "FIELD_TYPE"),
        (http('{"requests": {}}'), "FIELD_TYPE"),
        (http('{"requests": [{}], "k": 1}'), "FIELD_UNKNOWN"),
        (http(json.dumps({"requests": [{}] * 101})), "BATCH_TOO_LARGE"),
    ],
)
def test_a_broken_envelope_is_refused_with_its_status(serving: Ask, event: dict[str, Any], code: str) -> None:
    answer = serving(event)
    assert code_of(json.loads(answer["body"])) == code
    assert answer["statusCode"] == STATUS[code]


def test_an_event_that_is_no_object_or_too_large_is_refused(serving: Ask) -> None:
    assert code_of(serving([1])) == "BODY_NOT_JSON"
    assert code_of(serving({"request_id": "x" * (MAXIMUM_BYTES + 1)})) == "BODY_TOO_LARGE"


def test_a_batch_answers_each_request_and_one_bad_one_does_not_spoil_the_others(serving: Ask, request_for: Ask) -> None:
    requests = [request_for(0, request_id="a"), {"request_id": "b", "k": "x"}, request_for(1, request_id="c")]
    answers = serving({"requests": requests})["responses"]
    assert [answer["request_id"] for answer in answers] == ["a", "b", "c"]
    assert code_of(answers[1]) == "FIELD_MISSING"
    single = serving(requests[2])
    assert answers[2]["recommendations"] == single["recommendations"]


def test_a_large_id_may_be_text_and_means_the_same_customer(serving: Ask, request_for: Ask) -> None:
    number, text = (serving(request_for(0, customer_id=value)) for value in ((1 << 62) + 1, str((1 << 62) + 1)))
    assert number["recommendations"] == text["recommendations"]


def test_without_a_bundle_or_key_the_answer_says_which_is_missing(
    serving: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINAI_SIGNING_KEY", "zz")
    assert code_of(serving({})) == "KEY_NOT_CONFIGURED"
    monkeypatch.setenv("FINAI_SIGNING_KEY", "ab" * 15)
    assert code_of(serving({})) == "KEY_NOT_CONFIGURED"
    monkeypatch.setenv("FINAI_BUNDLE", "")
    assert code_of(serving({})) == "BUNDLE_NOT_CONFIGURED"


def test_a_defect_gives_a_code_and_logs_the_place_but_no_value(
    serving: Ask, request_for: Ask, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("customer 4711 earns 900")

    monkeypatch.setattr(module, "answered", broken)
    assert code_of(serving(request_for(0))) == "INTERNAL"
    assert [code_of(entry) for entry in serving({"requests": [request_for(0)]})["responses"]] == ["INTERNAL"]
    logged = capsys.readouterr().err
    assert "RuntimeError" in logged
    assert "4711" not in logged


def test_contributions_of_a_shown_product_add_up_with_the_expected_value_to_the_raw_score(
    request_for: Ask, bundle: Bundle
) -> None:
    from serving_lambda.contract import parse

    for index in range(5):
        row = parse(request_for(index), bundle).customer.row
        for student in bundle.students.values():
            if student.model is None:
                continue
            own = student.gather(row)
            sums = np.reshape(student.model.contributions_row(own), (student.classes, -1)).sum(axis=1)
            assert sums == pytest.approx(student.model.raw_row(own), abs=1e-9)


def test_a_fresh_process_answers_with_the_standard_library_alone(
    bundle_folder: Path, request_for: Ask, tmp_path: Path
) -> None:
    from bundle_fixtures import KEY

    (tmp_path / "request.json").write_text(json.dumps(request_for(0)), encoding="utf-8")
    script = (
        "import json, sys\n"
        "from serving_lambda.handler import handler\n"
        f"answer = handler(json.load(open({str(tmp_path / 'request.json')!r})))\n"
        "loaded = {name.split('.')[0] for name in sys.modules}\n"
        "print(json.dumps([len(answer['recommendations']), sorted(loaded - set(sys.stdlib_module_names))]))\n"
    )
    environment = {
        "FINAI_BUNDLE": str(bundle_folder),
        "FINAI_SIGNING_KEY": KEY.hex(),
        "PYTHONPATH": str(Path(module.__file__).parents[1]),
    }
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    shown, foreign = json.loads(done.stdout)
    assert shown == 3
    assert not set(foreign) & {
        "numpy",
        "torch",
        "pandas",
        "scipy",
        "pyarrow",
        "dagster",
        "yaml",
        "lightgbm",
        "finai_assets",
    }
    assert [name for name in foreign if not name.startswith(("_", "sitecustomize"))] == ["serving_lambda"]


@pytest.mark.parametrize("field", ["request_id", "locale", "segment", "customer_id", "channel", "no_such_field"])
def test_half_a_surrogate_pair_in_any_field_is_refused_as_no_text(serving: Ask, request_for: Ask, field: str) -> None:
    request = {**request_for(0), field: "a\ud800"}
    over_http = {"httpMethod": "POST", "body": json.dumps(request)}
    for event in (request, over_http):
        answer = serving(event)
        refused = json.loads(answer["body"]) if "body" in answer else answer
        assert code_of(refused) == "BODY_NOT_JSON"


def test_a_whole_surrogate_pair_is_a_letter_and_comes_back(serving: Ask, request_for: Ask) -> None:
    body = json.dumps(request_for(0, request_id="\U0001f600"))
    assert "\\ud83d" in body
    answer = serving({"httpMethod": "POST", "body": body})
    assert json.loads(answer["body"])["request_id"] == "\U0001f600"
