"""Spans of months without an end: how they are written, what they hold until the source is asked, and what no version sees."""

from __future__ import annotations

from typing import Any

import pytest
from going_on import SPANS

from finai_assets.partitions import existing_months
from finai_assets.platform import Platform
from finai_assets.settings import Settings, load_settings
from finai_assets.settings.dataset import DataMonths
from finai_assets.settings.months import ending
from finai_resources.errors import ConfigError
from finai_resources.months import Month


def berka(**dataset: Any) -> Settings:
    return load_settings("berka", "demo", overrides={"dataset": {**SPANS, **dataset}})


@pytest.mark.parametrize("written", [["1993-01", None], {"first": "1993-01", "last": None}])
def test_null_for_the_last_month_is_a_span_that_goes_on_and_reaches_as_far_as_the_splits_need(written: object) -> None:
    dataset = berka(raw_months=written).dataset
    assert dataset.raw_months.goes_on
    assert (dataset.raw_months.last.key, dataset.snapshot_months.last.key) == ("1993-06", "1993-06")


def test_a_span_with_both_months_does_not_go_on() -> None:
    span = DataMonths.model_validate(["2015-01", "2015-03"])
    assert not span.goes_on
    assert [month.key for month in span] == ["2015-01", "2015-02", "2015-03"]


def test_it_is_dumped_as_it_was_written_whatever_month_it_ends_with() -> None:
    settings = berka()
    later = ending(settings, Month.parse("1995-12"))
    assert later.dataset.raw_months.last.key == later.dataset.snapshot_months.last.key == "1995-12"
    assert len(existing_months(Platform.of(later).graph["raw/snapshots"].partitions, later)) == 36
    assert later.model_dump(mode="json") == settings.model_dump(mode="json")
    assert later.model_dump()["dataset"]["raw_months"]["last"] is None
    assert later.digest() == settings.digest()
    part = later.only("dataset.raw_months.first").model_dump()
    assert list(part["dataset"]["raw_months"]) == ["first"]


def test_the_versions_of_all_assets_stay_when_the_last_month_moves_on() -> None:
    now, later = (Platform.of(ending(berka(), Month.parse(month))).graph for month in ("1993-06", "1995-12"))
    assert {path: now.versions(path) for path in now.paths} == {path: later.versions(path) for path in later.paths}


def test_snapshots_alone_may_go_on_to_the_last_raw_month() -> None:
    dataset = berka(raw_months=["1993-01", "1993-08"]).dataset
    assert dataset.snapshot_months.last == dataset.raw_months.last == Month.parse("1993-08")


@pytest.mark.parametrize(
    ("dataset", "told"),
    [
        ({"raw_months": [None, "1993-06"]}, "raw_months.first"),
        ({"raw_months": ["1993-01", "June"]}, "'June' is not a month"),
        ({"raw_months": ["1993-01"]}, r"write a span of months as \[first, last\]"),
        ({"raw_months": ["1993-03", None]}, "snapshot_months 1993-01.. must lie within raw_months 1993-03.."),
        ({"raw_months": ["1993-01", "1993-05"]}, "splits.test 1993-05..1993-05 lies outside"),
        ({"snapshot_months": ["1993-02", None]}, "splits.train 1993-01..1993-01 lies outside"),
    ],
)
def test_what_contradicts_itself_is_refused(dataset: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        berka(**dataset)


@pytest.mark.parametrize("span", [{"raw_months": ["2014-01", None]}, {"snapshot_months": ["2015-01", None]}])
def test_a_generated_panel_has_the_months_that_are_written(span: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a generated panel has the months that are written: write the last ones too"):
        load_settings("synthetic", "demo", overrides={"dataset": span})
