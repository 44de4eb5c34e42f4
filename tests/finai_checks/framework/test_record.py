"""A record opens a gate only as the statement that was signed: of this check, content, code and thresholds, found in the log."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared
from finai_checks.framework.ledger import Ledger
from finai_checks.framework.record import parse, record_path, signed
from finai_checks.framework.run import run_check
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month
from finai_resources.secrets import SecretStore

KIND = CheckKind("C99", "a_check", "something holds", blocking=True, minimum=1, units="rows")
MONTH = Month.parse("2015-01")
FOUND = {"passes": True}


def evaluate(_context: CheckContext, _asset: str) -> CheckOutcome:
    return CheckOutcome(FOUND["passes"], "" if FOUND["passes"] else "why", 5)


def declared(asset: str = "features/g", kind: CheckKind = KIND, **thresholds: float) -> Declared:
    return Declared(kind, asset, alone=evaluate, months=(MONTH,), thresholds=thresholds)


CHECK = declared()


class Office:
    """A lake with two groups, and the check that is run on them."""

    def __init__(self, lake: Lake, settings: Settings, secrets: SecretStore) -> None:
        self.lake, self.secrets, self.platform = lake, secrets, Platform.of(settings, secrets)
        self.write("features/g", b"one")
        self.write("features/h", b"two")

    def write(self, asset: str, content: bytes) -> None:
        with self.lake.write(asset, MONTH.key) as out:
            out.put("f", content)

    def run(self, check: Declared = CHECK, *, passes: bool = True) -> None:
        FOUND["passes"] = passes
        run_check(check, CheckContext(LakeSession(self.lake), self.platform, MONTH))

    def state(self, check: Declared = CHECK) -> str:
        ledger = Ledger(self.lake, self.secrets)
        ledger.refresh()
        return ledger.standing(check, MONTH.key).state

    def file(self, check: Declared = CHECK) -> Path:
        return Path(record_path(self.lake, check.name, check.asset, MONTH.key))


@pytest.fixture
def office(lake: Lake, settings: Settings, secrets: SecretStore) -> Office:
    return Office(lake, settings, secrets)


def test_a_record_counts_for_the_content_that_it_was_made_for_alone(office: Office) -> None:
    assert office.state() == "missing"
    office.run()
    assert office.state() == "passed"
    office.write("features/g", b"another")
    assert office.state() == "stale"
    office.run(passes=False)
    assert office.state() == "failed"


@pytest.mark.parametrize(
    "forge",
    [
        lambda text: text.replace('"passed": false', '"passed": true'),
        lambda text: json.dumps({**json.loads(text), "passed": True, "mac": "00" * 32}),
        lambda text: json.dumps({**json.loads(text), "passed": True, "mac": "\ud800"}),
        lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "mac"} | {"passed": True}),
        lambda _text: "[1, 2]",
        lambda _text: '{"mac": "',
        lambda _text: "[" * 100_000,
    ],
    ids=["edited", "another mac", "half a surrogate pair", "unsigned", "no object", "cut off", "deeply nested"],
)
def test_a_record_that_was_edited_is_none(office: Office, forge: Callable[[str], str]) -> None:
    office.run(passes=False)
    office.file().write_text(forge(office.file().read_text()))
    assert office.state() == "unproved"


def test_an_empty_record_is_none(office: Office) -> None:
    office.run()
    office.file().write_bytes(b"")
    assert office.state() == "missing"


def test_another_groups_record_is_none_when_it_is_copied(office: Office) -> None:
    other = declared("features/h")
    office.run(other)
    office.run(passes=False)
    office.file().write_bytes(office.file(other).read_bytes())
    assert office.state() == "unproved"
    assert office.state(other) == "passed"


def test_another_months_and_another_checks_record_are_none_when_they_are_copied(office: Office) -> None:
    named = declared(kind=replace(KIND, name="another_check"))
    office.run(named)
    office.file().parent.mkdir(parents=True)
    office.file().write_bytes(office.file(named).read_bytes())
    assert office.state() == "unproved"
    february = Month.parse("2015-02")
    with office.lake.write("features/g", february.key) as out:
        out.put("f", b"one")
    later = replace(CHECK, months=(MONTH, february))
    run_check(later, CheckContext(LakeSession(office.lake), office.platform, february))
    office.file().write_bytes(Path(record_path(office.lake, CHECK.name, CHECK.asset, february.key)).read_bytes())
    assert office.state() == "unproved"


@pytest.mark.parametrize("limit", [1.0, 9.0], ids=["tightened", "loosened"])
def test_a_threshold_that_moves_either_way_asks_again_and_leaves_evidence(office: Office, limit: float) -> None:
    before, after = declared(limit=3.0), declared(limit=limit)
    office.run(before)
    assert (office.state(before), office.state(after)) == ("passed", "stale")
    office.run(after)
    assert (office.state(before), office.state(after)) == ("stale", "passed")
    ledger = Ledger(office.lake, office.secrets)
    told = [found[1].record["thresholds"] for found in ledger.evidence._log.stored(0) if found]
    assert told == [{"limit": 3.0}, {"limit": limit}]


def test_a_check_whose_code_changed_asks_again(office: Office) -> None:
    class Changed(Declared):
        @property
        def code(self) -> str:  # type: ignore[override]
            return "another"

    office.run()
    changed = Changed(KIND, "features/g", alone=evaluate, months=(MONTH,))
    assert (office.state(), office.state(changed)) == ("passed", "stale")


def test_an_older_record_that_is_put_back_is_none_after_a_failure(office: Office) -> None:
    office.run()
    earlier = office.file().read_bytes()
    office.run(passes=False)
    office.file().write_bytes(earlier)
    assert office.state() == "unproved"


@pytest.mark.parametrize("attack", ["cut off", "edited"])
def test_a_record_whose_entry_the_log_no_longer_holds_is_none(office: Office, attack: str) -> None:
    office.run()
    entry = Path(office.lake.root, "evidence", "000000000.json")
    if attack == "cut off":
        entry.unlink()
        (entry.parent / "head.json").unlink()
    else:
        entry.write_text(entry.read_text().replace('"n": 5', '"n": 6'))
    assert office.state() == "unproved"


def test_a_record_counts_under_the_key_alone_that_signed_it(office: Office, tmp_path: Path) -> None:
    office.run()
    for keys in (None, SecretStore(tmp_path / "none"), SecretStore(tmp_path / "others")):
        if keys is not None and keys.path.parent.name == "others":
            keys.key("record")
        assert not Ledger(office.lake, keys).has_passed(CHECK, MONTH.key)
    assert office.state() == "passed"


def test_a_ledger_sees_what_changes_while_it_lives(office: Office) -> None:
    ledger = Ledger(office.lake, office.secrets)
    assert not ledger.has_passed(CHECK, MONTH.key)
    office.run()
    assert ledger.has_passed(CHECK, MONTH.key)
    office.file().write_text(office.file().read_text().replace('"n": 5', '"n": 6'))
    assert not ledger.has_passed(CHECK, MONTH.key)
    assert len(ledger.disbelieved) == 1
    office.run()
    assert ledger.has_passed(CHECK, MONTH.key)
    office.write("features/g", b"another")
    assert not ledger.has_passed(CHECK, MONTH.key)


def test_whatever_is_signed_is_read_back_and_no_digit_of_it_may_change() -> None:
    statement: dict[str, Any] = {"check": "a", "n": 5, "observed": {"share": 0.1, "이름": [1.5, None]}}
    content = json.dumps(signed(statement, b"k" * 32)).encode()
    record, wrong = parse(content, b"k" * 32)
    assert wrong == ""
    assert record is not None
    assert {name: record[name] for name in statement} == statement
    assert parse(content, b"l" * 32)[0] is None
    assert parse(content.replace(b"0.1", b"0.2"), b"k" * 32)[0] is None
