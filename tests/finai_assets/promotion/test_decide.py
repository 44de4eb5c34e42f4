"""Decisions on a real lake with real bundles: what is refused leaves the champion, and what passes moves it whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
import pytest
from bundle_fixtures import Made
from promotion_fixtures import (
    KIM,
    LEE,
    PARK,
    Office,
    furnished,
    promotion_settings,
    retrained,
    with_settings,
    write_matrix,
)

from finai_assets.bundle import registry as registry_module
from finai_assets.bundle.registry import Registry, note, resolve
from finai_assets.platform import Platform
from finai_assets.promotion import decide as decide_module
from finai_assets.promotion import gather as gather_module
from finai_assets.promotion.decide import (
    approve,
    decide,
    outcome_of,
    propose,
    roll_back,
    signer_or_refusal,
    standing_proposal,
)
from finai_assets.promotion.signatures import find_signer
from finai_checks.framework.check import CheckOutcome
from finai_checks.framework.record import record_path
from finai_checks.gates import CheckGates
from finai_resources import chained_log, objects
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import PromotionError
from finai_resources.lake import Lake
from finai_resources.secrets import SecretStore
from serving_lambda.bundle import canonical, signature_of


def champion(office: Office) -> str | None:
    return Registry.read(office.lake).aliases.get("champion")


def last(office: Office) -> dict[str, Any]:
    return Registry.read(office.lake).entries[-1].record


def better(office: Office) -> str:
    return office.store(retrained(office.made, lambda y: y * 3, "churn_signal", "product_stability"))


def worse(office: Office) -> str:
    shuffle: Callable[[np.ndarray], np.ndarray] = np.random.default_rng(0).permutation
    return office.store(retrained(office.made, shuffle, "churn_signal"))


def test_the_first_champion_needs_the_same_checks_and_signatures(office: Office) -> None:
    first = Registry.read(office.lake).aliases["challenger"]
    assert decide(office.desk).verdict.codes == ("PROPOSAL_MISSING",)
    assert champion(office) is None
    decision = office.promote()
    assert decision.promoted
    assert decision.verdict.awaited == ("C99",)
    assert champion(office) == first
    assert resolve(office.lake, office.home, "champion") == office.home / "bundles" / first


def test_a_better_challenger_replaces_the_champion_which_becomes_previous(office: Office) -> None:
    office.promote()
    first, second = champion(office), better(office)
    assert office.promote().promoted
    aliases = Registry.read(office.lake).aliases
    assert (aliases["champion"], aliases["previous"]) == (second, first)


def test_a_poisoned_challenger_is_refused_with_a_record_and_the_champion_stays(office: Office) -> None:
    office.promote()
    first, poisoned = champion(office), worse(office)
    decision = office.promote(reason="it looked fine to us")
    assert decision.verdict.codes == ("TASK_WORSE",)
    assert not decision.promoted
    assert champion(office) == first
    assert (last(office)["kind"], last(office)["bundle"]) == ("verdict", poisoned)
    assert outcome_of(last(office)) == "refused: TASK_WORSE"
    assert "churn_signal" in next(c.reason for c in decision.verdict.criteria if c.code == "TASK_WORSE")


def test_a_challenger_that_is_better_on_nothing_needs_a_reason(office: Office) -> None:
    office.promote()
    same = office.store(office.made.build(versions={**office.made.versions, "code": "c2"}))
    assert office.promote().verdict.codes == ("NO_GAIN",)
    assert office.promote(reason="the contract of the features changed").promoted
    assert champion(office) == same


def test_a_dry_run_judges_and_writes_nothing(office: Office) -> None:
    office.sign("challenger")
    before = ChainedLog(office.lake, "registry").head()
    decision = decide(office.desk, dry_run=True)
    assert decision.verdict.passed
    assert not decision.promoted
    assert ChainedLog(office.lake, "registry").head() == before


# ---- the bundle


def stored_file(office: Office, name: str) -> Path:
    bundle_id = Registry.read(office.lake).aliases["challenger"]
    return Path(office.lake.root, "bundles", bundle_id, name)


def resigned(manifest: dict[str, Any], key: bytes) -> bytes:
    return canonical({"algorithm": "HMAC-SHA256", "key_id": "x", "mac": signature_of(canonical(manifest), key)})


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


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
    golden["expected"]["churn_signal"][0][0] += 0.1
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


# ---- the evidence


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


def test_an_active_override_is_named_and_an_expired_one_refuses(office: Office) -> None:
    def overridden(until: str) -> CheckOutcome:
        return CheckOutcome(True, f"overridden by park until {until}: half is gone", 5, {"overridden_until": until})

    office.check(overridden("2020-01-01"))
    assert office.promote().verdict.codes == ("OVERRIDE_EXPIRED",)
    office.check(overridden("2999-01-01"))
    decision = office.promote()
    assert decision.promoted
    assert "overridden by park" in next(c.reason for c in decision.verdict.criteria if c.name == "evidence")


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


# ---- the people


def test_each_wrong_approval_is_refused_at_once_with_its_code_and_a_record(office: Office) -> None:
    propose(office.desk, "challenger", KIM, "")
    for signer, code in ((KIM, "OWN_APPROVAL"), (PARK, "UNKNOWN_PERSON"), (replace(PARK, name="lee"), "UNKNOWN_KEY")):
        with pytest.raises(PromotionError, match=code):
            approve(office.desk, "challenger", signer)
        assert (last(office)["kind"], last(office)["code"]) == ("refusal", code)
    assert decide(office.desk).verdict.codes == ("APPROVAL_MISSING",)
    approve(office.desk, "challenger", LEE)
    assert decide(office.desk).promoted


def test_one_key_under_two_names_is_one_person(office: Office) -> None:
    people = {name: {"key": KIM.key, "roles": ["author", "approver"]} for name in ("kim", "lee")}
    twins = with_settings(office, people=people)
    propose(twins.desk, "challenger", KIM, "")
    with pytest.raises(PromotionError, match="SAME_KEY"):
        approve(twins.desk, "challenger", replace(KIM, name="lee"))


def test_a_role_that_a_person_lacks_is_refused(office: Office) -> None:
    people = {"kim": {"key": KIM.key, "roles": ["approver"]}, "lee": {"key": LEE.key, "roles": ["author"]}}
    others = with_settings(office, people=people)
    with pytest.raises(PromotionError, match="ROLE_MISSING"):
        propose(others.desk, "challenger", KIM, "")
    propose(others.desk, "challenger", LEE, "")
    with pytest.raises(PromotionError, match="ROLE_MISSING"):
        approve(with_settings(office, people={**people, "kim": {**people["kim"], "roles": ["author"]}}).desk,
                "challenger", KIM)  # fmt: skip


def test_a_person_who_left_the_configuration_no_longer_counts(office: Office) -> None:
    office.sign("challenger")
    left = with_settings(office, people={"kim": {"key": KIM.key, "roles": ["author"]}})
    assert decide(left.desk).verdict.codes == ("UNKNOWN_PERSON",)


def test_evidence_after_the_approval_asks_for_new_signatures(office: Office) -> None:
    office.sign("challenger")
    assert standing_proposal(office.desk, "challenger") is not None
    office.check()
    assert standing_proposal(office.desk, "challenger") is None
    assert decide(office.desk).verdict.codes == ("PROPOSAL_OLDER_THAN_EVIDENCE",)
    propose(office.desk, "challenger", KIM, "")
    assert decide(office.desk).verdict.codes == ("APPROVAL_OLDER_THAN_EVIDENCE",)
    approve(office.desk, "challenger", LEE)
    assert decide(office.desk).promoted


def test_an_approval_of_another_bundle_does_not_count(office: Office) -> None:
    office.sign("challenger")
    approval = Registry.read(office.lake).entries[-1].record
    second = better(office)
    propose(office.desk, second, KIM, "")
    note(office.lake, {**approval, "bundle": second})
    assert decide(office.desk).verdict.codes == ("APPROVAL_OF_ANOTHER_BUNDLE",)


def test_nothing_to_approve_is_told(office: Office) -> None:
    with pytest.raises(PromotionError, match="PROPOSAL_MISSING"):
        approve(office.desk, "challenger", LEE)


def test_who_signs_is_decided_by_the_key_and_never_by_a_name_alone(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    people, secrets = office.settings.promotion.people, SecretStore(tmp_path / "secrets")
    monkeypatch.delenv("FINAI_PERSON_KEY", raising=False)
    with pytest.raises(PromotionError, match="NO_KEY"):
        signer_or_refusal(office.desk, "approve", secrets, "lee")
    assert (last(office)["kind"], last(office)["person"], last(office)["code"]) == ("refusal", "lee", "NO_KEY")
    secrets.put("person_kim", KIM.private)
    assert find_signer(secrets, people).name == "kim"  # the only one there is
    secrets.put("person_lee", LEE.private)
    with pytest.raises(PromotionError, match="NO_KEY"):
        find_signer(secrets, people)
    assert find_signer(secrets, people, "lee") == LEE
    monkeypatch.setenv("FINAI_PERSON_KEY", KIM.private.hex())
    with pytest.raises(PromotionError, match="UNKNOWN_KEY"):
        find_signer(secrets, people, "lee")
    monkeypatch.setenv("FINAI_PERSON_KEY", PARK.private.hex())
    with pytest.raises(PromotionError, match="UNKNOWN_KEY"):
        find_signer(secrets, people)


# ---- time, faults, and two at once


def test_a_clock_that_was_set_back_refuses(office: Office) -> None:
    office.sign("challenger")
    assert "CLOCK_SET_BACK" in decide(office.desk, now=datetime.now(UTC) - timedelta(days=1)).verdict.codes
    assert champion(office) is None


def test_an_exception_is_a_refusal_with_a_record(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.promote()
    first, _ = champion(office), better(office)
    office.sign("challenger")

    def broken(*_: Any) -> None:
        raise ZeroDivisionError("nobody thought of this")

    monkeypatch.setattr(gather_module, "compare", broken)
    decision = decide(office.desk)
    assert decision.verdict.codes == ("FACTS_MISSING",)
    assert "nobody thought of this" in decision.verdict.criteria[0].reason
    assert champion(office) == first
    assert last(office)["kind"] == "verdict"


def test_a_tampered_registry_is_refused_before_anything_is_judged(office: Office) -> None:
    office.promote()
    entry = Path(office.lake.root, "registry", "000000001.json")
    entry.write_text(entry.read_text().replace("kim", "kin"))
    for step in (lambda: decide(office.desk), lambda: roll_back(office.desk, KIM, "it answers nonsense"),
                 lambda: resolve(office.lake, office.home, "champion")):  # fmt: skip
        with pytest.raises(PromotionError, match="REGISTRY_TAMPERED"):
            step()


@pytest.fixture(params=["disk", "S3"])
def any_office(request: pytest.FixtureRequest, made: Made, tmp_path: Path) -> Office:
    """Return a furnished office, on disk and in S3."""
    return furnished(made, request.getfixturevalue("lake" if request.param == "disk" else "s3_lake"), tmp_path)


def test_of_two_promoters_at_once_one_wins_and_the_other_is_told(
    any_office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = any_office
    office.sign("challenger")
    both, judged = Barrier(2), decide_module.judge

    def together(*given: Any) -> Any:
        verdict = judged(*given)
        both.wait(timeout=60)  # both have decided on the same state
        return verdict

    monkeypatch.setattr(decide_module, "judge", together)
    with ThreadPoolExecutor(2) as pool:
        decisions = list(pool.map(lambda _: decide(office.desk), range(2)))
    assert sorted(decision.promoted for decision in decisions) == [False, True]
    assert [d.verdict.codes for d in decisions if not d.promoted] == [("LOST_RACE",)]
    promotions = [entry for entry in Registry.read(office.lake).entries if entry.record["kind"] == "promotion"]
    assert len(promotions) == 1
    assert ChainedLog(office.lake, "registry").verify() == []


def test_in_s3_too_one_of_two_promoters_wins(s3_lake: Lake, made: Made, tmp_path: Path) -> None:
    remote = furnished(made, s3_lake, tmp_path)
    remote.sign("challenger")
    first = Registry.read(s3_lake)
    assert decide(remote.desk).promoted
    aliases = {"champion": "another", **first.aliases}
    assert first.append({"kind": "promotion", "bundle": "another", "aliases": aliases}) is None
    better(remote)
    assert remote.promote().promoted
    back = roll_back(remote.desk, LEE, "it answers nonsense since noon")
    assert Registry.read(s3_lake).aliases == back
    assert resolve(s3_lake, tmp_path, "champion").name == back["champion"]


@pytest.mark.parametrize("step", ["the entry", "the head", "the export"])
def test_a_promoter_that_dies_leaves_the_old_or_the_new_champion(
    office: Office, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.promote()
    first, second = champion(office), better(office)
    office.sign("challenger")
    put, put_if_absent = objects.put, objects.put_if_absent

    class Killed(BaseException):
        """Nothing catches it, as nothing catches a kill."""

    def die(lake: Any, path: str, *rest: Any, **named: Any) -> Any:
        in_log = "/registry/" in path
        if in_log and path.endswith("head.json") is (step == "the head"):
            raise Killed
        return (put if path.endswith("head.json") else put_if_absent)(lake, path, *rest, **named)

    def no_export(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "the entry":
            patch.setattr(chained_log.objects, "put_if_absent", die)
        elif step == "the head":
            patch.setattr(chained_log.objects, "put", die)
        else:
            patch.setattr(decide_module, "export", no_export)
        with pytest.raises(Killed):
            decide(office.desk)
    assert champion(office) == (first if step == "the entry" else second)
    assert ChainedLog(office.lake, "registry").verify() == []
    assert resolve(office.lake, office.home, "champion").name == champion(office)
    if step == "the entry":
        assert decide(office.desk).promoted


# ---- back again


def test_a_rollback_exchanges_champion_and_previous_and_builds_nothing(office: Office) -> None:
    office.promote()
    first, second = champion(office), better(office)
    office.promote()
    aliases = roll_back(office.desk, LEE, "it answers nonsense since noon")
    assert (aliases["champion"], aliases["previous"], aliases["challenger"]) == (first, second, second)
    assert champion(office) == first
    assert (last(office)["kind"], last(office)["signature"]["person"]) == ("rollback", "lee")
    assert resolve(office.lake, office.home, "champion").name == first
    roll_back(office.desk, KIM, "the cause was found elsewhere")
    assert champion(office) == second


def test_a_rollback_that_cannot_be_is_refused_and_the_champion_stays(office: Office) -> None:
    office.promote()
    first = champion(office)
    with pytest.raises(PromotionError, match="NO_PREVIOUS"):
        roll_back(office.desk, KIM, "it answers nonsense since noon")
    better(office)
    office.promote()
    second = champion(office)
    with pytest.raises(PromotionError, match="REASON_MISSING"):
        roll_back(office.desk, KIM, "bad")
    with pytest.raises(PromotionError, match="UNKNOWN_PERSON"):
        roll_back(office.desk, PARK, "it answers nonsense since noon")
    flip(Path(office.lake.root, "bundles", str(first), "rules.json"))
    with pytest.raises(PromotionError, match="BUNDLE_FILE_CORRUPT"):
        roll_back(office.desk, KIM, "it answers nonsense since noon")
    assert champion(office) == second


def test_the_people_of_the_settings_are_names_with_public_keys(office: Office) -> None:
    with pytest.raises(ValueError, match="key"):
        promotion_settings(office.settings, people={"kim": {"key": "a typed name", "roles": ["author"]}})
    with pytest.raises(ValueError, match="people"):
        promotion_settings(office.settings, people={"Kim Lee": {"key": KIM.key, "roles": ["author"]}})
