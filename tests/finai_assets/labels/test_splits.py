from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from finai_assets.labels.splits import gap_report, make_splits
from finai_assets.settings import MonthSpan, Settings, SplitSettings, load_settings
from finai_resources.errors import GateError
from finai_resources.months import Month

BASE = load_settings("synthetic", "demo")
FIRST = Month.parse("2014-01")


def _with(train: tuple[int, int], validation: tuple[int, int], test: tuple[int, int], **changed: object) -> Settings:
    """Lay splits out by month numbers; validation of the settings themselves is stepped past on purpose."""
    spans = [MonthSpan(first=FIRST + low, last=FIRST + high) for low, high in (train, validation, test)]
    split = SplitSettings(train=spans[0], validation=spans[1], test=spans[2])
    whole = MonthSpan(first=FIRST, last=FIRST + 60)
    dataset = BASE.dataset.model_copy(update={"splits": split, "snapshot_months": whole})
    return BASE.model_copy(update={"dataset": dataset, **changed})


def test_the_shipped_data_set_has_a_gap_month_on_each_side_of_validation() -> None:
    splits = make_splits(BASE)
    assert [m.key for m in splits.purged] == ["2015-12", "2016-03"]
    assert (splits.train[0].key, splits.train[-1].key) == ("2015-01", "2015-11")
    report = gap_report(splits, BASE)
    assert [(r["label_window_end"], r["first_cutoff"], r["days"]) for r in report] == [
        ("2016-01-01", "2016-02-01", 31),
        ("2016-04-01", "2016-05-01", 30),
    ]
    assert all(r["ok"] for r in report)
    assert report[0]["purged"] == ["2015-12"]


def test_every_snapshot_month_has_exactly_one_place() -> None:
    splits = make_splits(BASE)
    placed = [splits.of(month) for month in BASE.dataset.snapshot_months]
    assert placed.count("purged") == 2
    assert len(splits.months) + len(splits.purged) == len(BASE.dataset.snapshot_months)
    assert splits.transfer == splits.purged  # both lie before test
    assert splits.of(splits.test[-1] + 1) == "later"  # a month that has come since the splits were written
    with pytest.raises(GateError, match="2010-01 is no snapshot month"):
        splits.of(Month.parse("2010-01"))


def test_adjacent_months_are_refused_with_the_dates_and_the_days() -> None:
    with pytest.raises(GateError) as caught:
        make_splits(_with((0, 3), (4, 5), (8, 9)))
    text = str(caught.value)
    assert "2014-06-01" in text
    assert "a gap of 0 days, 30 are required" in text
    assert "train -> validation" in text


def test_a_gap_before_test_is_looked_at_as_well() -> None:
    with pytest.raises(GateError, match="validation -> test"):
        make_splits(_with((0, 3), (6, 7), (8, 9)))


def test_a_longer_horizon_needs_a_longer_purge() -> None:
    make_splits(_with((0, 3), (5, 5), (7, 7)))
    with pytest.raises(GateError, match="a gap of 0 days"):
        make_splits(_with((0, 3), (5, 5), (7, 7), horizon_months=2))


def test_no_setting_goes_below_a_week() -> None:
    careless = _with((0, 3), (4, 5), (8, 9), gap_days=0)
    with pytest.raises(GateError, match="7 are required"):
        make_splits(careless)


def test_a_report_of_bad_splits_says_so_rather_than_trusting_the_configuration() -> None:
    bad = make_splits(BASE)
    tampered = type(bad)((*bad.train, bad.train[-1] + 1), bad.validation, bad.test, ())
    report = gap_report(tampered, BASE)
    assert [row["ok"] for row in report] == [False, True]


MONTHS = st.integers(0, 40)


@given(
    st.tuples(MONTHS, st.integers(0, 6)),
    st.tuples(MONTHS, st.integers(0, 6)),
    st.tuples(MONTHS, st.integers(0, 6)),
    st.integers(1, 3),
    st.integers(0, 70),
)
@hypothesis_settings(max_examples=300, deadline=None)
def test_splits_are_accepted_exactly_where_the_arithmetic_holds(
    train: tuple[int, int], validation: tuple[int, int], test: tuple[int, int], horizon: int, gap_days: int
) -> None:
    spans = [(low, low + length) for low, length in (train, validation, test)]
    chosen = _with(*spans, horizon_months=horizon, gap_days=gap_days)

    def far_enough(earlier: tuple[int, int], later: tuple[int, int]) -> bool:
        # month m has its cutoff at the start of m + 1; its labels are known horizon months later
        known = (FIRST + earlier[1] + horizon + 1).start
        cutoff = (FIRST + later[0] + 1).start
        return cutoff - known >= timedelta(days=max(7, gap_days))

    holds = far_enough(spans[0], spans[1]) and far_enough(spans[1], spans[2])
    if not holds:
        with pytest.raises(GateError):
            make_splits(chosen)
        return
    splits = make_splits(chosen)
    assert all(row["ok"] for row in gap_report(splits, chosen))
    assert not set(splits.purged) & set(splits.months)
    assert splits.transfer == tuple(month for month in splits.purged if month < splits.test[0])
    until = [month for month in chosen.dataset.snapshot_months if month <= splits.test[-1]]
    assert sorted(splits.purged + splits.months) == until
