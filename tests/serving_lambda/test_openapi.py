"""The published interface agrees with the code: its codes, its fields, and real answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from serving_lambda import contract
from serving_lambda import handler as module
from serving_lambda.errors import STATUS

jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
FILE = Path(contract.__file__).with_name("openapi.yaml")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return found


def validator(document: dict[str, Any], name: str) -> Any:
    return jsonschema.Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    )


def test_the_codes_and_statuses_are_those_of_the_code(document: dict[str, Any]) -> None:
    codes = document["components"]["schemas"]["Error"]["properties"]["error"]["properties"]["code"]["enum"]
    assert set(codes) == set(STATUS)
    assert set(document["paths"]["/"]["post"]["responses"]) == {"200"} | {str(status) for status in STATUS.values()}


def test_the_fields_of_a_request_are_those_of_the_code(document: dict[str, Any]) -> None:
    assert set(document["components"]["schemas"]["Request"]["properties"]) == set(contract.FIELDS)


def test_real_requests_answers_and_errors_follow_the_schemas(
    document: dict[str, Any], serving: Any, request_for: Any, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request, wrong = request_for(0, k=5, age=40, request_id="a"), request_for(1, k=0)
    outside = request_for(2)
    outside["features"]["txn_active_days"] = -5
    validator(document, "Request").validate(request)
    for ask in (request, outside):
        validator(document, "Answer").validate(serving(ask))
    (bundle_folder / "models" / "nba_primary.txt").unlink()
    monkeypatch.setattr(module, "HOLDER", module.Holder())
    degraded = serving(request)
    assert {"direct_student", "rules"} == {entry["served_by"] for entry in degraded["degraded"]}
    validator(document, "Answer").validate(degraded)
    validator(document, "Error").validate(serving(wrong))
    validator(document, "BatchAnswer").validate(serving({"requests": [request, wrong]}))
    with pytest.raises(jsonschema.ValidationError):
        validator(document, "Request").validate({**request, "colour": 1})
