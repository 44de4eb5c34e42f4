"""Months and cutoffs."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_resources.months import Month, month_range


def test_the_cutoff_is_the_first_instant_of_the_next_month() -> None:
    month = Month.parse("2016-12")
    assert month.cutoff == datetime(2017, 1, 1)
    assert month.cutoff_us == (datetime(2017, 1, 1) - datetime(1970, 1, 1)).total_seconds() * 1e6


@given(st.integers(1900, 2200), st.integers(1, 12), st.integers(-500, 500))
def test_adding_and_taking_away_months_meet_again(year: int, month: int, n: int) -> None:
    one = Month.parse(f"{year:04d}-{month:02d}")
    assert (one + n) - n == one
    assert Month.of(one.start) == one
    assert Month.parse(one.partition_key) == one


def test_a_range_holds_both_ends() -> None:
    months = [month.key for month in month_range(Month.parse("2015-11"), Month.parse("2016-02"))]
    assert months == ["2015-11", "2015-12", "2016-01", "2016-02"]


@pytest.mark.parametrize("text", ["2015", "2015-13", "2015-1", "jan", "2015-01-02"])
def test_what_is_not_a_month_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a month"):
        Month.parse(text)
