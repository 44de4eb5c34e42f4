"""The next splits keep the gap rule, end with the last label that is known, and are never worse than those in use."""

from __future__ import annotations

import pytest
import yaml
from going_on import SPANS
from hypothesis import given
from hypothesis import strategies as st

from finai_assets.labels.next_splits import as_yaml, next_splits, with_splits
from finai_assets.labels.splits import gap_report, make_splits
from finai_assets.settings import Settings, SplitSettings, load_settings
from finai_assets.settings.months import ending
from finai_resources.errors import ConfigError
from finai_resources.months import Month

BERKA = load_settings("berka", "demo", overrides={"dataset": SPANS})
LAST = Month.parse("1993-06")


def later(months: int, **method: int) -> Settings:
    return ending(BERKA.model_copy(update=method), LAST + months)


def spans(splits: SplitSettings) -> list[tuple[str, str]]:
    return [(span.first.key, span.last.key) for span in (splits.train, splits.validation, splits.test)]


def test_with_no_new_month_they_are_those_in_use() -> None:
    assert next_splits(later(0)) == BERKA.dataset.splits


def test_two_months_later_test_and_validation_have_moved_and_train_has_grown() -> None:
    assert spans(next_splits(later(2))) == [
        ("1993-01", "1993-03"),
        ("1993-05", "1993-05"),
        ("1993-07", "1993-07"),
    ]


@given(st.integers(0, 40), st.integers(1, 3), st.integers(7, 90))
def test_they_keep_every_gap_and_no_gap_could_be_passed_one_month_later(months: int, horizon: int, gap: int) -> None:
    settings = later(months, horizon_months=horizon, gap_days=gap)
    try:
        proposed = next_splits(settings)
    except ConfigError:
        return
    assert proposed.test.last + horizon == settings.dataset.raw_months.last
    report = gap_report(make_splits(with_splits(settings, proposed)), settings)
    assert all(row["ok"] and row["days"] >= gap for row in report)
    for row, following in zip(report, (proposed.validation, proposed.test), strict=True):
        one_later = Month.parse(str(row["last_month"])) + 1
        assert (following.first.cutoff - (one_later + horizon).cutoff).days < gap


def test_where_no_month_is_left_for_train_it_is_said() -> None:
    with pytest.raises(ConfigError, match=r"known to 1993-04, and .* no month is left for train from 1993-01"):
        next_splits(later(-1))


def test_the_yaml_is_what_the_data_sets_file_takes() -> None:
    proposed = next_splits(later(5))
    pasted = load_settings("berka", "demo", overrides={"dataset": SPANS | yaml.safe_load(as_yaml(proposed))["dataset"]})
    assert pasted.dataset.splits == proposed
