"""The months that are guessed keep the rule of gaps, whatever months a file has."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.ingest.tables.guess.months import plan_months
from finai_assets.labels.splits import make_splits
from finai_assets.settings import load_settings
from finai_resources.months import Month


def rows(first: Month, count: int, each: int = 100) -> list[tuple[date, int]]:
    return [((first + at).start.date(), each) for at in range(count)]


@given(st.integers(1, 60), st.integers(1990 * 12, 2030 * 12), st.integers(7, 100))
def test_what_is_planned_is_what_the_splits_accept(count: int, first: int, gap_days: int) -> None:
    months = plan_months(rows(Month(first), count), gap_days=gap_days)
    if months is None:
        assert count < 10 + 2 * gap_days // 28
        return
    spans = {"train": months.train, "validation": months.validation, "test": months.test}
    dataset = {
        "raw_months": [month.key for month in months.raw],
        "snapshot_months": [month.key for month in months.snapshots],
        "splits": {name: [month.key for month in span] for name, span in spans.items()},
    }
    settings = load_settings("synthetic", "smoke", overrides={"dataset": dataset, "gap_days": gap_days})
    splits = make_splits(settings)
    assert splits.test[-1] == months.raw[1] - 1
    assert splits.train[0] == months.snapshots[0]


def test_the_months_of_the_berka_excerpt_are_those_that_are_shipped() -> None:
    months = plan_months(rows(Month.parse("1993-01"), 16), last_day=date(1994, 4, 20), gap_days=30)
    shipped = load_settings("berka", "smoke").dataset
    assert months is not None
    assert months.raw == (shipped.raw_months.first, shipped.raw_months.last)
    assert months.train == (shipped.splits.train.first, shipped.splits.train.last)
    assert months.validation == (shipped.splits.validation.first, shipped.splits.validation.last)
    assert months.test == (shipped.splits.test.first, shipped.splits.test.last)
    assert "1994-04 ends on 1994-04-20" in months.questions[0]


@pytest.mark.parametrize("end", ["first", "last"])
def test_a_month_with_few_rows_at_an_end_is_left_out_and_told(end: str) -> None:
    counts = rows(Month.parse("2015-01"), 14)
    at = 0 if end == "first" else -1
    counts[at] = (counts[at][0], 10)
    months = plan_months(counts, gap_days=30)
    assert months is not None
    assert months.raw[1].ordinal - months.raw[0].ordinal + 1 == 13
    assert f"the {end} month is left out" in months.questions[0]


@pytest.mark.parametrize(("count", "warm_up"), [(15, 0), (18, 0), (20, 12), (30, 12)])
def test_a_year_is_given_to_the_look_back_where_three_months_are_left_to_train_on(count: int, warm_up: int) -> None:
    months = plan_months(rows(Month.parse("2024-01"), count), gap_days=30)
    assert months is not None
    assert months.snapshots[0] == Month.parse("2024-01") + warm_up
    assert months.train[1].ordinal - months.train[0].ordinal >= 2
    assert sum("C17" in question for question in months.questions) == (warm_up == 0)


def test_a_gap_in_the_months_leaves_the_longest_run() -> None:
    counts = rows(Month.parse("2014-01"), 3) + rows(Month.parse("2015-01"), 12)
    months = plan_months(counts, gap_days=30)
    assert months is not None
    assert months.raw[0] == Month.parse("2015-01")
    assert "gaps" in months.questions[0]
