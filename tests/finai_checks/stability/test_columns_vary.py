"""The check of a stored month: a constant column, an empty one, and one that varies."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext
from finai_checks.framework.run import run_check
from finai_checks.stability.verdicts import columns_vary
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession
from finai_resources.months import Month

MONTH = Month.parse("2015-01")


def stored(lake: Lake, settings: Settings, **replaced: np.ndarray) -> tuple[bool, str]:
    """Return the verdict on a month of demographics that varies, except for the columns given."""
    platform = Platform.of(settings)
    group = platform.registry.group("demographics")
    values = {name: np.arange(20, dtype=np.float32) for name in group.names} | replaced
    with lake.write(group.asset, MONTH.key) as out:
        out.write(pa.table({"customer_id": np.arange(20), **values}))
    check = next(c for c in declared_checks(platform) if c.asset == group.asset and c.name == "columns_vary")
    outcome = run_check(check, CheckContext(LakeSession(lake), platform, MONTH))
    return outcome.passed, outcome.reason


def test_a_month_whose_columns_vary_passes(lake: Lake, settings: Settings) -> None:
    assert stored(lake, settings) == (True, "")


def test_a_constant_column_and_a_column_of_missing_values_fail_by_name(lake: Lake, settings: Settings) -> None:
    constant, empty = np.full(20, 7, np.float32), np.full(20, np.nan, np.float32)
    passed, reason = stored(lake, settings, age=constant, income=empty)
    assert not passed
    assert "2 of 11 columns are constant: age, income" in reason


def test_missing_values_beside_varying_ones_do_not_hide_the_variation(lake: Lake, settings: Settings) -> None:
    half = np.where(np.arange(20) % 2, np.nan, np.arange(20)).astype(np.float32)
    assert stored(lake, settings, age=half) == (True, "")


def test_a_constant_column_and_an_empty_one_are_both_named() -> None:
    outcome = columns_vary(["a", "b", "c"], np.array([1.0, 0.0, np.nan]), 100, allowed=0)
    assert not outcome.passed
    assert "2 of 3 columns are constant: b, c" in outcome.reason
    assert columns_vary(["a"], np.array([0.1]), 100, allowed=0).passed
    assert columns_vary(["a"], np.array([0.1]), 1, allowed=0).reason == "no_evidence"
