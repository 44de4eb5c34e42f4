"""Each check is seen passing and failing; a check that cannot fail, or fails for another reason, is not proved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from finai_checks import proof
from finai_checks.catalogue import KINDS, kind
from finai_checks.document import TARGET, render, stored_proofs
from finai_checks.framework.check import Canary, CheckOutcome
from finai_checks.framework.small_lake import small_settings
from finai_checks.proof import lake_canaries, plain_canaries, run_canaries


def outcome(*, passed: bool, reason: str = "") -> CheckOutcome:
    return CheckOutcome(passed, reason, 10)


GOOD = Canary(kind("gap_split"), "good", None, lambda: outcome(passed=True))
BAD = Canary(kind("gap_split"), "bad", "3 days", lambda: outcome(passed=False, reason="the gap has 3 days"))


def proved(*canaries: Canary) -> bool:
    return next(each for each in run_canaries(canaries) if each.kind.name == "gap_split").proved


def test_a_check_that_passes_the_good_and_fails_the_bad_is_proved() -> None:
    assert proved(GOOD, BAD)


@pytest.mark.parametrize(
    "canaries",
    [
        (),
        (GOOD,),
        (BAD,),
        (GOOD, replace(BAD, evaluate=lambda: outcome(passed=True))),
        (GOOD, replace(BAD, evaluate=lambda: outcome(passed=False, reason="another reason"))),
        (GOOD, replace(BAD, evaluate=lambda: 1 / 0)),
        (GOOD, replace(BAD, expects="division", evaluate=lambda: 1 / 0)),
        (replace(GOOD, evaluate=lambda: outcome(passed=False)), BAD),
    ],
)
def test_one_without_canaries_or_with_a_wrong_answer_is_not_proved(canaries: tuple[Canary, ...]) -> None:
    assert not proved(*canaries)


def test_every_canary_on_plain_values_is_answered_rightly() -> None:
    proofs = run_canaries(plain_canaries(small_settings()))
    wrong = [result.as_dict() for each in proofs for result in each.results if not result.right]
    assert wrong == []


@pytest.mark.slow
def test_every_check_is_proved_on_plain_values_and_on_poisoned_copies_of_a_lake(tmp_path: Path) -> None:
    proofs = run_canaries([*plain_canaries(small_settings()), *lake_canaries(tmp_path)])
    assert [result.as_dict() for each in proofs for result in each.results if not result.right] == []
    assert [each.kind.name for each in proofs if not each.proved] == []
    assert len(proofs) == len(KINDS)
    on_lake = {canary.kind.name for canary in lake_canaries_listed(tmp_path / "again")}
    # The small lake's one student need not imitate its teacher, and it has no bundle: the rooms' own tests store both.
    elsewhere = {
        "student_fidelity",
        "enough_copies",
        "calibration",
        "calibration_in_the_large",
        "explanation_preserved",
        "bundle_integrity",
    }
    elsewhere |= {
        "lists_not_below_rivals",
        "suitability_zero_violations",
        "consent_zero_leak",
        "recommendations_replayed",
    }
    assert on_lake == {known.name for known in KINDS} - elsewhere


def lake_canaries_listed(folder: Path) -> list[Canary]:
    """Return the canaries without making their lake again."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(proof.SmallLake, "build", classmethod(lambda cls, place: place))
        return lake_canaries(folder)


def test_the_page_of_checks_is_up_to_date() -> None:
    assert TARGET.read_text(encoding="utf-8") == render(stored_proofs()), "run python -m finai_checks.document"


def test_the_page_tells_every_check_its_threshold_and_its_articles() -> None:
    text = render(stored_proofs())
    for known in KINDS:
        assert f"## {known.name}" in text
    assert "Threshold `gap_days`: `30`." in text
    assert "EU AI Act 10" in text
