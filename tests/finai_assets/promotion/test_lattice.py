"""The lattice: a walk through every branch, on facts that are good but for one thing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from finai_assets.promotion.facts import Facts, Fault, TaskShift, Verdict
from finai_assets.promotion.lattice import CRITERIA, judge
from finai_assets.settings import Settings
from finai_checks.framework.check import CheckKind
from finai_checks.promotion.canaries import good_facts, let_pass, people, spoiled

SPOILED, GOOD = spoiled(), let_pass()


@pytest.mark.parametrize("label", list(SPOILED))
def test_what_is_wrong_in_one_way_is_refused_by_one_criterion_with_its_code(label: str, settings: Settings) -> None:
    _, code, facts = SPOILED[label]
    verdict = judge(facts, people(settings.promotion))
    assert not verdict.passed
    assert verdict.codes == (code,)
    assert next(c.reason for c in verdict.criteria if not c.passed)


@pytest.mark.parametrize("label", list(GOOD))
def test_what_is_good_passes_every_criterion(label: str, settings: Settings) -> None:
    verdict = judge(GOOD[label], people(settings.promotion))
    assert verdict.codes == ()
    assert verdict.passed
    assert [criterion.name for criterion in verdict.criteria] == list(CRITERIA)


def test_an_override_that_counts_is_named(settings: Settings) -> None:
    verdict = judge(GOOD["a failed check under an override that counts"], people(settings.promotion))
    assert "overridden by park" in next(c.reason for c in verdict.criteria if c.name == "evidence")


def test_the_worst_challenger_is_refused_by_every_criterion_at_once(settings: Settings) -> None:
    good = good_facts()
    worst = replace(
        good,
        champion=good.bundle,
        now="2020-01-01T00:00:00.000+00:00",
        evidence_faults=("entry 0: the entry is gone",),
        integrity=(Fault("BUNDLE_SIGNATURE_WRONG", "signed with another key"),),
        tasks_present=(),
        comparison=tuple(replace(row, verdict="worse") for row in good.comparison),
        proposal=None,
        approvals=(),
    )
    verdict = judge(worst, people(settings.promotion))
    assert not any(criterion.passed for criterion in verdict.criteria)
    assert len(verdict.codes) == len(CRITERIA)


def test_nobody_known_to_the_configuration_means_no_promotion(settings: Settings) -> None:
    assert judge(good_facts(), settings.promotion).codes == ("UNKNOWN_PERSON",)


def test_a_verdict_without_criteria_is_a_refusal() -> None:
    assert not Verdict("b2", "b1", "now", ()).passed


def test_shifts_are_told_and_refuse_nothing(settings: Settings) -> None:
    far = TaskShift("churn_signal", 3.0, 0.9, -0.5, -4.0)
    verdict = judge(replace(good_facts(), shifts=(far,)), people(settings.promotion))
    assert verdict.passed
    assert [text.split(":")[1].split()[0] for text in verdict.warnings] == ["psi", "jsd", "rank", "mean"]
    near = TaskShift("churn_signal", 0.01, 0.01, 0.99, 0.01)
    assert judge(replace(good_facts(), shifts=(near,)), people(settings.promotion)).warnings == ()


def test_facts_and_verdicts_come_back_from_json_as_they_were(settings: Settings) -> None:
    facts = replace(good_facts(), shifts=(TaskShift("churn_signal", 0.1, None, 0.9, 0.0),))
    assert Facts.from_json(facts.to_json()) == facts
    verdict = judge(facts, people(settings.promotion))
    assert Verdict.from_json(verdict.to_json()).to_json() == verdict.to_json()


def test_every_kind_is_refused_at_least_once() -> None:
    kinds: dict[str, CheckKind] = {kind.id: kind for kind, _, _ in SPOILED.values()}
    assert set(kinds) == {"C29", "C30"}
