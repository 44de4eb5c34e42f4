"""Drift, volume and missing values over months: the figures are the textbook's, and the thresholds hold on both sides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_checks.framework.check import NO_EVIDENCE, CheckOutcome
from finai_checks.stability.verdicts import (
    Drift,
    Missing,
    declared_reason,
    feature_drift,
    missingness_stable,
    typical_missing,
    volume_stable,
)

MONTHS = ("2015-01", "2015-02", "2015-03", "2015-04", "2015-05")


# ---- drift


def drift(psi: Sequence[float], *, rows: int = 5000, train_rows: int = 50_000, bins: int = 10) -> Drift:
    names = [f"c{index}" for index in range(len(psi))]
    return Drift(names, np.array(psi), np.full(len(psi), bins), rows, train_rows)


def judged(found: Drift, threshold: float = 0.10, **more: Any) -> CheckOutcome:
    return feature_drift(found, threshold=threshold, **{"chance_share": 0.5, "declared": {}, **more})


@pytest.mark.parametrize(("psi", "passed"), [(0.0999, True), (0.10, False), (0.11, False), (float("nan"), False)])
def test_a_column_drifts_from_the_threshold_on(psi: float, passed: bool) -> None:
    outcome = judged(drift([0.01, psi]))
    assert outcome.passed is passed
    assert ("c1" in outcome.reason) is not passed
    assert "c0" not in outcome.reason


def test_the_worst_columns_come_first_and_are_named() -> None:
    outcome = judged(drift([0.2, 0.01, 0.5]))
    assert outcome.reason == "2 of 3 counted columns drifted: c2 0.50; c0 0.20"
    assert [row["column"] for row in outcome.table] == ["c2", "c0", "c1"]
    assert [row["drifted"] for row in outcome.table] == [True, True, False]


def test_a_declared_column_is_listed_with_its_reason_and_not_counted() -> None:
    outcome = judged(drift([0.9, 0.01]), declared={"c0": "grows by nature"})
    assert outcome.passed
    assert outcome.observed["declared_to_drift"] == 1
    assert outcome.observed["worst"] == 0.01
    assert outcome.table[0] | {"by_chance": 0} == {
        "column": "c0", "psi": 0.9, "by_chance": 0, "counted": False, "drifted": False, "declared": "grows by nature",
    }  # fmt: skip
    assert not judged(drift([0.9, 0.2]), declared={"c0": "grows by nature"}).passed


def test_only_important_columns_count_where_some_are_named() -> None:
    assert judged(drift([0.9, 0.01]), important={"c1"}).passed
    assert not judged(drift([0.9, 0.01]), important={"c0"}).passed
    none = judged(drift([0.9, 0.01]), important={"elsewhere"})
    assert none.passed
    assert none.reason == "none of its columns counts here"
    assert none.n == 5000


def test_a_pattern_names_a_column_or_a_group_and_column() -> None:
    declared = {"age*": "people grow older", "graph/*": "refitted"}
    assert declared_reason(declared, "demographics", "age_group") == "people grow older"
    assert declared_reason(declared, "graph", "g_00") == "refitted"
    assert declared_reason(declared, "graphs", "g_00") is None
    assert declared_reason(declared, "demographics", "old_age") is None


def test_a_month_too_small_to_tell_the_threshold_from_chance_cannot_pass() -> None:
    needed = judged(drift([0.01])).observed["rows_needed"]
    assert needed == 181  # 1 / (0.05 / 9 - 1 / 50,000), rounded up
    assert judged(drift([0.01], rows=needed)).passed
    small = judged(drift([0.01], rows=needed - 1))
    assert (small.passed, small.reason) == (False, NO_EVIDENCE)
    assert small.observed["expected_by_chance"] > 0.05
    assert judged(drift([0.01], train_rows=100)).reason == NO_EVIDENCE
    assert judged(drift([0.01], train_rows=100)).observed["rows_needed"] is None


def test_a_drift_in_a_small_month_is_named_together_with_what_chance_gives() -> None:
    outcome = judged(drift([2.0], rows=50))
    assert not outcome.passed
    assert outcome.reason == "1 of 1 counted columns drifted: c0 2.00 (of 50 rows, 0.18 is expected by chance)"


@pytest.mark.parametrize("empty", [{"rows": 0}, {"train_rows": 0}])
def test_no_row_is_no_evidence_of_drift(empty: dict[str, int]) -> None:
    assert judged(drift([0.01], **empty)).reason == NO_EVIDENCE
    assert judged(drift([])).reason == NO_EVIDENCE


def test_the_index_expected_by_chance_is_the_mean_of_samples_without_drift() -> None:
    rng = np.random.default_rng(1)
    n, train, share = 800, 3000, np.full(10, 0.1)
    p, q = rng.multinomial(n, share, 4000) / n, rng.multinomial(train, share, 4000) / train
    simulated = ((p - q) * np.log(p / q)).sum(axis=1).mean()
    assert drift([0.0], rows=n, train_rows=train).by_chance[0] == pytest.approx(simulated, rel=0.05)


# ---- volume


def volume(past: Sequence[float], now: float, **rules: float) -> CheckOutcome:
    earlier = {month: {"rows": rows} for month, rows in zip(MONTHS, past, strict=False)}
    return volume_stable({"rows": now}, earlier, **{"deviations": 3.5, "floor_share": 0.10, **rules})


@pytest.mark.parametrize(("now", "passed"), [(450, True), (449, False), (550, True), (551, False), (0, False)])
def test_constant_counts_may_move_by_the_floor_and_no_more(now: float, passed: bool) -> None:
    outcome = volume([500] * 5, now)
    assert outcome.passed is passed
    assert outcome.n == 5


@pytest.mark.parametrize(("now", "passed"), [(603, True), (604, False), (396, False), (397, True)])
def test_counts_that_vary_may_move_by_their_deviations(now: float, passed: bool) -> None:
    # median 500, median absolute deviation 20: 3.5 x 1.4826 x 20 = 103.8
    assert volume([480, 520, 500, 470, 530], now).passed is passed


@given(past=st.permutations([480.0, 520.0, 500.0, 470.0, 530.0]), now=st.floats(0, 1000))
def test_the_order_of_the_earlier_months_does_not_matter(past: list[float], now: float) -> None:
    assert volume(past, now).table == volume(sorted(past), now).table


def test_fewer_than_three_earlier_months_are_no_evidence() -> None:
    assert volume([500, 500], 500).reason == NO_EVIDENCE
    assert volume([500, 500, 500], 500).passed


def test_every_figure_is_judged_and_the_unstable_ones_are_named() -> None:
    earlier = {month: {"rows": 100.0, "amount": 1000.0} for month in MONTHS}
    outcome = volume_stable({"rows": 101.0, "amount": 2000.0}, earlier, deviations=3.5, floor_share=0.1)
    assert outcome.reason == "amount 2,000, expected 900 to 1,100"
    assert [row["stable"] for row in outcome.table] == [True, False]


# ---- missing values


def missing(now: float, before: float, *, rows: int = 100_000, jump: float = 0.05) -> CheckOutcome:
    current, train = Missing("now", np.array([0.0, now]), rows), Missing("on train", np.array([0.0, before]), rows)
    return missingness_stable(["a", "b"], current, [train], jump=jump, confidence=0.95)


@pytest.mark.parametrize(
    ("now", "before", "passed"),
    [(0.152, 0.10, True), (0.153, 0.10, False), (0.10, 0.152, True), (0.10, 0.153, False), (1.0, 1.0, True)],
)
def test_a_share_may_jump_by_the_threshold_and_its_sampling_error_either_way(
    now: float, before: float, passed: bool
) -> None:
    outcome = missing(now, before)
    assert outcome.passed is passed
    assert ("b" in outcome.reason) is not passed


def test_few_rows_must_jump_farther() -> None:
    assert not missing(0.25, 0.10).passed
    assert missing(0.25, 0.10, rows=40).passed
    assert not missing(0.60, 0.10, rows=40).passed


def test_the_interval_of_the_widest_difference_is_told() -> None:
    outcome = missing(0.30, 0.20, rows=1000)
    low, high = outcome.observed["interval"]
    assert outcome.observed["widest"] == "b"
    assert (low + high) / 2 == pytest.approx(0.1, abs=1e-4)
    # pooled share .25 of 1,000 rows each
    assert (high - low) / 2 == pytest.approx(1.96 * np.sqrt(0.25 * 0.75 * 2 / 1000), abs=1e-4)


def test_a_column_is_named_once_by_its_wider_difference() -> None:
    current = Missing("now", np.array([0.6]), 5000)
    past = [Missing("on train", np.array([0.2]), 5000), Missing("in the last 3 months", np.array([0.0]), 5000)]
    outcome = missingness_stable(["a"], current, past, jump=0.05, confidence=0.95)
    assert outcome.reason == "missing values changed in 1 of 1 columns: a 60%, 0% in the last 3 months"
    assert len(outcome.table) == 2


def test_a_column_that_drifts_from_train_by_nature_is_compared_with_the_last_months_alone() -> None:
    current = Missing("now", np.array([0.6, 0.6]), 5000)
    train = Missing("on train", np.array([0.2, 0.6]), 5000, {"a"})
    last = Missing("in the last 3 months", np.array([0.6, 0.6]), 5000)
    assert missingness_stable(["a", "b"], current, [train, last], jump=0.05, confidence=0.95).passed
    jumped = replace(last, share=np.array([0.3, 0.6]))
    outcome = missingness_stable(["a", "b"], current, [train, jumped], jump=0.05, confidence=0.95)
    assert outcome.reason == "missing values changed in 1 of 2 columns: a 60%, 30% in the last 3 months"
    alone = missingness_stable(["a"], current, [replace(train, silent={"a"})], jump=0.05, confidence=0.95)
    assert (alone.passed, alone.reason) == (True, "none of its columns counts here")


def typical(*shares: float) -> Missing:
    return typical_missing([Missing("", np.array([share]), 5000) for share in shares], deviations=3.5)


@pytest.mark.parametrize(
    ("past", "now", "passed"),
    [
        ((0.9, 0.8, 0.7, 0.6, 0.5, 0.4), 0.3, True),  # it falls by the same step
        ((0.1, 0.1, 0.1, 0.1, 0.1, 0.1), 0.3, False),
        ((0.1, 0.1, 0.6, 0.1, 0.1, 0.1), 0.6, False),  # one odd month excuses no second
    ],
)
def test_the_last_months_give_a_share_as_much_room_as_they_moved(
    past: tuple[float, ...], now: float, passed: bool
) -> None:
    current = Missing("now", np.array([now]), 5000)
    assert missingness_stable(["a"], current, [typical(*past)], jump=0.05, confidence=0.95).passed is passed


def test_nothing_to_compare_missing_values_with_is_no_evidence() -> None:
    current = Missing("now", np.array([0.6]), 5000)
    assert missingness_stable(["a"], current, [], jump=0.05, confidence=0.95).reason == NO_EVIDENCE
    assert (
        missingness_stable(["a"], replace(current, rows=0), [current], jump=0.05, confidence=0.95).reason == NO_EVIDENCE
    )
    assert missingness_stable([], current, [current], jump=0.05, confidence=0.95).reason == NO_EVIDENCE
