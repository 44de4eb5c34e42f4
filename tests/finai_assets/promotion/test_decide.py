"""Decisions on a real lake with real bundles: what passes moves the champion whole, and what fails leaves it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from bundle_fixtures import Made
from promotion_fixtures import (
    KIM,
    LEE,
    PARK,
    Office,
    better,
    champion,
    flip,
    furnished,
    last,
    promotion_settings,
    worse,
)

from finai_assets.bundle.registry import Registry, resolve
from finai_assets.promotion import decide as decide_module
from finai_assets.promotion import gather as gather_module
from finai_assets.promotion.decide import (
    decide,
    outcome_of,
    roll_back,
)
from finai_resources import chained_log, objects
from finai_resources.chained_log import ChainedLog
from finai_resources.errors import PromotionError
from finai_resources.lake import Lake


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
