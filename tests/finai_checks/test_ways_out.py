"""Every check that can stop a run says what to do about it."""

from __future__ import annotations

import re

import pytest

from finai_assets.settings import load_settings
from finai_checks.catalogue import KINDS
from finai_checks.ways_out import WAYS_OUT, ways_out


def test_every_blocking_check_has_a_way_out_and_no_other() -> None:
    assert set(WAYS_OUT) == {kind.name for kind in KINDS if kind.blocking}


@pytest.mark.parametrize("name", sorted(WAYS_OUT))
def test_the_settings_that_a_way_out_names_exist(name: str) -> None:
    known = load_settings("synthetic", "demo").model_dump(mode="json")
    for path in re.findall(r"`((?:checks|dataset|inputs)\.[\w.]+|gap_days)`", WAYS_OUT[name]):
        section = known
        for part in path.split("."):
            assert part in section, f"{name} names {path}"
            section = section[part]


def test_each_failed_check_is_told_once_in_the_order_of_failure() -> None:
    told = ways_out(["gap_split", "of_a_plug_in", "schema_contract", "gap_split"], "then run again").split("\n  ")
    assert [line.partition(":")[0] for line in told] == ["gap_split", "schema_contract", "then run again"]
    assert ways_out(["of_a_plug_in"], "then run again") == "then run again"
