"""The champion's origin: people signed for each step, or the step is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promotion_fixtures import KIM, LEE, PARK, Office, promotion_settings, retrained

from finai_assets.bundle.registry import Registry, note
from finai_assets.promotion.decide import decide, propose, roll_back
from finai_assets.promotion.origin import origin_fault


def fault(office: Office) -> str:
    found = origin_fault(Registry.read(office.lake), office.settings.promotion.people)
    return found.what if found else ""


def move(office: Office, kind: str, bundle: str, champion: str, **more: Any) -> None:
    aliases: Mapping[str, str] = {**Registry.read(office.lake).aliases, "champion": champion}
    Registry.read(office.lake).append({"kind": kind, "bundle": bundle, "aliases": aliases, **more})


def test_promotions_and_rollbacks_that_people_signed_are_in_order(office: Office) -> None:
    assert fault(office) == ""  # no champion
    office.promote()
    assert fault(office) == ""
    office.store(retrained(office.made, lambda y: y * 3, "churn_signal", "product_stability"))
    office.promote()
    roll_back(office.desk, LEE, "it answers nonsense since noon")
    assert fault(office) == ""
    office.store(office.made.build())  # a registration moves the challenger alone
    assert fault(office) == ""


def test_an_entry_that_anybody_could_append_is_named(office: Office) -> None:
    office.promote()
    first = Registry.read(office.lake).aliases["champion"]
    refused = office.store(office.made.build(versions={**office.made.versions, "code": "c2"}))
    assert not office.promote().promoted
    move(office, "registered", refused, refused, lineage={})
    assert "kind registered moved the champion" in fault(office)
    move(office, "promotion", refused, first, verdict={"passed": True})
    assert "not about" in fault(office)
    move(office, "promotion", "b9", "b9", verdict={"passed": True})
    assert "no two people" in fault(office)
    move(office, "promotion", first, first, verdict={"passed": False})
    assert "verdict" in fault(office)


def test_a_proposal_alone_or_one_persons_two_signatures_are_not_two_people(office: Office) -> None:
    bundle = Registry.read(office.lake).aliases["challenger"]
    propose(office.desk, bundle, KIM, "")
    move(office, "promotion", bundle, bundle, verdict={"passed": True})
    assert "no two people" in fault(office)


def test_signatures_of_people_who_are_unknown_now_do_not_count(office: Office) -> None:
    office.promote()
    gone = replace(office, settings=promotion_settings(office.settings, people={}))
    assert "no two people" in fault(gone)
    people = {name: {"key": signer.key, "roles": []} for name, signer in (("kim", KIM), ("lee", LEE))}
    assert fault(replace(office, settings=promotion_settings(office.settings, people=people))) == ""


def test_a_forged_rollback_is_named(office: Office) -> None:
    office.promote()
    first = Registry.read(office.lake).aliases["champion"]
    office.store(retrained(office.made, lambda y: y * 3, "churn_signal", "product_stability"))
    office.promote()
    genuine = roll_back(office.desk, LEE, "it answers nonsense since noon")
    entry = Registry.read(office.lake).entries[-1].record
    office.promote(genuine["previous"], "the cause was found elsewhere")
    signature = {**entry["signature"], "person": "park", "key": PARK.key}
    move(office, "rollback", first, first, statement=entry["statement"], signature=signature)
    assert "nobody known signed" in fault(office)
    note(office.lake, {"kind": "verdict", "bundle": first, "verdict": {"passed": False, "codes": []}})
    assert "nobody known signed" in fault(office)
    assert "ALREADY_CHAMPION" in decide(office.desk, first).verdict.codes
