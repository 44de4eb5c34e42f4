"""C15: how strongly inputs predict a protected attribute, honestly measured, and who has assessed it."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from finai_assets.settings import Settings
from finai_assets.settings.checks import Assessment, ProxyStrengthSettings
from finai_checks.fairness.protected import Attribute
from finai_checks.fairness.proxy_strength import proxy_strength
from finai_checks.framework.check import CheckOutcome

N, TODAY = 500, date(2026, 6, 1)


@pytest.fixture(scope="module")
def rules(settings: Settings) -> ProxyStrengthSettings:
    return settings.checks.proxy_strength.model_copy(update={"group_customers": 20, "assessments": {}})


def measure(
    X: np.ndarray, *attributes: Attribute, rules: ProxyStrengthSettings, customer: np.ndarray | None = None
) -> CheckOutcome:
    return proxy_strength(
        X.astype(np.float32),
        [f"c{k}" for k in range(X.shape[1])],
        np.arange(len(X)) if customer is None else customer,
        attributes,
        openly=(),
        rules=rules,
        confidence=0.95,
        seed=1,
        threads=1,
        today=TODAY,
    )


def gender(rng: np.random.Generator, share: float = 0.5) -> Attribute:
    return Attribute("gender", ("F", "M"), (rng.random(N) < share).astype(np.int64))


def test_among_hundreds_of_random_columns_the_best_one_does_not_look_like_a_proxy(
    rules: ProxyStrengthSettings,
) -> None:
    rng = np.random.default_rng(4)
    outcome = measure(rng.normal(size=(N, 120)), gender(rng, 0.06), rules=rules)
    assert outcome.passed, outcome.reason
    assert all(abs(row["alone"] - 0.5) < 0.15 and abs(row["together"] - 0.5) < 0.2 for row in outcome.table)


def test_the_strongest_single_column_is_named_with_its_auc_and_interval(rules: ProxyStrengthSettings) -> None:
    rng = np.random.default_rng(5)
    known = gender(rng)
    X = rng.normal(size=(N, 20))
    X[:, 7] += 2.5 * known.codes
    outcome = measure(X, known, rules=rules)
    assert not outcome.passed
    row = outcome.table[0]
    assert row["strongest_column"] == "c7"
    # A shift by 2.5 deviations has .96; shares per bin of 250 customers tell a little less.
    assert 0.88 < row["alone"] < 0.98
    assert row["low"] < row["auc"] < row["high"]
    assert outcome.n == N


def test_the_group_that_is_told_best_decides_not_the_mean(rules: ProxyStrengthSettings) -> None:
    rng = np.random.default_rng(6)
    band = Attribute("age_band", ("a", "b", "c", "d"), rng.integers(0, 4, N))
    X = rng.normal(size=(N, 5))
    X[:, 1] += 4 * (band.codes == 2)
    outcome = measure(X, band, rules=rules)
    assert "of c > 0.8" in outcome.reason
    by_group = {row["group"]: row for row in outcome.table}
    assert by_group["c"]["auc"] > 0.95
    assert not by_group["c"]["passed"]
    assert [by_group[name]["passed"] for name in "abd"] == [True] * 3
    assert np.mean([row["auc"] for row in outcome.table]) < 0.8


def test_small_groups_are_named_and_are_no_pass_while_the_others_are_still_measured(
    rules: ProxyStrengthSettings,
) -> None:
    rng = np.random.default_rng(7)
    region = Attribute("region", ("capital", "islands"), (np.arange(N) < 9).astype(np.int64))
    outcome = measure(rng.normal(size=(N, 5)), gender(rng), region, rules=rules)
    assert not outcome.passed
    assert outcome.reason == "region: too few customers to judge (capital 491, islands 9; 20 are needed)"
    assert "gender" in outcome.observed["auc"]
    assert "region" not in outcome.observed["auc"]


@pytest.mark.parametrize(
    ("expires", "passed"), [(date(2026, 6, 1), True), (date(2026, 5, 31), False), (date(2027, 1, 1), True)]
)
def test_an_assessment_counts_until_its_last_day(rules: ProxyStrengthSettings, expires: date, *, passed: bool) -> None:
    rng = np.random.default_rng(8)
    known = gender(rng)
    entry = Assessment(id="DPIA-1", reason="told by the officer", expires=expires)
    assessed = rules.model_copy(update={"assessments": {"gender": entry}})
    outcome = measure(np.column_stack([known.codes, rng.normal(size=N)]), known, rules=assessed)
    assert outcome.passed is passed
    assert ("DPIA-1" in outcome.table[0]["assessment"]) is passed


def test_customers_whose_attribute_is_unknown_take_no_part(rules: ProxyStrengthSettings) -> None:
    rng = np.random.default_rng(9)
    known = gender(rng)
    X = np.column_stack([known.codes, rng.normal(size=N)])
    X[:250, 0] = rng.random(250)
    partly = Attribute("gender", ("F", "M"), np.where(np.arange(N) < 250, -1, known.codes))
    outcome = measure(X, partly, rules=rules)
    assert outcome.table[0]["alone"] > 0.99
    assert sum(row["customers"] for row in outcome.table) == 250


def test_the_same_customers_in_another_order_give_the_same_figures(rules: ProxyStrengthSettings) -> None:
    rng = np.random.default_rng(10)
    known, X = gender(rng), rng.normal(size=(N, 6))
    X[:, 0] += known.codes
    order = rng.permutation(N)
    first = measure(X, known, rules=rules)
    second = measure(X[order], Attribute("gender", known.groups, known.codes[order]), rules=rules, customer=order)
    assert [row["alone"] for row in first.table] == pytest.approx([row["alone"] for row in second.table], abs=1e-12)
    assert [row["together"] for row in first.table] == pytest.approx([r["together"] for r in second.table], abs=0.02)
