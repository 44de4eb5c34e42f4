"""A bundle that is tampered with, incomplete, older or foreign never becomes champion."""

from __future__ import annotations

import json
from typing import Any

import pytest
from promotion_fixtures import (
    Office,
    better,
    champion,
    flip,
    stored_file,
)

from finai_assets.bundle import registry as registry_module
from finai_assets.promotion.decide import (
    decide,
)
from serving_lambda.bundle import canonical, signature_of


def resigned(manifest: dict[str, Any], key: bytes) -> bytes:
    return canonical({"algorithm": "HMAC-SHA256", "key_id": "x", "mac": signature_of(canonical(manifest), key)})


@pytest.mark.parametrize("name", ["rules.json", "models/churn_signal.txt", "golden.json"])
def test_a_tampered_file_of_the_bundle_is_refused(office: Office, name: str) -> None:
    office.sign("challenger")
    flip(stored_file(office, name))
    assert decide(office.desk).verdict.codes == ("BUNDLE_FILE_CORRUPT",)
    assert champion(office) is None


def test_an_incomplete_bundle_is_refused(office: Office) -> None:
    office.sign("challenger")
    stored_file(office, "models/churn_signal.txt").unlink()
    assert decide(office.desk).verdict.codes == ("BUNDLE_FILE_MISSING",)


def test_a_bundle_without_its_signature_or_with_another_keys_is_refused(office: Office) -> None:
    office.sign("challenger")
    manifest = json.loads(stored_file(office, "manifest.json").read_bytes())
    stored_file(office, "signature.json").write_bytes(resigned(manifest, bytes(32)))
    assert decide(office.desk).verdict.codes == ("BUNDLE_SIGNATURE_WRONG",)
    stored_file(office, "signature.json").unlink()
    assert decide(office.desk).verdict.codes == ("BUNDLE_SIGNATURE_MISSING",)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"schema_version": 0}, "BUNDLE_SCHEMA"),
        ({"dataset": "berka"}, "BUNDLE_FOREIGN"),
        ({"profile": "bench"}, "BUNDLE_FOREIGN"),
        ({"bundle_id": "0" * 32}, "BUNDLE_ID_WRONG"),
        ({"tasks": []}, "TASK_MISSING"),
    ],
)
def test_an_older_foreign_or_incomplete_bundle_is_refused_even_with_a_genuine_signature(
    office: Office, change: dict[str, Any], code: str
) -> None:
    manifest = json.loads(stored_file(office, "manifest.json").read_bytes()) | change
    stored_file(office, "manifest.json").write_bytes(canonical(manifest))
    stored_file(office, "signature.json").write_bytes(resigned(manifest, office.desk.key))
    office.sign("challenger")
    assert code in decide(office.desk).verdict.codes
    assert champion(office) is None


def test_a_bundle_that_does_not_reproduce_its_golden_rows_is_refused(office: Office) -> None:
    golden = json.loads(stored_file(office, "golden.json").read_bytes())
    golden["expected"]["models/churn_signal.txt"][0][0] += 0.1
    manifest = json.loads(stored_file(office, "manifest.json").read_bytes())
    content = canonical(golden)
    manifest["files"]["golden.json"] = {
        "sha256": registry_module.hashlib.sha256(content).hexdigest(), "bytes": len(content),
    }  # fmt: skip
    stored_file(office, "golden.json").write_bytes(content)
    stored_file(office, "manifest.json").write_bytes(canonical(manifest))
    stored_file(office, "signature.json").write_bytes(resigned(manifest, office.desk.key))
    office.sign("challenger")
    assert decide(office.desk).verdict.codes == ("SELF_TEST_FAILED",)


def test_a_champion_that_cannot_be_read_stops_the_comparison_and_not_the_process(office: Office) -> None:
    office.promote()
    flip(stored_file(office, "rules.json"))  # of the champion, which is still the challenger
    better(office)
    assert "COMPARISON_IMPOSSIBLE" in office.promote().verdict.codes
