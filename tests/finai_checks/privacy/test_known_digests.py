"""A digest is left out where the schema puts it, and only if it has the form of one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from finai_assets.platform import Platform
from finai_assets.settings import load_settings
from finai_checks.privacy.identifier_scan import scan_json
from finai_checks.privacy.known_digests import PLACES, without_known_digests
from finai_resources.lake import Lake

BUNDLE = "serving/bundle"
SHA256 = "9001011234567abc" * 4


def manifest(**changed: Any) -> dict[str, Any]:
    return {
        "bundle_id": SHA256[:32],
        "files": {"models/a.txt": {"bytes": 1, "sha256": SHA256}, "golden.json": {"bytes": 2, "sha256": SHA256}},
        "versions": {"code": "01012345678a", "config": "4111111111111111", "data": SHA256},
        "tasks": [{"task": "churn_signal", "note": "plain"}],
        **changed,
    }


def test_the_digests_of_a_manifest_are_left_out_and_the_rest_stays() -> None:
    assert without_known_digests(BUNDLE, "manifest.json", manifest()) == {
        "files": {"models/a.txt": {"bytes": 1}, "golden.json": {"bytes": 2}},
        "versions": {},
        "tasks": [{"task": "churn_signal", "note": "plain"}],
    }
    signature = {"algorithm": "HMAC-SHA256", "key_id": "4111111111111111", "mac": SHA256}
    assert without_known_digests(BUNDLE, "signature.json", signature) == {"algorithm": "HMAC-SHA256"}


@pytest.mark.parametrize("file", ["golden.json", "manifest.json"])
@pytest.mark.parametrize("content", [[], None, "text", {"files": ["a"], "versions": "x", "bundle_id": {}}, {}])
def test_a_file_of_another_form_is_left_as_it_is(file: str, content: Any) -> None:
    assert without_known_digests(BUNDLE, file, content) == content
    assert without_known_digests("features/x", "manifest.json", manifest()) == manifest()


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"bundle_id": "9001011234567"}, "national id"),
        ({"bundle_id": f"{SHA256[:31]} 900101-1234567"}, "national id"),
        ({"files": {"a": {"sha256": "4111 1111 1111 1111"}}}, "card number"),
        ({"files": {"a": {"sha256": {"is": "01012345678"}}}}, "phone number"),
        ({"versions": {"config": "378282246310005"}}, "card number"),
        ({"versions": {"code": "kim@a.bc.de"}}, "e-mail address"),
        ({"versions": {"other": "4111111111111111"}}, "card number"),
        ({"tasks": [{"sha256": "4111111111111111"}]}, "card number"),
    ],
)
def test_an_identifier_in_the_place_of_a_digest_or_beside_it_is_found(changed: dict[str, Any], what: str) -> None:
    found = scan_json("m", without_known_digests(BUNDLE, "manifest.json", manifest(**changed)))
    assert [finding.what for finding in found] == [what]


def test_the_places_are_those_of_a_real_bundle(bundle_files: dict[str, bytes]) -> None:
    for (asset, file), places in PLACES.items():
        assert asset == BUNDLE
        content = json.loads(bundle_files[file])
        for path, digits in places.items():
            values = [content]
            for key in path:
                values = [v for each in values for v in (each.values() if key == "*" else [each[key]])]
            assert values
            if path not in {("versions", "code"), ("versions", "data")}:  # the fixture has words for them
                assert {len(value) for value in values} == {digits}


def test_the_versions_of_code_and_data_have_the_length_that_the_schema_says(lake: Lake) -> None:
    with lake.write("teacher/training_matrix") as out:
        out.put("matrix.json", b"{}")
    places = PLACES[BUNDLE, "manifest.json"]
    assert len(lake.manifest("teacher/training_matrix").content_hash) == places["versions", "data"]
    assert (
        len(Platform.of(load_settings("synthetic", "smoke")).graph.code_version(BUNDLE)) == places["versions", "code"]
    )
