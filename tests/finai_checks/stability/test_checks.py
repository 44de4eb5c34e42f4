"""Drift, volume and missing values of stored months, as the declared checks judge them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pytest
from dagster_aws.s3 import S3Resource

from finai_assets.automation.specs import partitions_of
from finai_assets.features.compute import group_schema
from finai_assets.features.state import GroupState, store_states
from finai_assets.features.statistics import build_reference
from finai_assets.platform import Platform
from finai_assets.settings import available_datasets, load_settings
from finai_assets.students.card import CARD, DirectCard, untrained
from finai_checks.assets import build_checks
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext, CheckOutcome, Declared
from finai_checks.stability.inputs import student_columns
from finai_checks.stability.verdicts import (
    declared_reason,
)
from finai_resources.errors import ConfigError
from finai_resources.lake import Lake
from finai_resources.lake_resource import LakeResource
from finai_resources.lake_session import LakeSession
from finai_resources.manifest import one_version
from finai_resources.months import Month

MONTHS = ("2015-01", "2015-02", "2015-03", "2015-04", "2015-05")


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
    behind = DirectCard(("age", "is_active"), "sigmoid", (0.0,), {"type": "none"}, 0.5, 1, 2, 9)
    with stored.write("students/next_mcc") as out:
        out.put(CARD, untrained("next_mcc", route="DISTILL", columns=("age",), direct=behind).to_bytes())
    assert student_columns(LakeSession(stored), platform) == {"age", "income", "is_active"}
    # A student that another version has left is distilled again; until then it keeps nothing from being judged.
    older = untrained("next_mcc", route="DISTILL", columns=("age",), direct=behind).to_bytes()
    with stored.write("students/next_mcc") as out:
        out.put(CARD, older.replace(b'"format": 4', b'"format": 2'))
    assert student_columns(LakeSession(stored), platform) == {"age", "income"}
    assert seen()["important_columns"] == "those that students read"


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
