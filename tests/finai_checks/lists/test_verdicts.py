"""C44 reads stored differences alone, and says which rival is ahead."""

from __future__ import annotations

from typing import Any

import pytest

from finai_checks.lists.verdicts import not_below_rivals


def lists(**changed: Any) -> dict[str, Any]:
    rivals = {"ease": {"simple": True}, "popularity": {"simple": True}, "lightgbm_per_product": {"simple": False}}
    ahead = {name: {"value": 0.1, "low": 0.05, "high": 0.15} for name in rivals}
    told = {
        "bundle_id": "b",
        "acquiring": 40,
        "layers": {"1": 90},
        "rivals": rivals,
        "ours_over": ahead,
        "served_over": ahead,
    }
    return {**told, **changed}


def over(**changed: Any) -> dict[str, Any]:
    return {**lists()["ours_over"], **changed}


def test_a_list_ahead_of_all_simple_rivals_passes_on_the_rows_that_acquire() -> None:
    found = not_below_rivals(lists())
    assert found.passed
    assert (found.n, found.reason) == (40, "")
    assert {(row["list"], row["rival"]) for row in found.table} == {
        (how, name) for how in ("as ranked", "as served") for name in ("ease", "popularity")
    }


@pytest.mark.parametrize(("high", "passed"), [(-0.001, False), (0.0, True), (0.002, True)])
def test_the_whole_interval_must_lie_below(high: float, passed: bool) -> None:
    found = not_below_rivals(lists(ours_over=over(ease={"value": -0.1, "low": -0.2, "high": high})))
    assert found.passed is passed
    assert ("as ranked it is below ease by 0.100" in found.reason) is not passed


def test_what_is_served_is_judged_by_itself() -> None:
    found = not_below_rivals(lists(served_over=over(popularity={"value": -0.1, "low": -0.2, "high": -0.05})))
    assert found.reason == "as served it is below popularity by 0.100 [0.050, 0.200]"


def test_trees_are_no_simple_rival() -> None:
    behind = {"value": -0.3, "low": -0.4, "high": -0.2}
    assert not_below_rivals(lists(ours_over=over(lightgbm_per_product=behind))).passed


@pytest.mark.parametrize(
    "nothing",
    [
        None,
        lists(acquiring=0),
        lists(rivals={}),
        lists(ours_over={}),
        lists(ours_over=over(ease={"value": 0.1, "low": None, "high": None})),
    ],
)
def test_without_a_measured_difference_there_is_no_evidence(nothing: dict[str, Any] | None) -> None:
    found = not_below_rivals(nothing)
    assert (found.passed, found.n) == (False, 0)
