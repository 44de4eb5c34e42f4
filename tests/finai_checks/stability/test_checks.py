"""Drift, volume and missing values over months: the figures are the textbook's, and the thresholds hold on both sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from dagster_aws.s3 import S3Resource
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.automation.specs import partitions_of
from finai_assets.features.compute import group_schema
from finai_assets.features.state import GroupState, store_states
from finai_assets.features.statistics import build_reference
from finai_assets.platform import Platform
from finai_assets.settings import available_datasets, load_settings
from finai_assets.students.card import CARD, untrained
from finai_checks.assets import build_checks
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import NO_EVIDENCE, CheckContext, CheckOutcome, Declared
from finai_checks.stability.inputs import student_columns
from finai_checks.stability.verdicts import (
    Drift,
    Missing,
    declared_reason,
    feature_drift,
    missingness_stable,
    typical_missing,
    volume_stable,
)
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

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


# ---- on stored months


@pytest.fixture(scope="module")
def platform() -> Platform:
    return Platform.of(load_settings("synthetic", "smoke"))


def checks(platform: Platform, name: str, asset: str) -> list[Declared]:
    return [check for check in declared_checks(platform) if check.name == name and check.asset == asset]


def store_month(lake: Lake, platform: Platform, month: str, values: np.ndarray) -> None:
    """Write a month of demographics without statistics: float32 [rows, columns]."""
    group = platform.registry.group("demographics")
    columns = [pa.array(np.arange(len(values))), *(pa.array(values[:, c]) for c in range(values.shape[1]))]
    with lake.write(group.asset, month) as out:
        out.write(pa.Table.from_arrays(columns, schema=group_schema(group)))


@pytest.fixture
def stored(lake: Lake, platform: Platform) -> Lake:
    """Return a lake with a state of demographics, and four months like train."""
    group = platform.registry.group("demographics")
    rng = np.random.default_rng(3)
    shape = (600, len(group.columns))
    reference = build_reference(rng.normal(size=(5000, shape[1])).astype(np.float32), 10)
    state = GroupState(group.name, {}, reference, {"columns": list(group.names)})
    store_states(LakeSession(lake), {group.name: state}, versions=one_version("test"))
    for month in MONTHS[:4]:
        store_month(lake, platform, month, rng.normal(size=shape).astype(np.float32))
    return lake


def verdict(platform: Platform, lake: Lake, name: str, month: str) -> CheckOutcome:
    (check,) = checks(platform, name, "features/demographics")
    return check.evaluate(CheckContext(LakeSession(lake), platform, Month.parse(month)))


def test_a_shifted_column_of_a_stored_month_is_named_by_the_warning_and_by_the_gate(
    stored: Lake, platform: Platform
) -> None:
    names = platform.registry.group("demographics").names
    assert verdict(platform, stored, "feature_drift_psi", MONTHS[3]).passed
    values = np.random.default_rng(4).normal(size=(600, len(names))).astype(np.float32)
    values[:, names.index("income")] += 1
    store_month(stored, platform, MONTHS[3], values)
    for name in ("feature_drift_psi", "feature_drift_psi_important"):
        outcome = verdict(platform, stored, name, MONTHS[3])
        assert not outcome.passed
        assert outcome.reason.startswith(f"1 of {len(names)} counted columns drifted: income")


def put_student(lake: Lake, task: str, columns: Sequence[str]) -> None:
    with lake.write(f"students/{task}") as out:
        out.put(CARD, untrained(task, columns=tuple(columns)).to_bytes())


def test_the_gate_looks_at_what_students_read_and_at_the_raw_groups_before_there_are_any(
    stored: Lake, platform: Platform
) -> None:
    values = np.random.default_rng(4).normal(size=(600, 11)).astype(np.float32) + np.float32(1)
    store_month(stored, platform, MONTHS[3], values)

    def seen() -> Mapping[str, Any]:
        return verdict(platform, stored, "feature_drift_psi_important", MONTHS[3]).observed

    assert (seen()["counted"], seen()["important_columns"]) == (11, "those of baselines.raw_groups")
    put_student(stored, "churn_signal", [])  # a task that is skipped reads nothing
    assert seen()["counted"] == 11
    put_student(stored, "next_mcc", ["age", "lag_amount_000"])
    put_student(stored, "nba_primary", ["age", "income"])
    assert student_columns(LakeSession(stored), platform) == {"age", "income", "lag_amount_000"}
    assert (seen()["counted"], seen()["important_columns"]) == (2, "those that students read")


def test_half_of_the_rows_and_half_of_a_column_gone_are_named(stored: Lake, platform: Platform) -> None:
    assert verdict(platform, stored, "volume_stable", MONTHS[3]).passed
    assert verdict(platform, stored, "missingness_stable", MONTHS[3]).passed
    values = np.random.default_rng(4).normal(size=(300, 11)).astype(np.float32)
    values[::2, 0] = np.nan
    store_month(stored, platform, MONTHS[3], values)
    assert verdict(platform, stored, "volume_stable", MONTHS[3]).reason == "rows 300, expected 510 to 690"
    reason = verdict(platform, stored, "missingness_stable", MONTHS[3]).reason
    assert reason.startswith("missing values changed in 1 of 11 columns: age 50%, 0%")


def test_months_with_too_little_before_them_are_not_judged_by_it(platform: Platform) -> None:
    (raw,) = checks(platform, "volume_stable", "raw/snapshots")
    (rows,) = checks(platform, "volume_stable", "features/demographics")
    (drifted,) = checks(platform, "feature_drift_psi", "features/demographics")
    assert raw.months is not None
    assert raw.months[0].key == "2014-04"
    assert rows.months is not None
    assert rows.months[0].key == "2015-04"
    assert drifted.months is not None
    assert drifted.months[0].key == "2015-01"


@pytest.mark.parametrize(("month", "results"), [("2014-03", 0), ("2014-04", 1)])
def test_dagster_evaluates_a_check_in_no_month_before_its_first(
    platform: Platform, tmp_path: Path, month: str, results: int
) -> None:
    resource = LakeResource(root=str(tmp_path / "lake"), s3=S3Resource())
    lake = resource.open()
    for past in ("2014-01", "2014-02", "2014-03", "2014-04"):
        for asset in ("raw/snapshots", "raw/transactions"):
            with lake.write(asset, past) as out:
                out.write(pa.table({"customer_id": np.arange(9), "amount": np.ones(9)}))

    @dg.asset(key=["raw", "snapshots"], partitions_def=partitions_of(platform, "raw/snapshots"))
    def snapshots() -> None: ...

    volume = [
        check
        for check in build_checks(platform)
        if {(key.name, key.asset_key.to_user_string()) for key in check.check_keys}
        == {("C06_volume_stable", "raw/snapshots")}
    ]
    ran = dg.materialize([snapshots, *volume], partition_key=f"{month}-01", resources={"lake": resource})
    assert ran.success
    assert len(ran.get_asset_check_evaluations()) == results


@pytest.mark.parametrize("name", available_datasets())
def test_every_declaration_of_drift_fits_a_column(name: str) -> None:
    chosen = load_settings(name, "smoke")
    groups = Platform.of(chosen).registry.available
    for pattern, reason in chosen.checks.drift.declared.items():
        one = {pattern: reason}
        assert any(declared_reason(one, group.name, column) for group in groups for column in group.names), pattern


def test_thresholds_out_of_order_and_a_declaration_without_a_reason_are_refused() -> None:
    with pytest.raises(ConfigError, match="must not be below warn"):
        load_settings("synthetic", "smoke", overrides={"checks": {"drift": {"fail": 0.05}}})
    with pytest.raises(ConfigError, match=r"checks\.drift\.declared"):
        load_settings("synthetic", "smoke", overrides={"checks": {"drift": {"declared": {"age": "old"}}}})
