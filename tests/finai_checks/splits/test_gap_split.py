"""C13: a gap that is too small, a purged month in use and splits out of order fail; no split is no evidence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from finai_assets.platform import Platform
from finai_assets.settings import Settings
from finai_checks.catalogue import declared_checks
from finai_checks.framework.check import CheckContext
from finai_checks.framework.run import run_check
from finai_checks.splits.gap_split import gap_split
from finai_resources.lake import Lake
from finai_resources.lake_session import LakeSession

MONTHS = {"train": ["2015-01"], "validation": ["2015-03"], "test": ["2015-05"], "purged": ["2015-02", "2015-04"]}
GAPS: list[dict[str, Any]] = [{"before": "validation", "days": 31}, {"before": "test", "days": 30}]


def test_a_wide_gap_passes() -> None:
    outcome = gap_split(GAPS, 30, months=MONTHS)
    assert outcome.passed
    assert outcome.observed["smallest_gap_days"] == 30


def test_a_gap_of_three_days_fails_and_names_its_split() -> None:
    outcome = gap_split([GAPS[0], {"before": "test", "days": 3}], 30, months=MONTHS)
    assert not outcome.passed
    assert "before test has 3 days" in outcome.reason


def test_a_used_purged_month_fails() -> None:
    outcome = gap_split(GAPS, 30, months={**MONTHS, "train": ["2015-01", "2015-02"]})
    assert not outcome.passed
    assert "2015-02" in outcome.reason


def test_splits_out_of_order_fail() -> None:
    outcome = gap_split(GAPS, 30, months={**MONTHS, "test": ["2014-12"]})
    assert "not in order" in outcome.reason


@pytest.mark.parametrize("missing", ["train", "validation", "test"])
def test_a_split_without_months_is_no_evidence(missing: str) -> None:
    assert gap_split(GAPS, 30, months={**MONTHS, missing: []}).reason == "no_evidence"


@pytest.mark.parametrize(("validation", "passed"), [("2015-05", True), ("2015-04", False)])
def test_the_gap_is_measured_on_the_splits_as_stored(
    lake: Lake, settings: Settings, validation: str, *, passed: bool
) -> None:
    months = {"train": ["2015-01", "2015-02", "2015-03"], "validation": [validation], "test": ["2015-07"], "purged": []}
    with lake.write("labels/splits") as out:
        out.put("splits.json", json.dumps(months).encode())
    platform = Platform.of(settings)
    check = next(c for c in declared_checks(platform) if c.id == "C13")
    outcome = run_check(check, CheckContext(LakeSession(lake), platform))
    assert outcome.passed is passed, outcome.reason
    assert passed or "the gap before validation has 0 days" in outcome.reason
