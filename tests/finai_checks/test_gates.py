"""Each gate passes what is right and fails what is wrong; no evidence is a failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from finai_checks.framework.outcome import CheckOutcome
from finai_checks.framework.record import has_passed, read_record, write_record
from finai_checks.models.fidelity import student_fidelity
from finai_checks.splits.checks import gap_split
from finai_checks.stability.variation import columns_vary
from finai_resources.lake import Lake

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


def test_a_constant_column_and_an_empty_one_are_both_named() -> None:
    outcome = columns_vary(["a", "b", "c"], np.array([1.0, 0.0, np.nan]), 100, allowed=0)
    assert not outcome.passed
    assert "2 of 3 columns are constant: b, c" in outcome.reason
    assert columns_vary(["a"], np.array([0.1]), 100, allowed=0).passed
    assert columns_vary(["a"], np.array([0.1]), 1, allowed=0).reason == "no_evidence"


def student(*, route: str = "DISTILL", passed: bool = True, n: int = 50) -> dict[str, Any]:
    verdicts = [{"measure": "kl", "observed": 0.1, "floor": 0.2, "passed": passed}]
    metrics = {"test": {"student": {"auc": {"value": 0.7, "n": n}}}}
    return {
        "route": route,
        "fidelity": {"n": n, "verdicts": verdicts} if route == "DISTILL" else None,
        "metrics": metrics,
    }


def test_a_faithful_student_passes_and_an_unfaithful_one_fails() -> None:
    assert student_fidelity("t", student()).passed
    outcome = student_fidelity("t", student(passed=False))
    assert not outcome.passed
    assert outcome.reason.startswith("kl")


def test_a_student_that_copies_nothing_passes_if_it_was_evaluated() -> None:
    assert student_fidelity("t", student(route="DIRECT")).passed
    assert student_fidelity("t", student(route="DIRECT", n=0)).reason == "no_evidence"


@pytest.mark.parametrize("missing", [None, {**student(), "fidelity": None}, student(n=0)])
def test_a_missing_student_or_missing_fidelity_fails(missing: dict[str, Any] | None) -> None:
    assert student_fidelity("t", missing).reason == "no_evidence"


def test_a_record_counts_only_for_the_content_it_was_made_for(lake: Lake) -> None:
    def write(content: bytes) -> None:
        with lake.write("features/g", "2015-01") as out:
            out.put("f", content)

    write(b"one")
    assert not has_passed(lake, "check", "features/g", "2015-01")
    write_record(lake, "check", "features/g", "2015-01", CheckOutcome(True, "", 5, {"std": np.float32(1.5)}, []))
    assert has_passed(lake, "check", "features/g", "2015-01")
    record = read_record(lake, "check", "features/g", "2015-01")
    assert record is not None
    assert record["observed"] == {"std": 1.5}
    write(b"two")
    assert not has_passed(lake, "check", "features/g", "2015-01")


def test_a_failed_record_has_not_passed(lake: Lake) -> None:
    with lake.write("features/g", "2015-01") as out:
        out.put("f", b"one")
    write_record(lake, "check", "features/g", "2015-01", CheckOutcome(False, "why", 5, {}, []))
    assert not has_passed(lake, "check", "features/g", "2015-01")


def test_a_record_that_was_cut_off_is_no_result(lake: Lake) -> None:
    with lake.write("labels/splits") as out:
        out.put("splits.json", b"{}")
    write_record(lake, "gap_split", "labels/splits", None, CheckOutcome(True, "", 3))
    assert has_passed(lake, "gap_split", "labels/splits", None)
    record_file = Path(str(lake.root)) / "checks" / "gap_split" / "labels/splits" / "whole.json"
    record_file.write_bytes(b"")
    assert read_record(lake, "gap_split", "labels/splits", None) is None
    assert not has_passed(lake, "gap_split", "labels/splits", None)
