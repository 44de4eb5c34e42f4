"""Evidence that is missing, stale, old, forged or overridden for too long refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from promotion_fixtures import (
    Office,
    champion,
    promotion_settings,
    write_matrix,
)

from finai_assets.asset_graph import MATRIX
from finai_assets.bundle import registry as registry_module
from finai_assets.platform import Platform
from finai_assets.promotion.decide import (
    decide,
)
from finai_checks.framework.check import CheckOutcome
from finai_checks.framework.overrides import Grant, add_override, revoke_override
from finai_checks.framework.record import record_path
from finai_checks.gates import CheckGates
from finai_resources.secrets import SecretStore


def test_a_mandatory_check_that_failed_or_was_not_run_refuses(office: Office) -> None:
    office.check(CheckOutcome(False, "half of the rows are gone", 5))
    assert office.promote().verdict.codes == ("CHECK_FAILED",)
    Path(record_path(office.lake, "matrix_is_trusted", "teacher/training_matrix", None)).unlink()
    assert office.promote().verdict.codes == ("CHECK_MISSING",)
    assert champion(office) is None


def test_a_record_of_other_content_is_stale(office: Office) -> None:
    made = replace(office.made, X=office.made.X + 1)
    write_matrix(made, office.lake)
    office.check()  # a record of the new content, and the bundle was made from the old one
    assert office.promote().verdict.codes == ("CHECK_STALE",)


def test_a_record_that_was_written_by_hand_is_not_believed(office: Office) -> None:
    office.check(CheckOutcome(False, "half of the rows are gone", 5))
    path = Path(record_path(office.lake, "matrix_is_trusted", "teacher/training_matrix", None))
    forged = json.loads(path.read_text()) | {"passed": True}
    path.write_text(json.dumps(forged))
    assert office.promote().verdict.codes == ("CHECK_UNPROVED",)


def test_an_edited_evidence_log_refuses(office: Office) -> None:
    office.check()
    office.sign("challenger")
    first = Path(office.lake.root, "evidence", "000000000.json")
    first.write_text(first.read_text().replace('"passed": true', '"passed": false'))
    assert decide(office.desk).verdict.codes == ("EVIDENCE_TAMPERED",)


def test_an_active_override_is_named_and_one_that_has_ended_refuses(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FINAI_OVERRIDE_KEY", "ab" * 32)
    keys, day = SecretStore(office.home), datetime.now(UTC).date()
    grant = Grant("matrix_is_trusted", MATRIX, (), "park, model risk", "half is gone, as was agreed", day)
    row = add_override(office.lake, keys, grant)
    office.check(CheckOutcome(False, "half is gone", 5))
    office.sign("challenger")
    decision = decide(office.desk, dry_run=True)
    assert decision.verdict.passed
    assert "overridden by park" in next(c.reason for c in decision.verdict.criteria if c.name == "evidence")
    revoke_override(office.lake, keys, row.id, approver="park", reason="it was not agreed")
    assert decide(office.desk).verdict.codes == ("OVERRIDE_EXPIRED",)


def test_old_evidence_refuses(office: Office) -> None:
    office.sign("challenger")
    later = datetime.now(UTC) + timedelta(days=91)
    assert decide(office.desk, now=later).verdict.codes == ("EVIDENCE_OLD",)


def test_a_mandatory_check_that_sits_on_nothing_of_the_bundle_is_missing(office: Office) -> None:
    gates = CheckGates(Platform.of(office.settings))
    elsewhere = replace(office.desk, evidence=gates, settings=promotion_settings(office.settings, mandatory=["C13"]))
    bare = registry_module.register(
        office.lake, office.made.build(), {"teacher/training_matrix": office.made.versions["data"]}
    )
    assert "CHECK_MISSING" in decide(elsewhere, bare).verdict.codes


def test_a_lineage_that_does_not_belong_to_the_bundle_is_refused(office: Office) -> None:
    office.sign("challenger")
    registry_module.register(office.lake, office.made.build(), {"teacher/training_matrix": "another"})
    codes = decide(office.desk).verdict.codes
    assert codes[0] == "BUNDLE_LINEAGE_WRONG"
    assert codes[-1] == "PROPOSAL_OF_ANOTHER_LINEAGE"
