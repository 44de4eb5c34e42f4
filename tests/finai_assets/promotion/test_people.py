"""Two people with two keys: whatever stands for one of them without being it is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from promotion_fixtures import (
    KIM,
    LEE,
    PARK,
    Office,
    better,
    last,
    with_settings,
)

from finai_assets.bundle.registry import Registry, note
from finai_assets.promotion.decide import (
    approve,
    decide,
    propose,
    signer_or_refusal,
    standing_proposal,
)
from finai_assets.promotion.signatures import find_signer
from finai_resources.errors import PromotionError
from finai_resources.secrets import SecretStore


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
