"""A record opens a gate only for the content that it was made for."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from finai_checks.framework.check import CheckContext, CheckKind, CheckOutcome, Declared
from finai_checks.framework.record import has_passed, read_record, write_record
from finai_resources.lake import Lake

KIND = CheckKind("C99", "a_check", "something holds", blocking=True, minimum=1, units="rows")


def evaluate(context: CheckContext, asset: str) -> CheckOutcome:
    return CheckOutcome(True, "", 5)


def declared(asset: str, **thresholds: float) -> Declared:
    return Declared(KIND, asset, alone=evaluate, thresholds=thresholds)


CHECK = declared("features/g")


def test_a_record_counts_only_for_the_content_it_was_made_for(lake: Lake) -> None:
    def write(content: bytes) -> None:
        with lake.write("features/g", "2015-01") as out:
            out.put("f", content)

    write(b"one")
    assert not has_passed(lake, CHECK, "2015-01")
    write_record(lake, CHECK, "2015-01", CheckOutcome(True, "", 5, {"std": np.float32(1.5)}, []))
    assert has_passed(lake, CHECK, "2015-01")
    record = read_record(lake, CHECK, "2015-01")
    assert record is not None
    assert record["observed"] == {"std": 1.5}
    write(b"two")
    assert not has_passed(lake, CHECK, "2015-01")


def test_a_failed_record_has_not_passed(lake: Lake) -> None:
    with lake.write("features/g", "2015-01") as out:
        out.put("f", b"one")
    write_record(lake, CHECK, "2015-01", CheckOutcome(False, "why", 5, {}, []))
    assert not has_passed(lake, CHECK, "2015-01")


def test_a_record_that_was_cut_off_is_no_result(lake: Lake) -> None:
    with lake.write("labels/splits") as out:
        out.put("splits.json", b"{}")
    check = declared("labels/splits")
    write_record(lake, check, None, CheckOutcome(True, "", 3))
    assert has_passed(lake, check, None)
    record_file = Path(str(lake.root)) / "checks" / KIND.name / "labels/splits" / "whole.json"
    record_file.write_bytes(b"")
    assert read_record(lake, check, None) is None
    assert not has_passed(lake, check, None)


def test_a_record_by_another_threshold_is_no_result(lake: Lake) -> None:
    with lake.write("features/g", "2015-01") as out:
        out.put("f", b"one")
    write_record(lake, declared("features/g", limit=3.0), "2015-01", CheckOutcome(True, "", 5))
    assert has_passed(lake, declared("features/g", limit=3.0), "2015-01")
    assert read_record(lake, declared("features/g", limit=4.0), "2015-01") is None
    assert not has_passed(lake, declared("features/g", limit=4.0), "2015-01")
